"""Which jobs there are, in which order they start, and which wait for a run that another process holds."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from finecomb.core.errors import ConfigError, Problem
from finecomb.launch.freeze import Frozen
from finecomb.launch.outcome import Outcome
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Held

PATIENCE_WITH_HOLDER = 2.0  # a holder may be about to end, as when its worker was killed a moment ago
PATIENCE_WITH_ORPHAN = 60.0  # a worker whose command was killed ends by itself; how long it may take


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


class JobQueue:
    """The jobs of one launch, numbered in the order in which the feed hands them out. Jobs with one run directory are one run."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._closed = False
        self.jobs: list[Frozen] = []
        self._waiting: deque[int] = deque()
        self._first: dict[Path, int] = {}  # the job that a run directory was first requested for
        self._outcomes: dict[int, Outcome] = {}

    def done(self) -> bool:
        """Whether there is nothing left to start, now or later."""
        return not self._waiting and (self._closed or self._feed.done())

    def next(self) -> int | None:
        """The number of the job to start now; None when there is none at the moment."""
        while not self._waiting:
            job = None if self.done() else self._feed.next()
            if job is None:
                return None
            self._add(job)
        return self._waiting.popleft()

    def _add(self, job: Frozen) -> None:
        index = len(self.jobs)
        self.jobs.append(job)
        if self._first.setdefault(job.run.path, index) == index:
            self._waiting.append(index)
        elif self._first[job.run.path] in self._outcomes:
            self._feed.ended(job, self.outcome(index))

    @property
    def waits(self) -> bool:
        """Whether a job that was handed out has not been started."""
        return bool(self._waiting)

    def put_back(self, index: int) -> None:
        """Start the job again, before all others."""
        self._waiting.appendleft(index)

    def end(self, index: int, outcome: Outcome) -> None:
        """Record the outcome of a job and answer the feed, also for the jobs of the same run."""
        self._outcomes[index] = outcome
        for each, job in enumerate(self.jobs):
            if self._first[job.run.path] == index:
                self._feed.ended(job, self.outcome(each))

    def outcome(self, index: int) -> Outcome:
        """The outcome of a job, `not started` without one."""
        job = self.jobs[index]
        first = self._first[job.run.path]
        outcome = self._outcomes.get(first) or Outcome(job.run, "not started")
        return outcome if first == index else replace(outcome, seconds=0.0, notes=(*outcome.notes, "the same run as an earlier job"))

    def has_failure(self) -> bool:
        """Whether a job has ended otherwise than finished or pruned."""
        return any(outcome.state not in ("finished", "pruned") for outcome in self._outcomes.values())

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True
        self._waiting.clear()


class HeldRuns:
    """Jobs whose run another process holds, each tried again in turn until patience with its holder ends."""

    def __init__(self, *, forever: bool) -> None:
        """forever: wait for a living holder as long as it takes, as a sweep does."""
        self._forever = forever
        self._jobs: deque[tuple[int, float]] = deque()  # number of the job, and since when it waits

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, index: int, held: Held) -> str | None:
        """Let a job wait. Returns what to show of that, None for a holder that is not waited for long."""
        self._jobs.append((index, time.monotonic()))
        if _is_orphan(held):
            return "waiting for the worker of a killed command to end"
        return f"waiting: {held}" if self._forever else None

    def next(self) -> tuple[int, float]:
        """The job that has not been tried for the longest time, and since when it waits."""
        return self._jobs.popleft()

    def add_again(self, index: int, since: float, run: RunDirectory, held: Held) -> None:
        """Let a job wait that has waited before. Raises ConfigError when it has waited long enough."""
        patience = PATIENCE_WITH_ORPHAN if _is_orphan(held) else math.inf if self._forever else PATIENCE_WITH_HOLDER
        if time.monotonic() - since > patience:
            hint = "wait for it to end (finecomb runs shows its progress), or stop that process"
            raise ConfigError(Problem(str(held), str(run.path), hint=hint)) from held
        self._jobs.append((index, since))

    def clear(self) -> None:
        """Wait for none any more."""
        self._jobs.clear()


def _is_orphan(held: Held) -> bool:
    """Whether the command that took the run is dead, so that only its worker can still hold it, which will end by itself."""
    return held.owner is not None and held.owner.alive() is False
