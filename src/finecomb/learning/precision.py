"""The precision of weights: pre-trained ones in bfloat16, new ones in fp32 (trainer.precision=bf16-true)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

VERSION = "1"


def set_precision(model: Any, new_modules: Iterable[str], dtype: torch.dtype) -> None:
    """Keep every parameter in `dtype` but those of new modules, which stay in fp32 and compute in it.

    Logits thus have fp32 resolution, and the head trains in fp32, as PEFT's LoRA weights and virtual tokens do on such a model.
    Buffers keep their precision: rotary frequencies in bfloat16 would misplace distant tokens.
    """
    new = tuple(new_modules)
    kept = tuple(f"{path}." for path in new)
    for name, parameter in model.named_parameters():
        if not name.startswith(kept):
            parameter.data = parameter.data.to(dtype)
    for path in new:
        model.get_submodule(path).register_forward_pre_hook(_inputs_in_fp32)


def _inputs_in_fp32(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value for value in inputs)
