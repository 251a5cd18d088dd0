"""Heads: what transformers puts on a backbone, and how it is read, the same whatever the padding. A task names its head by kind.

What `read` gives for tokens is in the order of the text: the first real token of each row in column 0, padding behind the last, and no
column for the virtual tokens that a prompt puts before the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from peft import TaskType
from torch import Tensor, nn

from finecomb.config.schema.model import FAMILIES
from finecomb.learning.pooling import DECODER, align, classify

VERSION = "1"

Read = Callable[[Any, dict[str, Tensor], int], Tensor]
"""(model, inputs, virtual tokens before each text) -> outputs."""


@dataclass(frozen=True)
class Head:
    """A kind of head.

    auto_class: the class of transformers that builds it. peft: what PEFT calls the task. read: from inputs to outputs. bare: whether the
    class's own head is taken off, so that the layers alone are left.
    """

    name: str
    auto_class: str
    peft: TaskType
    read: Read
    bare: bool = False

    def take_off(self, model: Any) -> None:
        """Take the head and the pooler off a model whose layers alone are read; other models stay as they are."""
        if not self.bare:
            return
        family = FAMILIES[model.config.model_type]
        for path in family.head:
            model.set_submodule(path, nn.Identity())
        for path in family.pooler:
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, None)

    @property
    def auto(self) -> Any:
        """The auto class itself."""
        return getattr(transformers, self.auto_class)


def _sequence(model: Any, inputs: dict[str, Tensor], virtual: int) -> Tensor:
    """Logits [B, K]."""
    return classify(model, inputs)


def _tokens(model: Any, inputs: dict[str, Tensor], virtual: int) -> Tensor:
    """Logits [B, L, K] of every token."""
    return _of_tokens(model, inputs, virtual, lambda given: given.logits)


def _answers(model: Any, inputs: dict[str, Tensor], virtual: int) -> Tensor:
    """Logits [B, L, 2] of every token to be the first and the last one of the answer."""
    return _of_tokens(model, inputs, virtual, lambda given: torch.stack((given.start_logits, given.end_logits), -1))


def _features(model: Any, inputs: dict[str, Tensor], virtual: int) -> Tensor:
    """Last hidden states [B, L, d] of every token."""
    layers = getattr(model, model.base_model_prefix)
    return _of_tokens(model, inputs, virtual, lambda given: given.last_hidden_state, layers)


def _of_tokens(model: Any, inputs: dict[str, Tensor], virtual: int, logits_of: Callable[[Any], Tensor], module: Any = None) -> Tensor:
    """What the model, or a module of it, gives for each token [B, L, K], in the order of the text."""
    family = FAMILIES[model.config.model_type]
    aligned = align(inputs, family.padding)
    extra = {"use_mems": False} if model.config.model_type == "xlnet" else {"use_cache": False} if family.causal else {}
    logits = logits_of((model if module is None else module)(**aligned, **extra))
    if family.padding != "right":
        logits = align({"attention_mask": aligned["attention_mask"], "logits": logits}, "right")["logits"]
    return logits[:, virtual:]


def _targets(model: Any, inputs: dict[str, Tensor], virtual: int) -> Tensor:
    """Logits [B, T, V] of the tokens of the target, which decoder_input_ids [B, T] are shifted behind."""
    source = {name: value for name, value in inputs.items() if not name.startswith(DECODER)}
    target = {name: value for name, value in inputs.items() if name.startswith(DECODER)}
    return model(**align(source, "right"), **target, use_cache=False).logits


HEADS: Mapping[str, Head] = {
    head.name: head
    for head in (
        Head("sequence_classification", "AutoModelForSequenceClassification", TaskType.SEQ_CLS, _sequence),
        Head("token_classification", "AutoModelForTokenClassification", TaskType.TOKEN_CLS, _tokens),
        Head("question_answering", "AutoModelForQuestionAnswering", TaskType.QUESTION_ANS, _answers),
        Head("features", "AutoModelForSequenceClassification", TaskType.FEATURE_EXTRACTION, _features, bare=True),
        Head("causal_lm", "AutoModelForCausalLM", TaskType.CAUSAL_LM, _tokens),
        Head("seq2seq_lm", "AutoModelForSeq2SeqLM", TaskType.SEQ_2_SEQ_LM, _targets),
    )
}
