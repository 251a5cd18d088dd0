"""Norms of gradients by group of modules, before clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

Write = Callable[[pl.Trainer, dict[str, float | None]], None]
"""Records values at the Trainer's global step."""

NAME = "gradient_norm"


def write_to_loggers(trainer: pl.Trainer, values: dict[str, float | None]) -> None:
    """Log values through the Trainer's loggers."""
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            logger.log_metrics({name: value for name, value in values.items() if value is not None}, step=trainer.global_step)


class GradientStatistics(pl.Callback):
    """Log `gradient_norm/GROUP`, the L2 norm of the gradient of each group of modules, before clipping.

    A group is a numbered layer (`model.bert.encoder.layer.3`) or, outside of layers, the module that holds the tensor.

    Args:
        every_n_steps: how often, in optimizer steps.
        write: records the norms; None: the Trainer's loggers.
    """

    def __init__(self, every_n_steps: int, write: Write | None = None) -> None:
        self.every_n_steps, self._write = every_n_steps, write or write_to_loggers
        self._norms: dict[str, float | None] = {}

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, optimizer: Optimizer) -> None:
        """Measure when due. Lightning calls callbacks before the module, in whose hook the gradient is clipped."""
        if (trainer.global_step + 1) % self.every_n_steps == 0:
            named = ((name, each.grad) for name, each in module.named_parameters() if each.grad is not None)
            self._norms = {f"{NAME}/{group}": value for group, value in norms(named).items()}

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Log what the step measured, once the step is counted."""
        if self._norms:
            self._write(trainer, self._norms)
            self._norms = {}


def norms(named: Iterable[tuple[str, Tensor]]) -> dict[str, float]:
    """L2 norms by group of modules. Waits for the device; a sharded gradient is reduced over the ranks, which must all call this."""
    groups: dict[str, list[Tensor]] = {}
    for name, gradient in named:
        groups.setdefault(group_of(name), []).append(gradient)
    totals = {group: get_total_norm(gradients) for group, gradients in groups.items()}
    return {group: float(total.full_tensor() if isinstance(total, DTensor) else total) for group, total in totals.items()}


def group_of(name: str) -> str:
    """The path of a tensor up to its layer's number, or of the module that holds it."""
    parts = name.split(".")
    number = next((at for at, part in enumerate(parts) if part.isdigit()), None)
    return ".".join(parts[:-1] if number is None else parts[: number + 1]) or name
