"""The clock: seconds in training steps alone, and with validation and checkpoints, over all attempts of a run."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning as pl

VERSION = "1"


class Clock(pl.Callback):
    """Seconds over all attempts of a run: in training steps alone, and with validation and checkpoints."""

    def __init__(self) -> None:
        self._before = {"train": 0.0, "total": 0.0}
        self._since: dict[str, float | None] = {"train": None, "total": None}
        self._earlier = 0.0

    def this_attempt(self) -> float:
        """Seconds of this attempt between the start and the end of training."""
        return self.seconds("total") - self._earlier

    def seconds(self, kind: str) -> float:
        """`train`: in steps; `total`: since training began."""
        since = self._since[kind]
        return self._before[kind] + (time.monotonic() - since if since is not None else 0.0)

    def _start(self, kind: str) -> None:
        if self._since[kind] is None:
            self._since[kind] = time.monotonic()

    def _stop(self, kind: str) -> None:
        self._before[kind], self._since[kind] = self.seconds(kind), None

    def on_train_start(self, *_: Any) -> None:
        """Start both; an epoch that is resumed has no other start."""
        self._start("train")
        self._start("total")

    def on_train_epoch_start(self, *_: Any) -> None:
        """Steps begin."""
        self._start("train")

    def on_train_batch_start(self, *_: Any) -> None:
        """Steps resume after a validation within an epoch."""
        self._start("train")

    def on_validation_start(self, *_: Any) -> None:
        """Steps pause."""
        self._stop("train")

    def on_train_epoch_end(self, *_: Any) -> None:
        """Steps have ended; checkpoints follow."""
        self._stop("train")

    def on_train_end(self, *_: Any) -> None:
        """Training has ended."""
        self._stop("train")
        self._stop("total")

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far."""
        return {kind: self.seconds(kind) for kind in self._before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the seconds of earlier attempts."""
        self._before, self._earlier = dict(state_dict), state_dict["total"]
