"""Validation at the end of each epoch, and the best value of the monitored metric so far."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl

from finecomb.config.schema.train import Monitor
from finecomb.training.callbacks.record import Record
from finecomb.training.evaluate import Evaluation

VERSION = "1"

log = logging.getLogger(__name__)


class Validate(pl.Callback):
    """Validation at the end of each epoch, and the best value of the monitored metric so far."""

    def __init__(self, evaluate: Callable[[], Evaluation], monitor: Monitor, record: Record) -> None:
        self._evaluate, self._monitor, self._record = evaluate, monitor, record
        self.improved = False
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self.epochs_without = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Evaluate, record, compare with the best. Every rank sees the same numbers and so comes to the same answer."""
        metrics = self._evaluate().named("validation")
        module.tuned.train_mode()
        self._record.write(trainer, metrics)
        value = metrics[f"validation/{self._monitor.metric}"]
        self.improved = value is not None and math.isfinite(value) and self._better(value)
        self.epochs_without = 0 if self.improved else self.epochs_without + 1
        if self.improved:
            self.best, self.best_epoch, self.best_step = value, trainer.current_epoch, trainer.global_step
        said = {name: metrics[f"validation/{name}"] for name in dict.fromkeys(["loss", self._monitor.metric])}
        log.info("epoch %d, step %d, validation: %s", trainer.current_epoch + 1, trainer.global_step, _in_words(said))

    def _better(self, value: float) -> bool:
        if self.best is None:
            return True
        return value > self.best if self._monitor.mode == "max" else value < self.best

    def state_dict(self) -> dict[str, Any]:
        """The best value, when it was reached, and how many epochs have brought nothing better."""
        return {name: getattr(self, name) for name in ("best", "best_epoch", "best_step", "epochs_without")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value of earlier attempts."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def _in_words(metrics: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {'undefined' if value is None else format(value, '.4f')}" for name, value in metrics.items())
