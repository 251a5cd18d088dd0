"""Runs frozen jobs, each in processes of its own, and says what became of them.

A finished run is returned as it is, an interrupted one goes on from its last checkpoint, a failed one is reported and runs again only with
retry=failed, one that another process holds is refused or, in a sweep, waited for at the end.
"""

from __future__ import annotations

import math
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from finecomb.assets.cache import cache_dir, megabytes
from finecomb.config.errors import Problem, UserError, problems_text
from finecomb.config.machine import this_machine
from finecomb.runs import atomic, provenance
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Held, Lock
from finecomb.studies.board import Board
from finecomb.studies.freeze import Frozen
from finecomb.studies.processes import Workers, log_path
from finecomb.studies.signals import Interruption, Signals
from finecomb.studies.slots import Gpus, gpu_names, how_many

POLL = 0.1  # seconds between looks at the workers
ASK_AGAIN = 0.5  # seconds between looks at a run that another process holds
PATIENCE_WITH_HOLDER = 2.0  # a holder may be about to end, as when its worker was killed a moment ago
PATIENCE_WITH_ORPHAN = 60.0  # a worker whose command was killed ends by itself; how long it may take
PATIENCE_WITH_STOP = 20.0  # seconds a worker has to stop when asked politely


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    state: finished, failed, interrupted, or "not started" (after a failure with fail_fast, or a stop).
    reused: finished before; nothing was trained. error: why it did not finish. user_error: the user can mend it.
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
    """0 when all finished, 2 when only the user's errors stand in the way, else 1."""
    bad = [outcome for outcome in outcomes if outcome.state != "finished"]
    if not bad:
        return 0
    return 2 if all(outcome.user_error for outcome in bad) else 1


def launch(
    frozen: Sequence[Frozen],
    *,
    slots: int | None = None,
    fail_fast: bool = False,
    progress: bool = True,
    sweep: bool | None = None,
) -> list[Outcome]:
    """Bring every job to its end; outcomes in the order of the jobs. Jobs with one fingerprint are one run.

    slots: jobs at once; None: one for each set of GPUs, one on a CPU. fail_fast: stop everything at the first failure.
    progress: show a live table on a terminal, and one line for each ended job elsewhere.
    sweep: wait for runs that another process holds; None: when there are several jobs.

    Raises:
        UserError: a single run is held by another process.
        Interruption: Ctrl-C or SIGTERM; the workers have been stopped and their runs are marked interrupted.
    """
    for job in frozen:
        if int(job.config["trainer"]["num_nodes"]) > 1:
            raise UserError(_several_nodes(job))
    waits = len(frozen) > 1 if sweep is None else sweep
    with Board([job.label for job in frozen], show=progress) as board, Signals() as signals:
        launcher = _Launcher(list(frozen), slots=slots, fail_fast=fail_fast, waits=waits, board=board, signals=signals)
        return launcher.run()


@dataclass
class _Running:
    index: int
    job: Frozen
    workers: Workers
    notes: list[str] = field(default_factory=list)


