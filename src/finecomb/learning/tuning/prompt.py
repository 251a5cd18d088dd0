"""The head and virtual tokens before the text train (Lester et al. 2021), kept in PEFT's format.

PEFT's own forward pass does not tell decoders where the text ends (their head then reads a padding token) nor shifts positions under left
padding. Here the virtual tokens are put right before the first real token of each row, and everything counts from there. Encoders are read
at the first position, which is then a virtual token: as in PEFT, whose logits are the same for right-padded encoders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import PromptTuningConfig, get_peft_model
from torch import Tensor

from finecomb.config.schema import tuning as schema
from finecomb.learning.quiet import quiet
from finecomb.learning.tuning.seeding import derive
from finecomb.learning.tuning.tuned import Tuned, layer_paths

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class Prompt:
    """Soft prompts of `num_virtual_tokens` embeddings."""

    def __init__(self, config: schema.Prompt) -> None:
        self.config = config

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Wrap the model and draw the virtual tokens from `seed`."""
        length = self.config.num_virtual_tokens
        words = backbone.model.get_input_embeddings().weight.detach()
        start = initial_prompt(words, backbone.tokenizer, length, self.config.prompt_tuning_init, seed)
        config = PromptTuningConfig(
            task_type=backbone.head.peft,
            num_virtual_tokens=length,
            token_dim=words.shape[1],
            num_layers=len(layer_paths(backbone.model, backbone.family)),
            num_attention_heads=backbone.model.config.num_attention_heads,
            num_transformer_submodules=1,
            modules_to_save=list(backbone.new_modules),
        )
        with torch.random.fork_rng(devices=[]), quiet():
            model = get_peft_model(backbone.model, config)
        with torch.no_grad():
            model.prompt_encoder["default"].embedding.weight.copy_(start)
        model.eval()
        return Tuned(self.config, backbone, model, extra_positions=length)


def initial_prompt(words: Tensor, tokenizer: Any, length: int, init: str, seed: int) -> Tensor:
    """[length, H]: embeddings of random tokens other than special ones (SAMPLE_VOCAB), or noise of the embeddings' own spread (RANDOM)."""
    generator = torch.Generator().manual_seed(derive(seed, "prompt"))
    if init == "RANDOM":
        return torch.randn(length, words.shape[1], generator=generator).to(words) * words.std()
    special = set(tokenizer.all_special_ids)
    ordinary = torch.tensor([index for index in range(len(tokenizer)) if index not in special])
    return words[ordinary[torch.randint(len(ordinary), (length,), generator=generator)]]
