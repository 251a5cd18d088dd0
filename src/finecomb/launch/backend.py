"""What the launcher needs of a place where jobs run: this machine (`workers.py`) or a cluster (`slurm.py`)."""

from __future__ import annotations

from typing import Protocol

from finecomb.launch.freeze import Frozen
from finecomb.runs.lock import Lock


class Worker(Protocol):
    """The processes of one attempt at a job."""

    @property
    def started(self) -> float:
        """When it was started, by `time.monotonic()`."""

    def poll(self) -> int | None:
        """The exit code once it has ended, negative for a signal; None before."""

    def signal(self, number: int) -> None:
        """Send SIGTERM, after which it ends in order, or SIGKILL."""

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for its end; whether it has ended."""

    def note(self) -> str | None:
        """What the run directory does not know: why the job has not begun, or what ended it from outside."""

    def close(self) -> None:
        """Give back everything that the attempt holds, the run's lock included."""


class Backend(Protocol):
    """Starts workers. Resources that its jobs share (GPUs, a queue) belong to it."""

    def check(self, job: Frozen) -> None:
        """Raise ConfigError for a job that can never run here."""

    def start(self, job: Frozen, lock: Lock, threads: int) -> Worker:
        """Start the worker of a frozen run, of which the caller has the lock; the worker owns it from then on.

        Raises ConfigError when it cannot be started for a reason that the user can change.
        """
