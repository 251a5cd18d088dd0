"""Checkpoints: complete or absent, only what trains, only plain tensors and numbers.

last.ckpt is all that is needed to go on bit for bit: trainable tensors, optimizer, schedule, loop and callbacks. best.ckpt is the trainable
tensors of the best epoch by the monitored metric. Losing one between two writes does no harm: the training that is resumed from the older
last.ckpt computes the same again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from finecomb.core import atomic
from finecomb.training.callbacks import Best
from finecomb.training.callbacks.weight_averaging import best_state
from finecomb.training.interruption import Interruption, time_to_agree
from finecomb.training.trainer_settings import is_fitting

if TYPE_CHECKING:
    from finecomb.training.module import Module

VERSION = "1"

LAST = "last.ckpt"
BEST = "best.ckpt"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place, flushes it and renames it; reads nothing but tensors and plain values."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint that is complete or absent. Raises ConfigError when the disk is full."""
        target = Path(path)
        # To a file of ours: with a path, torch's own writer hides what went wrong.
        with atomic.file(target) as temporary, temporary.open("wb") as out:
            torch.save(checkpoint, out)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint without running anything it holds."""
        return load(Path(path))


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


class Checkpoint(pl.callbacks.Checkpoint):
    """Writes last.ckpt every n steps and at the end of each epoch, after validation; and best.ckpt when validation was better than ever.

    A subclass of Lightning's, so that it runs after every other callback and stores their state as it is at that moment.
    """

    def __init__(self, directory: Path, *, every_n_steps: int | None, best: Best, interruption: Interruption) -> None:
        self.directory, self.every_n_steps = directory, every_n_steps
        self._best, self._interruption = best, interruption

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save when due or when asked to stop; the last step of an epoch is left to on_train_epoch_end, which follows validation."""
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch or trainer.should_stop:
            return
        asked = time_to_agree(trainer) and self._interruption.asked(trainer)
        if asked or (self.every_n_steps and trainer.global_step % self.every_n_steps == 0):
            trainer.save_checkpoint(self.directory / LAST, weights_only=False)
        if asked:
            self._interruption.leave()

    def on_validation_end(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Save the weights that are better than ever."""
        if not (is_fitting(trainer) and self._best.improved):
            return
        state = best_state(trainer, module)  # on every rank, as those of a sharded model gather it together
        if trainer.is_global_zero:
            best = {"state_dict": state, "epoch": trainer.current_epoch, "global_step": trainer.global_step}
            AtomicCheckpointIO().save_checkpoint(best, self.directory / BEST)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save the end of the epoch; leave when asked to."""
        trainer.save_checkpoint(self.directory / LAST, weights_only=False)
        if self._interruption.asked(trainer):
            self._interruption.leave()
