"""Which jobs there are, and how they are run: what `launch` is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from finecomb.launch.freeze import Frozen
from finecomb.launch.outcome import Outcome
from finecomb.launch.slurm import Slurm


@dataclass(frozen=True)
class Policy:
    """How jobs are run.

    slots: jobs at once; None: one for each set of GPUs, one on a CPU. fail_fast: stop everything at the first failure. retries: how often a
    job that failed or whose worker died is started again by itself; never after a user's error. timeout: seconds an attempt may take; a run
    stopped by it goes on when asked again. Want of memory is met by splitting the batch further, whatever the retries.
    keep_checkpoints: of finished runs, whose artifact is all that is needed of them; searches and studies, with their many runs, keep none.
    slurm: what to ask a cluster for; None: jobs run here.
    """

    slots: int | None = None
    fail_fast: bool = False
    retries: int = 0
    timeout: float | None = None
    keep_checkpoints: bool = True
    slurm: Slurm | None = None


class Feed(Protocol):
    """Where jobs come from one by one, as in a search, whose next question depends on earlier answers."""

    def next(self) -> Frozen | None:
        """A job to start now; None when there is none at the moment."""

    def done(self) -> bool:
        """Whether no job will come any more."""

    def ended(self, job: Frozen, outcome: Outcome) -> None:
        """A job has come to its end."""

    def stop(self, job: Frozen, lines: list[dict[str, Any]]) -> bool:
        """Given new lines of the job's metrics.jsonl: whether it is to be stopped now, as pruned."""


class Listed:
    """A fixed list of jobs."""

    def __init__(self, jobs: Sequence[Frozen]) -> None:
        self._waiting = deque(jobs)

    def next(self) -> Frozen | None:
        """The next of the list."""
        return self._waiting.popleft() if self._waiting else None

    def done(self) -> bool:
        """Whether the list is empty."""
        return not self._waiting

    def ended(self, job: Frozen, outcome: Outcome) -> None:
        """Nothing depends on it."""

    def stop(self, job: Frozen, lines: list[dict[str, Any]]) -> bool:
        """Never."""
        return False
