"""The best value of the monitored metric so far."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from finecomb.config.schema.train import Monitor
from finecomb.training.trainer_settings import is_fitting

if TYPE_CHECKING:
    from finecomb.training.module import Module

VERSION = "1"

log = logging.getLogger(__name__)


class Best(pl.Callback):
    """The best value of the monitored metric over the validations of a training.

    Only a validation of all rows counts: a sanity check, `limit_val_batches` and `fast_dev_run` never set the best value.

    Attributes:
        improved: whether the latest validation was better than all before it.
        best: the best value; None before there is one.
        best_epoch: epoch of the best value, counted from 0.
        best_step: global step of the best value.
        epochs_without: validations since the latest improvement by more than `min_delta`, which ends training when it reaches the patience.

    Args:
        monitor: the metric and its direction.
        min_delta: improvements of at most this much do not reset `epochs_without`.
    """

    def __init__(self, monitor: Monitor, *, min_delta: float = 0.0) -> None:
        self._monitor, self._min_delta = monitor, min_delta
        self.improved = False
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self.epochs_without = 0
        self.reference: float | None = None

    def on_validation_end(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Compare with the best. Every rank has the same numbers and so comes to the same answer."""
        self.improved, evaluation = False, module.evaluation
        if not is_fitting(trainer) or trainer.fast_dev_run or evaluation is None or not evaluation.complete:
            return
        metrics = evaluation.named("validation")
        value = metrics[f"validation/{self._monitor.metric}"]
        if value is not None and not math.isfinite(value):
            value = None
        self.improved = value is not None and self._better(value, self.best)
        if value is not None and self._better(value, self.reference, self._min_delta):
            self.reference, self.epochs_without = value, 0
        else:
            self.epochs_without += 1
        if self.improved:
            self.best, self.best_epoch, self.best_step = value, trainer.current_epoch, trainer.global_step
        shown = {name: metrics[f"validation/{name}"] for name in dict.fromkeys(["loss", self._monitor.metric])}
        log.info("epoch %d, step %d, validation: %s", trainer.current_epoch + 1, trainer.global_step, _in_words(shown))

    def _better(self, value: float, than: float | None, margin: float = 0.0) -> bool:
        if than is None:
            return True
        return value > than + margin if self._monitor.mode == "max" else value < than - margin

    def state_dict(self) -> dict[str, Any]:
        """The best value, when it was reached, and how many epochs have brought nothing better."""
        return {name: getattr(self, name) for name in ("best", "best_epoch", "best_step", "epochs_without", "reference")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the best value of earlier attempts."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def _in_words(metrics: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {'undefined' if value is None else format(value, '.4f')}" for name, value in metrics.items())
