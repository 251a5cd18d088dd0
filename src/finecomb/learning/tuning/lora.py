"""The head and low-rank updates of linear maps train (Hu et al. 2021), by PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from finecomb.config.schema import tuning as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.quiet import quiet
from finecomb.learning.tuning.seeding import derive
from finecomb.learning.tuning.tuned import Tuned, layer_paths

if TYPE_CHECKING:
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class Lora:
    """W + scale * B A, with B = 0 at first. A is drawn from the seed; biases stay frozen."""

    def __init__(self, config: schema.Lora) -> None:
        self.config = config

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Wrap the model.

        Raises:
            ConfigError: `target_modules` names what is not a linear map of the layers.
        """
        targets = target_modules(backbone, self.config.target_modules)
        alpha = self.config.lora_alpha
        config = LoraConfig(
            task_type=backbone.head.peft,
            r=self.config.r,
            lora_alpha=int(alpha) if float(alpha).is_integer() else alpha,
            lora_dropout=self.config.lora_dropout,
            target_modules=targets,
            use_rslora=self.config.use_rslora,
            modules_to_save=list(backbone.new_modules),
            fan_in_fan_out=isinstance(_linear_maps(backbone)[targets[0]], Conv1D),
        )
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(derive(seed, "lora"))
            model = get_peft_model(backbone.model, config)
        model.eval()
        return Tuned(self.config, backbone, model)


def _linear_maps(backbone: Backbone) -> dict[str, nn.Module]:
    """Linear maps of the layers, by their name within a layer."""
    blocks = [backbone.model.get_submodule(path) for path in layer_paths(backbone.model, backbone.family)]
    return {name: module for block in blocks for name, module in block.named_modules() if isinstance(module, (nn.Linear, Conv1D))}


def target_modules(backbone: Backbone, setting: Any) -> list[str]:
    """Names within a layer of the maps to adapt: the architecture's usual ones (auto), all of them (all-linear), or those asked for.

    all-linear is every linear map of the layers, and so never the head or the pooler (PEFT's own takes them for layers on some
    architectures, and fails).
    """
    maps = _linear_maps(backbone)
    if setting == "all-linear":
        return list(maps)
    asked = list(backbone.family.lora) if setting == "auto" else [setting] if isinstance(setting, str) else list(setting)
    chosen = [name for name in maps if any(name == end or name.endswith(f".{end}") for end in asked)]
    unmatched = [end for end in asked if not any(name == end or name.endswith(f".{end}") for name in maps)]
    if unmatched or not chosen:
        raise ConfigError(
            Problem(
                f"no linear map of the layers is named {', '.join(map(str, unmatched)) or 'so'}",
                "tuning.target_modules",
                allowed=f"auto, all-linear, or some of: {', '.join(maps)}",
            )
        )
    return chosen
