"""Runs frozen jobs, each in processes of its own, and returns their outcomes.

A finished run is returned as it is, unless rerun=all; an interrupted one resumes from its last checkpoint; a failed one is reported and
runs again only with rerun=failed or rerun=all; one that another process holds is refused or, in a sweep, waited for at the end.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from finecomb.core.errors import ConfigError
from finecomb.core.machine import this_machine
from finecomb.launch.attempt import Attempt, begin
from finecomb.launch.freeze import Frozen
from finecomb.launch.job_queue import Feed, HeldRuns, JobQueue, Listed
from finecomb.launch.mirror_finished import mirror_finished
from finecomb.launch.outcome import Outcome
from finecomb.launch.policy import Policy, Retries
from finecomb.launch.progress import LiveTable
from finecomb.launch.signals import Interruption, Signals
from finecomb.launch.slots import how_many
from finecomb.launch.workers import LocalBackend
from finecomb.runs.lock import Held

POLL = 0.1  # seconds between looks at the workers
ASK_AGAIN = 0.5  # seconds between looks at a run that another process holds


def launch(frozen: Sequence[Frozen], policy: Policy | None = None, *, progress: bool = True, sweep: bool | None = None) -> list[Outcome]:
    """Bring every job to its end; outcomes in the order of the jobs. Jobs with one fingerprint are one run.

    progress: show a live table on a terminal, and one line for each ended job elsewhere.
    sweep: wait for runs that another process holds; None: when there are several jobs.

    Raises:
        ConfigError: a job cannot run on the policy's backend, or a single run is held by another process.
        Interruption: Ctrl-C or SIGTERM; the workers have been stopped and their runs are marked interrupted.
    """
    policy = _completed(policy or Policy())
    assert policy.backend is not None
    for job in frozen:
        policy.backend.check(job)
    waits = len(frozen) > 1 if sweep is None else sweep
    processes = max((job.processes for job in frozen), default=1)
    slots = how_many(policy.slots, needs_gpu=any(job.gpu for job in frozen), processes=processes, machine=this_machine())
    outcomes = _run(Listed(frozen), replace(policy, slots=slots), progress=progress, waits=waits, expected=len(frozen))
    return outcomes + [Outcome(job.run, "not started") for job in frozen[len(outcomes) :]]


def launch_feed(feed: Feed, policy: Policy, *, progress: bool = True, expected: int | None = None) -> list[Outcome]:
    """Bring to their end all jobs that the feed hands out, in that order. expected: how many there will be, where known.

    Raises as `launch` does. policy.slots None means one.
    """
    return _run(feed, replace(_completed(policy), slots=policy.slots or 1), progress=progress, waits=True, expected=expected)


def _completed(policy: Policy) -> Policy:
    return replace(policy, backend=policy.backend or LocalBackend())


def _run(feed: Feed, policy: Policy, *, progress: bool, waits: bool, expected: int | None) -> list[Outcome]:
    with LiveTable(expected, show=progress) as table, Signals() as signals:
        launcher = _Launcher(feed, policy, waits=waits, table=table, signals=signals)
        outcomes = launcher.run()
    mirror_finished(zip(launcher.queue.jobs, outcomes, strict=True))
    return outcomes


class _Launcher:
    """The loop of one launch."""

    def __init__(self, feed: Feed, policy: Policy, *, waits: bool, table: LiveTable, signals: Signals) -> None:
        self.feed, self.policy, self.table, self.signals = feed, policy, table, signals
        self.queue = JobQueue(feed)
        self.held = HeldRuns(forever=waits)
        self.retries = Retries(policy.retries)
        self.running: list[Attempt] = []

    @property
    def _has_room(self) -> bool:
        return len(self.running) < (self.policy.slots or 1)

    def run(self) -> list[Outcome]:
        """Go on until every job has ended; on any exception, Ctrl-C included, stop the workers first."""
        try:
            while self.running or self.held or not self.queue.done():
                self.signals.check()
                self._start_some()
                self._watch()
                self._try_held()
                if self.policy.fail_fast and self.queue.has_failure():
                    self.queue.close()
                    self.held.clear()
                    self._stop("stopped because another job failed")
                self.table.refresh([(attempt.index, attempt.progress) for attempt in self.running])
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
        return [self.queue.outcome(index) for index in range(len(self.queue.jobs))]

    def _start_some(self) -> None:
        while self._has_room and (index := self.queue.next()) is not None:
            try:
                self._begin(index)
            except Held as held:
                if note := self.held.add(index, held):
                    self.table.note(index, self.queue.jobs[index].label, note)

    def _try_held(self) -> None:
        """Once nothing else is left to start, come back to a run that another process held."""
        if self.queue.waits or not self.held or not self._has_room:
            return
        if not self.running:
            time.sleep(ASK_AGAIN - POLL)
        index, since = self.held.next()
        try:
            self._begin(index)
        except Held as held:
            self.held.add_again(index, since, self.queue.jobs[index].run, held)

    def _begin(self, index: int) -> None:
        job = self.queue.jobs[index]
        assert self.policy.backend is not None
        try:
            begun = begin(index, job, self.policy.backend, again=self.retries.is_again(index))
        except ConfigError as error:
            begun = Outcome(job.run, "failed", error=str(error), user_error=True)
        if isinstance(begun, Outcome):
            self._end(index, begun)
        else:
            self.running.append(begun)
            self.table.started(index, job.label, begun.notes)

    def _watch(self) -> None:
        """Show new metrics to the feed, mind the clock, and settle what has ended."""
        for attempt in list(self.running):
            if attempt.stopped is not None:
                attempt.kill_if_late()
            elif (lines := attempt.new_lines()) and self.feed.stop(attempt.job, lines):
                attempt.request_stop("pruned: the search had seen enough of it", pruned=True)
            elif self.policy.timeout is not None and attempt.seconds > self.policy.timeout:
                attempt.request_stop(f"stopped after {self.policy.timeout:g} s (timeout); the same command resumes it")
            code = attempt.worker.poll()
            if code is not None:
                self._settle(attempt, code)
            elif note := attempt.new_note():
                self.table.report(attempt.job.label, note)

    def _settle(self, attempt: Attempt, code: int) -> None:
        self.running.remove(attempt)
        outcome = attempt.settle(code)
        again = None if attempt.stopped is not None else self.retries.next(attempt.index, attempt.job, outcome)
        if again is None:
            self._end(attempt.index, outcome)
        else:
            self.table.note(attempt.index, attempt.job.label, again)
            self.queue.put_back(attempt.index)

    def _end(self, index: int, outcome: Outcome) -> None:
        if outcome.state == "finished" and not self.policy.keep_checkpoints:
            outcome.run.drop_checkpoints()
        self.table.ended(index, self.queue.jobs[index].label, outcome)
        self.queue.end(index, outcome)

    def _stop(self, why: str, *, pruned: bool = False) -> None:
        """Ask every worker to stop, and make it stop when it does not in time."""
        for attempt in self.running:
            attempt.request_stop(why, pruned=pruned)
        for attempt in list(self.running):
            attempt.wait_until_stopped(impatient=self.signals.impatient)
            self._settle(attempt, attempt.worker.poll() or 0)
