"""The reasons to stop: the last step, too many epochs without a better value, or the time limit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl

from finecomb.training.callbacks.best import Best
from finecomb.training.callbacks.clock import Clock
from finecomb.training.interruption import Interruption, any_rank, time_to_agree
from finecomb.training.trainer_settings import is_fitting

VERSION = "1"


class Stop(pl.Callback):
    """Ends training at the last step, after too many epochs without a better value, or when time is up.

    Every end has a reason, which is stored in the checkpoint: a run killed after its last checkpoint takes no further step when resumed.
    That another callback ended training (`trainer.should_stop`) has the reason "callback".
    """

    def __init__(
        self,
        steps: Callable[[], int],
        best: Best,
        clock: Clock,
        interruption: Interruption,
        *,
        patience: int | None,
        max_time: str | None,
    ) -> None:
        self._steps, self._best, self._clock, self._interruption = steps, best, clock, interruption
        self._patience, self._limit = patience, seconds_of(max_time)
        self.reason: str | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """A training that had stopped before its checkpoint was taken up again stays stopped."""
        self._interruption.install()
        self._interruption.training = True
        trainer.should_stop = self.reason is not None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the steps and at the clock."""
        if trainer.global_step >= self._steps():
            every_epoch = trainer.max_epochs * trainer.datamodule.plan.steps_per_epoch
            self._stop(trainer, "max_steps" if self._steps() < every_epoch else "max_epochs")
        elif self._limit is not None and time_to_agree(trainer) and any_rank(self._clock.seconds("total") >= self._limit, trainer):
            self._stop(trainer, "max_time")

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Look at the epochs without a better value."""
        if is_fitting(trainer) and self._patience is not None and self._best.epochs_without >= self._patience:
            self._stop(trainer, "patience")

    def _stop(self, trainer: pl.Trainer, reason: str) -> None:
        trainer.should_stop = True
        self.reason = self.reason or reason

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """From here on there is nothing to save before leaving."""
        self._note_others(trainer)
        self._interruption.training = False

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store that another callback has ended training."""
        self._note_others(trainer)
        checkpoint["callbacks"][self.state_key] = self.state_dict()

    def _note_others(self, trainer: pl.Trainer) -> None:
        if trainer.should_stop and self.reason is None:
            self.reason = "callback"

    def state_dict(self) -> dict[str, Any]:
        """Why training stopped, if it did."""
        return {"reason": self.reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember why an earlier attempt stopped."""
        self.reason = state_dict["reason"]


def seconds_of(max_time: str | None) -> float | None:
    """Seconds of DD:HH:MM:SS; None for no limit."""
    if max_time is None:
        return None
    days, hours, minutes, seconds = (int(part) for part in max_time.split(":"))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
