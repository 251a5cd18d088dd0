"""Many jobs from one command: checked together before any is started, launched, and recorded in <output_dir>/sweeps/<id>.json.

sweeps/latest.json points to the record of the last sweep that was asked for.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from finecomb.config.compose import Composition
from finecomb.core import atomic, files
from finecomb.core.machine import this_machine
from finecomb.launch.freeze import Checked, Frozen, check_all, place
from finecomb.launch.grouping import question
from finecomb.launch.launcher import launch
from finecomb.launch.outcome import Outcome
from finecomb.launch.policy import Policy
from finecomb.launch.progress import duration
from finecomb.launch.slots import planned
from finecomb.runs import show
from finecomb.runs.index import first_metric, short_error
from finecomb.studies.summary import tell_data

_console: ContextVar[Console | None] = ContextVar("console", default=None)


@contextmanager
def reported_to(console: Console) -> Iterator[None]:
    """Sweeps and searches that are started inside print their tables there."""
    token = _console.set(console)
    try:
        yield
    finally:
        _console.reset(token)


def report_console() -> Console:
    """Where tables go: standard output, unless `reported_to` says otherwise."""
    return _console.get() or Console(highlight=False)


class Sweep:
    """One command's jobs, which a sweeper may hand over in several batches. The first batch names the sweep."""

    def __init__(self, policy: Policy | None = None, *, console: Console | None = None) -> None:
        """policy: how jobs are run. console: where the table goes; None: standard output."""
        self.policy = policy or Policy()
        self.console = console or report_console()
        self.id = ""
        self._group: str | None = None
        self._path = Path()
        self._jobs: list[dict[str, Any]] = []

    @property
    def path(self) -> Path:
        """The record, <output_dir>/sweeps/<id>.json."""
        return self._path

    @property
    def folder(self) -> Path:
        """Where a search keeps its journal, beside the record."""
        return self._path.with_suffix("")

    def open(self, name: str, output_dir: Path) -> None:
        """Name the sweep before its jobs are known, as a search must."""
        self.id, self._path = name, output_dir / "sweeps" / f"{name}.json"

    def add(self, frozen: Sequence[Frozen]) -> None:
        """Record further jobs."""
        self._jobs += [_entry(job) for job in frozen]
        self._write()

    def run(self, compositions: Sequence[Composition]) -> list[Outcome]:
        """Bring a batch to its end, print its table and, as the last line, the path of the sweep's record.

        Raises:
            ConfigError: something is wrong with any of the jobs; nothing is started and no run directory is made then.
        """
        slots = planned([composition.config for composition in compositions], self.policy.slots, this_machine())
        checked = check_all(compositions, slots=slots)
        labels = varying([job.overrides for job in checked])
        if not self.id:
            self.open(sweep_id(checked, labels), checked[0].output_dir)
        self._group = self._group or question(checked)
        frozen = [replace(place(job, group=self._group), label=label) for job, label in zip(checked, labels, strict=True)]
        self.add(frozen)
        progress = any(job.config.callbacks.progress.enabled for job in checked)
        if progress:
            tell_data(frozen)
        try:
            outcomes = launch(frozen, replace(self.policy, slots=slots), progress=progress, sweep=True)
        except KeyboardInterrupt:
            self.console.print(f"stopped; the same command goes on where this one was: {self._path}", markup=False, soft_wrap=True)
            raise
        self._print(labels, outcomes)
        return outcomes

    def _write(self) -> None:
        """Runs are named relative to the output directory, so that the whole of it may be moved; their states are read from them."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        before = files.read_json(self._path) if self._path.exists() else {}
        # Jobs of an earlier command stay, and keep their numbers; new ones go on counting.
        known = {job["fingerprint"]: job for job in before.get("jobs", [])}
        jobs = list((known | {job["fingerprint"]: job for job in self._jobs}).values())
        record = {
            "id": self.id,
            "created": before.get("created", time.time()),
            "runs": list(dict.fromkeys(entry["run"] for entry in jobs)),
            "jobs": [{**job, "number": number} for number, job in enumerate(jobs)],
        }
        atomic.write_json(self._path, record)
        _point(self._path.with_name("latest.json"), self._path.name)

    def _print(self, labels: Sequence[str], outcomes: Sequence[Outcome]) -> None:
        metrics = [first_metric(outcome.run) for outcome in outcomes]
        name = next((found for found, _ in metrics if found), "metric")
        rows = [
            (label, outcome.state, value, _remark(outcome), outcome.run.path)
            for label, outcome, (_, value) in zip(labels, outcomes, metrics, strict=True)
        ]
        show.table(self.console, ["job", "state", name, "", "run"], rows)
        if outcomes and all(outcome.reused and outcome.state == "finished" for outcome in outcomes):
            self.console.print(f"all {len(outcomes)} runs had finished before; nothing was trained", markup=False)
        self.console.print(str(self._path), markup=False, soft_wrap=True)


def _point(link: Path, target: str) -> None:
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    os.replace(temporary, link)


def _remark(outcome: Outcome) -> str:
    if outcome.state == "finished":
        return "finished before" if outcome.reused else duration(outcome.seconds)
    return short_error(outcome.error)[:200]


def _entry(job: Frozen) -> dict[str, Any]:
    return {"run": job.run.path.name, "fingerprint": job.run.fingerprint, "overrides": job.record.overrides}


def varying(overrides: Sequence[Sequence[str]]) -> list[str]:
    """For each job the overrides that not all jobs have: what tells it from the others. All of them when there is one job."""
    shared = set.intersection(*map(set, overrides)) if len(overrides) > 1 else set()
    return [" ".join(word for word in job if word not in shared) or " ".join(job) or "defaults" for job in overrides]


def sweep_id(checked: Sequence[Checked], labels: Sequence[str]) -> str:
    """A name that the same runs, in whatever order they are asked for, always have: what varies, and a hash of the fingerprints."""
    keys = dict.fromkeys(word.split("=")[0].lstrip("+~").split(".")[-1] for label in labels for word in label.split(" ") if "=" in word)
    slug = re.sub(r"[^a-z0-9_]+", "-", "-".join(keys).lower()).strip("-")[:40]
    digest = hashlib.sha256("".join(sorted({job.fingerprint for job in checked})).encode()).hexdigest()[:8]
    return f"{slug or 'sweep'}-{digest}"
