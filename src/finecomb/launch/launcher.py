"""Runs frozen jobs, each in processes of its own, and says what became of them.

A finished run is returned as it is, unless rerun=all; an interrupted one resumes from its last checkpoint; a failed one is reported and
runs again only with rerun=failed or rerun=all; one that another process holds is refused or, in a sweep, waited for at the end.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from finecomb.config.plain import to_plain
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import this_machine
from finecomb.launch.board import Board
from finecomb.launch.feed import Feed, Listed, Policy
from finecomb.launch.freeze import Frozen
from finecomb.launch.mirror_finished import mirror_finished
from finecomb.launch.outcome import Outcome, exit_code, in_pieces, judge, out_of_memory
from finecomb.launch.signals import Interruption, Signals
from finecomb.launch.slots import Gpus, gpu_names, how_many
from finecomb.launch.slurm import Queue, SlurmWorkers
from finecomb.launch.workers import Workers
from finecomb.runs import provenance
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import short_error
from finecomb.runs.lock import Held, Lock

POLL = 0.1  # seconds between looks at the workers
ASK_AGAIN = 0.5  # seconds between looks at a run that another process holds
PATIENCE_WITH_HOLDER = 2.0  # a holder may be about to end, as when its worker was killed a moment ago
PATIENCE_WITH_ORPHAN = 60.0  # a worker whose command was killed ends by itself; how long it may take
PATIENCE_WITH_STOP = 20.0  # seconds a worker has to stop when asked politely


def launch(frozen: Sequence[Frozen], policy: Policy | None = None, *, progress: bool = True, sweep: bool | None = None) -> list[Outcome]:
    """Bring every job to its end; outcomes in the order of the jobs. Jobs with one fingerprint are one run.

    progress: show a live table on a terminal, and one line for each ended job elsewhere.
    sweep: wait for runs that another process holds; None: when there are several jobs.

    Raises:
        ConfigError: a single run is held by another process.
        Interruption: Ctrl-C or SIGTERM; the workers have been stopped and their runs are marked interrupted.
    """
    policy = policy or Policy()
    for job in frozen:
        if job.config.trainer.num_nodes > 1 and policy.slurm is None:
            raise ConfigError(_several_nodes(job))
    waits = len(frozen) > 1 if sweep is None else sweep
    processes = max((job.processes for job in frozen), default=1)
    slots = how_many(policy.slots, needs_gpu=any(job.gpu for job in frozen), processes=processes, machine=this_machine())
    found = _run(Listed(frozen), replace(policy, slots=slots), progress=progress, waits=waits, expected=len(frozen))
    return found + [Outcome(job.run, "not started") for job in frozen[len(found) :]]


def launch_feed(feed: Feed, policy: Policy, *, progress: bool = True, expected: int | None = None) -> list[Outcome]:
    """Bring to their end all jobs that the feed hands out, in that order. expected: how many there will be, where known.

    Raises as `launch` does. policy.slots None means one.
    """
    return _run(feed, replace(policy, slots=policy.slots or 1), progress=progress, waits=True, expected=expected)


def _run(feed: Feed, policy: Policy, *, progress: bool, waits: bool, expected: int | None) -> list[Outcome]:
    with Board(expected, show=progress) as board, Signals() as signals:
        launcher = _Launcher(feed, policy, waits=waits, board=board, signals=signals)
        outcomes = launcher.run()
    mirror_finished(zip(launcher.jobs, outcomes, strict=True))
    return outcomes


@dataclass
class _Running:
    index: int
    job: Frozen
    workers: Workers | SlurmWorkers
    notes: list[str] = field(default_factory=list)
    size: int = 0  # of metrics.jsonl when it was last read
    lines: int = 0  # of it that the feed has seen
    new: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None  # why we have asked it to stop
    pruned: bool = False
    deadline: float = math.inf  # when it is killed, once it was asked to stop


class _Launcher:
    """The state of one `launch`: jobs that wait, run, are held elsewhere, or have ended."""

    def __init__(self, feed: Feed, policy: Policy, *, waits: bool, board: Board, signals: Signals) -> None:
        self.feed, self.policy, self.waits, self.board, self.signals = feed, policy, waits, board, signals
        self.slots = policy.slots or 1
        self.jobs: list[Frozen] = []
        self.gpus = Gpus(gpu_names(this_machine()))
        self.queue = Queue()
        self.outcomes: dict[int, Outcome] = {}
        self.running: list[_Running] = []
        self.held: list[tuple[int, float]] = []  # which job, and since when
        self.first: dict[Path, int] = {}  # the job that a run directory was first asked for
        self.same: dict[int, int] = {}
        self.waiting: deque[int] = deque()
        self.retried: dict[int, int] = {}

    def run(self) -> list[Outcome]:
        """Go on until every job has ended; on any exception, Ctrl-C included, stop the workers first."""
        try:
            while self.waiting or self.running or self.held or not self.feed.done():
                self.signals.check()
                self._start_some()
                self._watch()
                self._settle_ended()
                self._ask_again()
                self._mind_failures()
                self.board.refresh([(running.index, running.job.run) for running in self.running])
                if self.running or self.held:
                    time.sleep(POLL)
        except Interruption as stop:
            # W&B's agent ends a run that is not worth its while by SIGTERM.
            pruned = stop.exit_code == 128 + signal.SIGTERM and "WANDB_SWEEP_ID" in os.environ
            self._stop("stopped early by the W&B agent" if pruned else "stopped before it ended", pruned=pruned)
            if not pruned:
                raise
            self.signals.forget()
        except BaseException:
            self._stop("stopped before it ended")
            raise
        return [self._outcome(index) for index in range(len(self.jobs))]

    def _outcome(self, index: int) -> Outcome:
        first = self.same[index]
        outcome = self.outcomes.get(first) or Outcome(self.jobs[first].run, "not started")
        return outcome if first == index else replace(outcome, seconds=0.0, notes=(*outcome.notes, "the same run as an earlier job"))

    def _take(self) -> bool:
        """Take the next job from the feed, if there is one now and nothing waits."""
        job = None if self.waiting or self.feed.done() else self.feed.next()
        if job is None:
            return bool(self.waiting)
        index = len(self.jobs)
        self.jobs.append(job)
        self.board.add(job.label)
        self.same[index] = self.first.setdefault(job.run.path, index)
        if self.same[index] == index:
            self.waiting.append(index)
        elif index != self.same[index] and self.same[index] in self.outcomes:
            self.feed.ended(job, self._outcome(index))
        return True

    def _start_some(self) -> None:
        while len(self.running) < self.slots and self._take():
            if not self.waiting:
                continue
            index = self.waiting.popleft()
            try:
                self._begin(index)
            except Held as held:
                self._put_aside(index, held)
            except ConfigError as error:
                self._end(index, Outcome(self.jobs[index].run, "failed", error=str(error), user_error=True))

    def _begin(self, index: int) -> None:
        """Start the job, unless its run needs nothing; what it needs is read while we hold it."""
        job, run = self.jobs[index], self.jobs[index].run
        if job.rerun != "all" and run.result() is not None:
            return self._end(index, _reuse(job))
        lock = run.lock().acquire()
        try:
            state = run.state(ours=True)
            again = {"finished": job.rerun == "all", "failed": job.rerun is not None or index in self.retried}
            if not again.get(state, True):
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
        if state in ("failed", "finished"):
            run.set_aside()
        run.make_folders()
        resumed = state in ("interrupted", "pruned")
        threads = _write_frozen(job, keep_threads=resumed)
        workers = self._workers(job, lock, threads)
        notes = ["resumed", *provenance.changes(run, threads)] if resumed else []
        self.running.append(_Running(index, job, workers, notes))
        self.board.started(index, run, notes)

    def _workers(self, job: Frozen, lock: Lock, threads: int) -> Workers | SlurmWorkers:
        if self.policy.slurm is not None:
            nodes = job.config.trainer.num_nodes
            return SlurmWorkers(job.run, lock, self.policy.slurm, self.queue, ranks=job.processes, nodes=nodes, threads=threads)
        gpus = self.gpus.take(job.processes) if job.gpu else None
        try:
            return Workers(job.run, lock, processes=job.processes, threads=threads, gpus=gpus)
        except BaseException:
            self.gpus.give_back(gpus or ())
            raise

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
        except ConfigError as error:
            self._end(index, Outcome(self.jobs[index].run, "failed", error=str(error), user_error=True))
        except Held as held:
            patience = PATIENCE_WITH_ORPHAN if _is_orphan(held) else math.inf if self.waits else PATIENCE_WITH_HOLDER
            if time.monotonic() - since > patience:
                raise ConfigError(_held(self.jobs[index].run, held)) from held
            self.held.append((index, since))

    def _watch(self) -> None:
        """Show new metrics to the feed, mind the clock, and kill what does not stop when asked."""
        now = time.monotonic()
        for running in self.running:
            if running.stopped is not None:
                if now > running.deadline:
                    running.workers.signal(signal.SIGKILL)
                continue
            if self._new_lines(running) and self.feed.stop(running.job, running.new):
                running.pruned = True
                self._ask_to_stop(running, "pruned: the search had seen enough of it")
            elif self.policy.timeout is not None and now - running.workers.started > self.policy.timeout:
                self._ask_to_stop(running, f"stopped after {self.policy.timeout:g} s (timeout); asked again, it goes on")

    def _new_lines(self, running: _Running) -> bool:
        """Whether metrics.jsonl has lines that the feed has not seen; they are in `new`."""
        path = running.job.run.path / "metrics.jsonl"
        size = path.stat().st_size if path.exists() else 0
        if size == running.size:
            return False
        lines = running.job.run.metrics()
        running.size, running.new, running.lines = size, lines[running.lines :], len(lines)
        return bool(running.new)

    def _ask_to_stop(self, running: _Running, why: str) -> None:
        running.stopped, running.deadline = why, time.monotonic() + PATIENCE_WITH_STOP
        running.workers.signal(signal.SIGTERM)

    def _settle_ended(self) -> None:
        for running in list(self.running):
            code = running.workers.poll()
            if code is not None:
                self._settle(running, code)

    def _mind_failures(self) -> None:
        if self.policy.fail_fast and any(outcome.state not in ("finished", "pruned") for outcome in self.outcomes.values()):
            self.waiting.clear()
            self.held.clear()
            self._stop("stopped because another job failed")
            self.feed = Listed(())

    def _settle(self, running: _Running, code: int, *, stopped: str | None = None) -> None:
        """The workers of a job have ended: make its state true, while we still hold it, and give everything back."""
        self.running.remove(running)
        self.gpus.give_back(running.workers.gpus)
        try:
            outcome = judge(running.job.run, code, stopped=stopped or running.stopped, pruned=running.pruned)
        finally:
            running.workers.close()
        seconds = time.monotonic() - running.workers.started
        if stopped is None and running.stopped is None and self._try_again(running, outcome):
            return
        notes = (*running.notes, *(_smaller(outcome.run) if outcome.state == "finished" else ()))
        self._end(running.index, replace(outcome, seconds=seconds, notes=notes))

    def _try_again(self, running: _Running, outcome: Outcome) -> bool:
        """Whether the job is put back: in smaller pieces for want of memory, or as it was while there are retries left."""
        index, run = running.index, running.job.run
        if outcome.state not in ("failed", "interrupted") or outcome.user_error:
            return False
        pieces = _more_pieces(running.job) if out_of_memory(outcome) else None
        if pieces is not None:
            run.write_record(replace(run.record, pieces=pieces))
            self.board.note(index, f"out of memory: again with each batch in {pieces} pieces")
        elif self.retried.get(index, 0) < self.policy.retries:
            self.board.note(
                index, f"{outcome.state}: {short_error(outcome.error)}; retry {self.retried.get(index, 0) + 1} of {self.policy.retries}"
            )
            self.retried[index] = self.retried.get(index, 0) + 1
        else:
            return False
        self.retried.setdefault(index, 0)
        self.waiting.appendleft(index)
        return True

    def _end(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        if outcome.state == "finished" and not self.policy.keep_checkpoints:
            outcome.run.drop_checkpoints()
        self.board.ended(index, outcome.run, outcome.state, outcome.seconds, outcome.reused, outcome.error)
        for each, first in self.same.items():
            if first == index:
                self.feed.ended(self.jobs[each], self._outcome(each))

    def _stop(self, why: str, *, pruned: bool = False) -> None:
        """Ask every worker to stop, and make it stop when it does not in time."""
        for running in self.running:
            running.pruned = running.pruned or pruned
            running.workers.signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_WITH_STOP
        for running in list(self.running):
            if not running.workers.wait(0.0 if self.signals.impatient else deadline - time.monotonic()):
                running.workers.signal(signal.SIGKILL)
                running.workers.wait(10.0)
            self._settle(running, running.workers.poll() or 0, stopped=why)


def _more_pieces(job: Frozen) -> int | None:
    """The next number of micro-batches that divides the batch, at least twice as many as now; None when each holds one example already."""
    batch, ranks = job.config.batch, job.processes * job.config.trainer.num_nodes
    now, size = job.run.record.pieces or batch.micro_batches, batch.size
    return next((pieces for pieces in range(2 * now, size // ranks + 1) if size % (pieces * ranks) == 0), None)


def _reuse(job: Frozen) -> Outcome:
    return Outcome(job.run, "finished", reused=True, notes=_smaller(job.run))


def _smaller(run: RunDirectory) -> tuple[str, ...]:
    note = in_pieces(run.record, run.config["batch"]["micro_batches"])
    return () if note is None else (note,)


def _failed_before(run: RunDirectory) -> Outcome:
    return Outcome(run, "failed", reused=True, error=run.status().error, notes=("failed before; rerun=failed runs it again",))


def _write_frozen(job: Frozen, *, keep_threads: bool) -> int:
    """Freeze this command's config: what it changes against an older one cannot change the result. Returns the threads to use.

    A run that goes on keeps its number of threads, which decides the order of sums.
    """
    run = job.run
    frozen, before = run.config, run.record
    threads = int(frozen["trainer"]["threads"]) if keep_threads else job.threads
    config = to_plain(replace(job.config, trainer=replace(job.config.trainer, threads=threads)))
    record = before.updated(job.record)
    if config != frozen or record != before:
        run.freeze(config, record)
    return threads


def _is_orphan(held: Held) -> bool:
    """Whether the command that took the run is dead, so that only its worker can still hold it, which will end by itself."""
    return held.owner is not None and held.owner.alive() is False


def _held(run: RunDirectory, held: Held) -> Problem:
    return Problem(
        what=str(held),
        where=str(run.path),
        hint="wait for it to end (finecomb runs shows its progress), or stop that process",
    )


def _several_nodes(job: Frozen) -> Problem:
    return Problem(
        what=f"trainer.num_nodes={job.config.trainer.num_nodes}: this command starts processes on one machine",
        where="trainer.num_nodes",
        hint=f"start the worker on every machine by torchrun or srun: python -m finecomb.training.worker {job.run.path}",
    )


__all__ = ["Feed", "Interruption", "Outcome", "Policy", "exit_code", "judge", "launch", "launch_feed"]
