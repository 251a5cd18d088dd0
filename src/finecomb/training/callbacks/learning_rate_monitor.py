"""Lightning's LearningRateMonitor, which also accepts a rank or a run without loggers."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import callbacks


class LearningRateMonitor(callbacks.LearningRateMonitor):
    """Log the learning rate of each parameter group. Without a logger, where Lightning's raises an error, this logs nothing.

    In a run, the first rank alone has loggers.
    """

    def on_train_start(self, trainer: pl.Trainer, *arguments: Any, **keywords: Any) -> None:
        """Find the names of the parameter groups."""
        if trainer.loggers:
            super().on_train_start(trainer, *arguments, **keywords)

    def on_train_batch_start(self, trainer: pl.Trainer, *arguments: Any, **keywords: Any) -> None:
        """Log at each step, where `logging_interval` is `step`."""
        if trainer.loggers:
            super().on_train_batch_start(trainer, *arguments, **keywords)

    def on_train_epoch_start(self, trainer: pl.Trainer, *arguments: Any, **keywords: Any) -> None:
        """Log at each epoch, where `logging_interval` is `epoch`."""
        if trainer.loggers:
            super().on_train_epoch_start(trainer, *arguments, **keywords)
