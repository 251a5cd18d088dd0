"""Tuning methods: which tensors train, and at which learning rates each method usually works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option


@dataclass
class Tuning:
    """What every tuning method has."""

    name: str = option("name of the choice")
    frozen_mode: str = option("mode of modules without trainable tensors: eval (no dropout, cacheable) or train", allowed=("eval", "train"))


@dataclass
class Full(Tuning):
    """Every tensor trains."""


@dataclass
class Head(Tuning):
    """Only the task's head trains."""

    pooler: bool = option("also train the pre-trained pooler, where the architecture has one")


@dataclass
class TopLayers(Tuning):
    """The head and the k layers nearest to it train (Houlsby et al. 2019, section 3.4, variable fine-tuning)."""

    k: int = option("number of layers that train, counted from the head", low=0)
    embeddings: bool = option("also train the embeddings")
    pooler: bool = option("also train the pooler and the final norm, where the architecture has them")


@dataclass
class BitFit(Tuning):
    """The head and the bias vectors train (Ben Zaken et al. 2022)."""


@dataclass
class Lora(Tuning):
    """The head and low-rank updates of linear maps train (Hu et al. 2021): W + lora_alpha / r * B A."""

    r: int = option("rank of the update", low=1)
    lora_alpha: float = option("the update is scaled by lora_alpha / r", low=0.0)
    lora_dropout: float = option("dropout on the input of A", low=0.0, high=0.9)
    target_modules: Any = option("auto: the architecture's usual ones; all-linear; or a list of module names")
    use_rslora: bool = option("scale by lora_alpha / sqrt(r) instead (Kalajdzievski 2023)")


@dataclass
class Prompt(Tuning):
    """The head and virtual tokens put before the text train (Lester et al. 2021)."""

    num_virtual_tokens: int = option("number of virtual tokens; they count against the model's positions", low=1)
    prompt_tuning_init: str = option(
        "start from the embeddings of random words of the vocabulary, or from noise", allowed=("SAMPLE_VOCAB", "RANDOM")
    )


@dataclass(frozen=True)
class LearningRates:
    """Range to search and the value that lr=auto stands for, for one family of optimizers."""

    low: float
    default: float
    high: float


def _rates(**families: tuple[float, float, float]) -> dict[str, LearningRates]:
    return {family: LearningRates(*values) for family, values in families.items()}


# Sources: Devlin et al. 2019 A.3 (full), Ben Zaken et al. 2022 (BitFit 1e-4..1e-3), Hu et al. 2021 table 9 (LoRA 4e-4..5e-4) with
# "LoRA Without Regret" (about 10x full, 15x in short runs), Lester et al. 2021 (prompts 0.3 with Adafactor).
# Adafactor's rate is relative to the root mean square of each tensor (torch.optim.Adafactor).
# The head's: measured on the validation set of movie_reviews (MiniLM, 2,000 rows, 1 and 3 epochs, 3 seeds; a linear head gains up to 1e-1,
# one with a hidden layer is best at 1e-2 to 3e-2 with Adam). SGD's for the other methods: a starting point, not measured.
LEARNING_RATES: dict[str, dict[str, LearningRates]] = {
    "full": _rates(adam=(1e-5, 5e-5, 3e-4), sgd=(1e-3, 1e-2, 1e-1), adafactor=(3e-4, 1e-3, 1e-2)),
    "head": _rates(adam=(1e-4, 3e-2, 3e-1), sgd=(5e-2, 5e-1, 5.0), adafactor=(3e-2, 3e-1, 3.0)),
    "top_layers": _rates(adam=(1e-5, 1e-4, 1e-3), sgd=(1e-3, 1e-2, 1e-1), adafactor=(3e-4, 2e-3, 2e-2)),
    "bitfit": _rates(adam=(1e-4, 1e-3, 1e-2), sgd=(1e-2, 5e-2, 5e-1), adafactor=(3e-3, 3e-2, 3e-1)),
    "lora": _rates(adam=(1e-4, 1e-3, 1e-2), sgd=(1e-2, 5e-2, 5e-1), adafactor=(3e-3, 3e-2, 3e-1)),
    "prompt": _rates(adam=(1e-3, 1e-2, 3e-1), sgd=(1e-1, 5e-1, 5.0), adafactor=(1e-2, 3e-1, 1.0)),
}
OPTIMIZER_FAMILY = {"sgd": "sgd", "adam": "adam", "adamw": "adam", "adafactor": "adafactor"}

# (tuning, model_type) -> why the pair is refused at validation. The only reasons for which a cell may be refused.
_NO_BIAS = "its layers have no bias vectors, so bitfit would be tuning=head"
REFUSED: dict[tuple[str, Optional[str]], str] = {
    ("bitfit", "modernbert"): _NO_BIAS,
    ("bitfit", "llama"): _NO_BIAS,
    ("bitfit", "qwen3"): _NO_BIAS,
    ("bitfit", "t5"): _NO_BIAS,
}

# (tuning, head) -> why the pair is refused at validation, whatever the architecture.
_NO_NEW_HEAD = "its output layer is the vocabulary of the weights, mostly tied to the embeddings: no head is new"
REFUSED_HEADS: dict[tuple[str, str], str] = {
    ("head", "features"): "features are read without a head, so nothing would train",
    ("head", "causal_lm"): _NO_NEW_HEAD,
    ("head", "seq2seq_lm"): _NO_NEW_HEAD,
}

CHOICES = {"full": Full, "head": Head, "top_layers": TopLayers, "bitfit": BitFit, "lora": Lora, "prompt": Prompt}