class _Launcher:
    """The state of one `launch`: jobs that wait, run, are held elsewhere, or have ended."""

    def __init__(self, jobs: list[Frozen], *, slots: int | None, fail_fast: bool, waits: bool, board: Board, signals: Signals) -> None:
        self.jobs, self.fail_fast, self.waits, self.board, self.signals = jobs, fail_fast, waits, board, signals
        machine = this_machine()
        needs_gpu = any(job.gpu for job in jobs)
        self.slots = how_many(slots, needs_gpu=needs_gpu, processes=max((job.processes for job in jobs), default=1), machine=machine)
        self.gpus = Gpus(gpu_names(machine))
        self.outcomes: dict[int, Outcome] = {}
        self.running: list[_Running] = []
        self.held: list[tuple[int, float]] = []  # which job, and since when
        first: dict[Path, int] = {}
        self.same = {index: first.setdefault(job.run.path, index) for index, job in enumerate(jobs)}
        self.waiting = deque(sorted(set(self.same.values())))

    def run(self) -> list[Outcome]:
        """Go on until every job has ended; on any exception, Ctrl-C included, stop the workers first."""
        try:
            while self.waiting or self.running or self.held:
                self.signals.check()
                self._start_some()
                self._settle_ended()
                self._ask_again()
                self._mind_failures()
                self.board.refresh([(running.index, running.job.run) for running in self.running])
                if self.running or self.held:
                    time.sleep(POLL)
        except BaseException:
            self._stop("stopped before it ended")
            raise
        return [self._outcome(index) for index in range(len(self.jobs))]

    def _outcome(self, index: int) -> Outcome:
        first = self.same[index]
        outcome = self.outcomes.get(first) or Outcome(self.jobs[first].run, "not started")
        return outcome if first == index else replace(outcome, seconds=0.0, notes=(*outcome.notes, "the same run as an earlier job"))

    def _start_some(self) -> None:
        while self.waiting and len(self.running) < self.slots:
            index = self.waiting.popleft()
            try:
                self._begin(index)
            except Held as held:
                self._put_aside(index, held)
            except UserError as error:
                self._end(index, Outcome(self.jobs[index].run, "failed", error=str(error), user_error=True))

    def _begin(self, index: int) -> None:
        """Start the job, unless its run needs nothing; what it needs is read while we hold it."""
        job, run = self.jobs[index], self.jobs[index].run
        if run.result() is not None:
            return self._end(index, _reuse(job))
        lock = run.lock().acquire()
        try:
            state = run.state(ours=True)
            if state == "finished" or (state == "failed" and not job.retry):
                self._end(index, _reuse(job) if state == "finished" else _failed_before(run))
            else:
                self._start(index, state, lock)
                return
        except BaseException:
            lock.release()
            raise
        lock.release()

    def _start(self, index: int, state: str, lock: Lock) -> None:
        job, run = self.jobs[index], self.jobs[index].run
        if state == "failed":
            run.set_aside()
        run.make_folders()
        threads = _write_frozen(job, keep_threads=state == "interrupted")
        gpus = self.gpus.take(job.processes) if job.gpu else None
        try:
            workers = Workers(run, lock, processes=job.processes, threads=threads, gpus=gpus)
        except BaseException:
            self.gpus.give_back(gpus or ())
            raise
        notes = ["resumed", *provenance.changes(run, threads)] if state == "interrupted" else []
        self.running.append(_Running(index, job, workers, notes))
        self.board.started(index, run, notes)

    def _put_aside(self, index: int, held: Held) -> None:
        self.held.append((index, time.monotonic()))
        if _is_orphan(held):
            self.board.note(index, "waiting for the worker of a killed command to end")
        elif self.waits:
            self.board.note(index, f"waiting: {held}")

    def _ask_again(self) -> None:
        """Once nothing else is left to start, come back to the runs that another process held."""
        if self.waiting or not self.held or len(self.running) >= self.slots:
            return
        if not self.running:
            time.sleep(ASK_AGAIN - POLL)
        index, since = self.held.pop(0)
        try:
            self._begin(index)
        except UserError as error:
            self._end(index, Outcome(self.jobs[index].run, "failed", error=str(error), user_error=True))
        except Held as held:
            patience = PATIENCE_WITH_ORPHAN if _is_orphan(held) else math.inf if self.waits else PATIENCE_WITH_HOLDER
            if time.monotonic() - since > patience:
                raise UserError(_held(self.jobs[index].run, held)) from held
            self.held.append((index, since))

    def _settle_ended(self) -> None:
        for running in list(self.running):
            code = running.workers.poll()
            if code is not None:
                self._settle(running, code)

    def _mind_failures(self) -> None:
        if self.fail_fast and any(outcome.state != "finished" for outcome in self.outcomes.values()):
            self.waiting.clear()
            self.held.clear()
            self._stop("stopped because another job failed")

    def _settle(self, running: _Running, code: int, *, stopped: str | None = None) -> None:
        """The workers of a job have ended: make its state true, while we still hold it, and give everything back."""
        self.running.remove(running)
        self.gpus.give_back(running.workers.gpus)
        try:
            outcome = judge(running.job.run, code, stopped=stopped)
        finally:
            running.workers.close()
        seconds = time.monotonic() - running.workers.started
        self._end(running.index, replace(outcome, seconds=seconds, notes=tuple(running.notes)))

    def _end(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.board.ended(index, outcome.run, outcome.state, outcome.seconds, outcome.reused, outcome.error)

    def _stop(self, why: str) -> None:
        """Ask every worker to stop, and make it stop when it does not in time."""
        for running in self.running:
            running.workers.signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_WITH_STOP
        for running in list(self.running):
            if not running.workers.wait(0.0 if self.signals.impatient else deadline - time.monotonic()):
                running.workers.signal(signal.SIGKILL)
                running.workers.wait(10.0)
            self._settle(running, running.workers.poll() or 0, stopped=why)


def judge(run: RunDirectory, code: int, *, stopped: str | None = None) -> Outcome:
    """What an ended worker has made of its run; writes the state when the worker could not. The caller holds the run.

    code: its exit code, negative for a signal. stopped: why we stopped it, None when we did not.
    """
    if run.result() is not None:
        return Outcome(run, "finished")
    if code == atomic.DISK_FULL:
        error = _disk_full(run)
        _say(run, "interrupted", error)
        return Outcome(run, "interrupted", error=error, user_error=True)
    status = run.status()
    if status.state == "failed":
        return Outcome(run, "failed", error=status.error, user_error=code == 2)
    if stopped is not None or status.state == "interrupted" or code < 0:
        error = stopped or (_killed(-code) if code < 0 else status.error or "interrupted")
        _say(run, "interrupted", error)
        return Outcome(run, "interrupted", error=error)
    error = _tail(log_path(run, 0)) or f"the worker ended with exit code {code} and without a result"
    _say(run, "failed", error)
    return Outcome(run, "failed", error=error, user_error=code == 2)


def _disk_full(run: RunDirectory) -> str:
    """The screen of a worker that could write no more: how much room there is for runs and for the cache, which may be another disk."""
    places = {"output_dir": run.path, "FINECOMB_CACHE": cache_dir()}
    free = [f"{name} {path}: {megabytes(shutil.disk_usage(path).free)} free" for name, path in places.items() if path.exists()]
    mend = "make room there, or set them to folders on another disk; asked again, the run goes on from its last checkpoint"
    return problems_text([Problem("the disk is full", "; ".join(free), mend=mend)])


def _say(run: RunDirectory, state: str, error: str) -> None:
    try:
        run.set_status(state, error=error)
    except UserError:
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


def _reuse(job: Frozen) -> Outcome:
    return Outcome(job.run, "finished", reused=True)


def _failed_before(run: RunDirectory) -> Outcome:
    return Outcome(run, "failed", reused=True, error=run.status().error, notes=("failed before; retry=failed runs it again",))


def _write_frozen(job: Frozen, *, keep_threads: bool) -> int:
    """Freeze this command's config: what it changes against an older one cannot change the result. Returns the threads to use.

    A run that goes on keeps its number of threads, which decides the order of sums.
    """
    run = job.run
    config, threads = job.config, job.threads
    old = run.config
    if keep_threads and int(old["trainer"]["threads"]) != threads:
        threads = int(old["trainer"]["threads"])
        config = {**config, "trainer": {**config["trainer"], "threads": threads}}
    before = run.record
    record = {**before, **job.record, "group": job.record["group"] or before.get("group")}
    if config != old or record != before:
        run.freeze(config, record)
    return threads


def _is_orphan(held: Held) -> bool:
    """Whether the command that took the run is dead, so that only its worker can still hold it, which will end by itself."""
    return held.owner is not None and held.owner.alive() is False


def _held(run: RunDirectory, held: Held) -> Problem:
    return Problem(
        what=str(held),
        where=str(run.path),
        mend="wait for it to end (finecomb runs shows its progress), or stop that process",
    )


def _several_nodes(job: Frozen) -> Problem:
    return Problem(
        what=f"trainer.num_nodes={job.config['trainer']['num_nodes']}: this command starts processes on one machine",
        where="trainer.num_nodes",
        mend=f"start the worker on every machine by torchrun or srun: python -m finecomb.training.worker {job.run.path}",
    )


__all__ = ["Interruption", "Outcome", "exit_code", "judge", "launch"]
