"""One attempt at a job: from the decision that its run needs one to its outcome."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import replace
from typing import Any

from finecomb.config.plain import to_plain
from finecomb.launch.backend import Backend, Worker
from finecomb.launch.freeze import Frozen
from finecomb.launch.outcome import Outcome, in_pieces, judge
from finecomb.launch.progress import Pace, progress_text
from finecomb.runs import provenance
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Lock

NOTED_AFTER = 10.0  # seconds that a job may wait before the reason is reported
PATIENCE_WITH_STOP = 20.0  # seconds between SIGTERM and SIGKILL


class Attempt:
    """A job whose worker runs: what it has logged, and whether and why it is being stopped."""

    def __init__(self, index: int, job: Frozen, worker: Worker, notes: list[str]) -> None:
        self.index, self.job, self.worker, self.notes = index, job, worker, notes
        self.stopped: str | None = None  # why it is being stopped
        self._pruned = False
        self._deadline = math.inf  # when it is killed, once it got SIGTERM
        self._size = self._lines = 0  # of metrics.jsonl when it was last read
        self._validation: dict[str, Any] = {}  # last value of each metric
        self._pace = Pace()
        self._noted: set[str] = set()

    @property
    def seconds(self) -> float:
        """Seconds since the worker was started."""
        return time.monotonic() - self.worker.started

    def new_lines(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl since the last call."""
        path = self.job.run.path / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        if size == self._size:
            return []
        lines = self.job.run.metrics()
        new = lines[self._lines :]
        self._size, self._lines = size, len(lines)
        self._validation |= {name: value for line in new for name, value in line.items() if name.startswith("validation/")}
        return new

    def progress(self) -> str:
        """The latest progress for the live table: stage, steps, validation metric and the time left, as far as they are known."""
        metric = f"validation/{self.job.config.monitor.metric}"
        return progress_text(self.job.run, self._pace, metric, self._validation.get(metric)) or self.worker.note() or ""

    def new_note(self) -> str | None:
        """What the backend reports of a job that has not begun for some time, each message once."""
        note = self.worker.note() if self.seconds > NOTED_AFTER and self.stopped is None else None
        if note is None or note in self._noted:
            return None
        self._noted.add(note)
        return note

    def request_stop(self, why: str, *, pruned: bool = False) -> None:
        """Let the worker end in order; it is killed when it has not ended in time. The first reason is the one that is reported."""
        self.stopped, self._pruned = self.stopped or why, self._pruned or pruned
        self._deadline = time.monotonic() + PATIENCE_WITH_STOP
        self.worker.signal(signal.SIGTERM)

    def kill_if_late(self) -> None:
        """Kill a worker that has not ended in time after SIGTERM."""
        if time.monotonic() > self._deadline:
            self.worker.signal(signal.SIGKILL)

    def wait_until_stopped(self, *, impatient: bool) -> None:
        """Wait for a worker that got SIGTERM; impatient: kill it now."""
        if not self.worker.wait(0.0 if impatient else self._deadline - time.monotonic()):
            self.worker.signal(signal.SIGKILL)
            self.worker.wait(10.0)

    def settle(self, code: int) -> Outcome:
        """The outcome of the ended worker; the run's state is made true while it is still held, and everything is given back."""
        try:
            outcome = judge(self.job.run, code, stopped=self.stopped, pruned=self._pruned, reason=self.worker.note())
        finally:
            self.worker.close()
        notes = (*self.notes, *(_split_note(outcome.run) if outcome.state == "finished" else ()))
        return replace(outcome, seconds=self.seconds, notes=notes)


def begin(index: int, job: Frozen, backend: Backend, *, again: bool) -> Attempt | Outcome:
    """Start an attempt at a job, or return the outcome of a run that needs none; the run's state is read while its lock is held.

    A finished run is left as it is unless rerun=all; a failed one unless rerun is set or `again`, with which a retry is meant.

    Raises:
        Held: another process holds the run.
        ConfigError: the directory is damaged, or the job cannot run on this backend.
    """
    run = job.run
    if job.rerun != "all" and run.result() is not None:
        return _reuse(job)
    backend.check(job)
    lock = run.lock().acquire()
    try:
        state = run.state(ours=True)
        stays = {"finished": job.rerun != "all", "failed": job.rerun is None and not again}
        if not stays.get(state, False):
            return _start(index, job, state, backend, lock)
    except BaseException:
        lock.release()
        raise
    lock.release()
    if state == "finished":
        return _reuse(job)
    return Outcome(run, "failed", reused=True, error=run.status().error, notes=("failed before; rerun=failed runs it again",))


def _start(index: int, job: Frozen, state: str, backend: Backend, lock: Lock) -> Attempt:
    run = job.run
    if state in ("failed", "finished"):
        run.set_aside()
    run.make_folders()
    resumed = state in ("interrupted", "pruned")
    threads = _write_frozen(job, keep_threads=resumed)
    notes = ["resumed", *provenance.changes(run, threads)] if resumed else []
    return Attempt(index, job, backend.start(job, lock, threads), notes)


def _write_frozen(job: Frozen, *, keep_threads: bool) -> int:
    """Freeze this command's config: what it changes against an older one cannot change the result. Returns the threads to use.

    A run that resumes keeps its number of threads, which decides the order of sums.
    """
    run = job.run
    frozen, before = run.config, run.record
    threads = int(frozen["trainer"]["threads"]) if keep_threads else job.threads
    config = to_plain(replace(job.config, trainer=replace(job.config.trainer, threads=threads)))
    record = before.updated(job.record)
    if config != frozen or record != before:
        run.freeze(config, record)
    return threads


def _reuse(job: Frozen) -> Outcome:
    return Outcome(job.run, "finished", reused=True, notes=_split_note(job.run))


def _split_note(run: RunDirectory) -> tuple[str, ...]:
    note = in_pieces(run.record, run.config["batch"]["micro_batches"])
    return () if note is None else (note,)
