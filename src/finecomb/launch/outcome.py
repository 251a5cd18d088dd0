"""The outcome of a job: the state of its run is made true once its worker has ended."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from finecomb.assets.cache import cache_dir, megabytes
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem, problems_text
from finecomb.runs.directory import RunDirectory
from finecomb.runs.record import RunRecord

# What allocators say when there is no room: torch on a GPU, torch on a CPU, Python.
_NO_MEMORY = ("out of memory", "can't allocate memory", "MemoryError")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one job.

    state: finished, pruned, failed, interrupted, or "not started" (after a failure with fail_fast, or a stop).
    reused: finished before; nothing was trained. error: why it did not finish. user_error: the user can correct it.
    seconds: how long its worker ran. notes: what a reader of the result should know.
    """

    run: RunDirectory
    state: str
    seconds: float = 0.0
    reused: bool = False
    error: str | None = None
    user_error: bool = False
    notes: tuple[str, ...] = ()


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """0 when all finished or were pruned, 2 when only the user's errors stand in the way, else 1."""
    bad = [outcome for outcome in outcomes if outcome.state not in ("finished", "pruned")]
    if not bad:
        return 0
    return 2 if all(outcome.user_error for outcome in bad) else 1


def out_of_memory(outcome: Outcome) -> bool:
    """Whether the run failed for want of memory, so that the same batch in smaller pieces may do."""
    return outcome.state == "failed" and any(word in (outcome.error or "") for word in _NO_MEMORY)


def in_pieces(record: RunRecord, planned: int) -> str | None:
    """A note that a run was computed in smaller micro-batches than `planned` in its config; None for any other run."""
    if record.pieces is None:
        return None
    note = f"computed in {record.pieces} micro-batches instead of {planned} after running out of memory"
    return f"{note}; with dropout, its steps differ from those in {planned}"


def judge(run: RunDirectory, code: int, *, stopped: str | None = None, pruned: bool = False, reason: str | None = None) -> Outcome:
    """The outcome of an ended worker; writes the state of the run when the worker could not. The caller holds the run.

    code: its exit code, negative for a signal. stopped: why we stopped it, None when we did not. pruned: a search had seen enough of it.
    reason: why something else than this command ended it, where the backend knows that.
    """
    if run.result() is not None:
        return Outcome(run, "finished")
    if code == atomic.DISK_FULL:
        error = _disk_full(run)
        _record(run, "interrupted", error)
        return Outcome(run, "interrupted", error=error, user_error=True)
    status = run.status()
    if status.state == "failed":
        return Outcome(run, "failed", error=status.error, user_error=code == 2)
    if pruned or status.state == "pruned":
        _record(run, "pruned", stopped or "stopped early")
        return Outcome(run, "pruned", error=stopped or "stopped early")
    if stopped is not None or status.state == "interrupted" or code < 0:
        error = stopped or reason or (_killed(-code) if code < 0 else status.error or "interrupted")
        _record(run, "interrupted", error)
        return Outcome(run, "interrupted", error=error)
    error = _tail(run.log_path(0)) or f"the worker ended with exit code {code} and without a result"
    _record(run, "failed", error)
    return Outcome(run, "failed", error=error, user_error=code == 2)


def _disk_full(run: RunDirectory) -> str:
    """The screen of a worker that could write no more: how much room there is for runs and for the cache, which may be another disk."""
    places = {"output_dir": run.path, "FINECOMB_CACHE": cache_dir()}
    free = [f"{name} {path}: {megabytes(shutil.disk_usage(path).free)} free" for name, path in places.items() if path.exists()]
    hint = "make room there, or set them to folders on another disk; asked again, the run goes on from its last checkpoint"
    return problems_text([Problem("the disk is full", "; ".join(free), hint=hint)])


def _record(run: RunDirectory, state: str, error: str) -> None:
    try:
        run.set_status(state, error=error)
    except ConfigError:
        # The disk may be full, which is perhaps why it failed. Nobody holds the run, so it reads as interrupted anyway.
        return


def _killed(number: int) -> str:
    name = signal.Signals(number).name
    hint = " (the machine may be out of memory)" if number == signal.SIGKILL else ""
    return f"its worker was killed by {name}{hint}; ask again to go on from the last checkpoint"


def _tail(path: Path, lines: int = 30) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
