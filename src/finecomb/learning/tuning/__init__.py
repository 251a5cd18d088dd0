"""Tuning methods: which tensors train, what is added, and what is saved. A method knows no task."""

from __future__ import annotations

from finecomb.config.plugins import find_build
from finecomb.config.schema import tuning as schema
from finecomb.learning.tuning.artifact import Loaded, load, save
from finecomb.learning.tuning.bitfit import BitFit
from finecomb.learning.tuning.full import Full
from finecomb.learning.tuning.head import Head
from finecomb.learning.tuning.lora import Lora
from finecomb.learning.tuning.prompt import Prompt
from finecomb.learning.tuning.top_layers import TopLayers
from finecomb.learning.tuning.tuned import Method, Tuned

__all__ = ["Loaded", "Method", "Tuned", "build", "load", "save"]


def build(config: schema.Tuning) -> Method:
    """The method of `config`."""
    if own := find_build("tuning", config.name):
        return own(config)
    match config:
        case schema.Full():
            return Full(config)
        case schema.Head():
            return Head(config)
        case schema.TopLayers():
            return TopLayers(config)
        case schema.BitFit():
            return BitFit(config)
        case schema.Lora():
            return Lora(config)
        case schema.Prompt():
            return Prompt(config)
    raise ValueError(f"no tuning method named {config.name}")
