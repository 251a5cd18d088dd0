"""SIGTERM as an orderly end: during training after the step at hand and its checkpoint, otherwise at once."""

from __future__ import annotations

import signal
from types import FrameType

import pytorch_lightning as pl
import torch

STEPS_BETWEEN_AGREEMENTS = 10


class Interrupted(Exception):
    """The process was asked to end; what training goes on from has been written."""


class Interruption:
    """Whether this process, or with several ranks any of them, was asked to end."""

    def __init__(self) -> None:
        self._asked = False
        self.training = False

    def install(self) -> None:
        """Take SIGTERM over, also from Lightning, whose handler talks to the other ranks in the middle of anything."""
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        if not self.training:
            self.leave()

    def leave(self) -> None:
        """End now."""
        raise Interrupted("asked to end by SIGTERM")

    def asked(self, trainer: pl.Trainer) -> bool:
        """Whether any rank was asked to end. Every rank must ask, at the same step."""
        return any_rank(self._asked, trainer)


def time_to_agree(trainer: pl.Trainer) -> bool:
    """Whether ranks may exchange a word at this step: asking at each one would make them wait for each other."""
    return trainer.world_size == 1 or trainer.global_step % STEPS_BETWEEN_AGREEMENTS == 0


def any_rank(value: bool, trainer: pl.Trainer) -> bool:
    """True when it is true on any rank; every rank must ask."""
    if trainer.world_size == 1:
        return value
    flag = torch.tensor(int(value), device=trainer.strategy.root_device)
    torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
    return bool(flag)
