"""The dry run of a study: what there is to do, what is done, and how long the rest may take. Trains nothing, fetches nothing."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from finecomb.config.compose import Composer, compose
from finecomb.config.plugins import lower_is_better
from finecomb.core.errors import ConfigError
from finecomb.core.machine import this_machine
from finecomb.launch.freeze import check
from finecomb.launch.progress import duration
from finecomb.launch.slots import planned
from finecomb.runs import show
from finecomb.runs.directory import RunDirectory, find
from finecomb.studies.plan import study as studies
from finecomb.studies.plan.study_plan import SEQUENTIAL, Job, StudyPlan, confirm_jobs
from finecomb.studies.search import tune

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "not known"


@dataclass(frozen=True)
class DryRun:
    """What a study still has to do: a row for each arm and column with its trials and seeds by state, then totals and the expected time."""

    header: list[str]
    rows: list[list[str]]
    lines: list[str]

    def show(self, console: Console) -> None:
        """Print it."""
        show.table(console, self.header, self.rows)
        for line in self.lines:
            console.print(line, markup=False, soft_wrap=True)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a table."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=self.header)

    def __str__(self) -> str:
        text = io.StringIO()
        self.show(Console(file=text, highlight=False, width=200))
        return text.getvalue().rstrip()

    __repr__ = __str__


def dry_run(study: StudyPlan, *, slots: int | None = None) -> DryRun:
    """Look at each cell's trials and seeds, without training or fetching anything.

    Raises ConfigError for anything that composing finds. What needs data that are not here is shown as not known.
    """
    studies.check(study)
    metrics = studies.column_metrics(study)
    trials = list(_trial_jobs(study))
    with _offline():
        known = _look(trials)
        # Which setting an arm is confirmed with is known once its trials have finished.
        chosen = _chosen(study, known, metrics)
        known |= _look(confirm_jobs(study, chosen))
    rows, waiting = [], 0
    for arm, column in study.cells():
        own_jobs = [job for job in known if (job.arm, job.column) == (arm.name, column.name)]
        seeds = [known[job].state for job in own_jobs if job.role == "confirm"] or ["waits for its trials"] * len(arm.seeds)
        tried = [known[job].state for job in own_jobs if job.role == "trial"]
        if study.tune is not None and study.tune.search in SEQUENTIAL:
            tried = ["asked one after the other"] * (study.tune.trials or 0)
        waiting += sum(state != "finished" for state in [*tried, *seeds])
        setting = " ".join(chosen.get((arm.name, column.name), ()))
        rows.append([arm.name, *([column.name] if column.name else []), _counted(tried), setting, _counted(seeds)])
    several = any(column.name for column in study.columns)
    header = ["arm", *(["column"] if several else []), "trials", "chosen", "seeds"]
    reasons = Counter(found.why for found in known.values() if found.why)
    lines = [f"{count} jobs {UNKNOWN}: {why}" for why, count in reasons.items()]
    asked = (study.tune.trials or 0) if study.tune is not None and study.tune.search in SEQUENTIAL else 0
    total = len(trials) + asked * len(rows) + sum(len(arm.seeds) for arm in study.arms) * len(study.columns)
    lines.append(f"{total} runs, {total - waiting} finished, {waiting} to do{_expected(study, known, waiting, slots)}")
    return DryRun(header, rows, lines)


@dataclass(frozen=True)
class _Known:
    """What is known of a job. run: None before there is one. why: what keeps it from being known."""

    run: RunDirectory | None
    state: str
    why: str = ""


def _look(jobs: Sequence[Job]) -> dict[Job, _Known]:
    """Each job's run. What a cell lacks (data, weights), all of its jobs lack."""
    found: dict[Job, _Known] = {}
    lacking: dict[tuple[str, str], _Known] = {}
    composer = Composer()
    for job in jobs:
        cell = (job.arm, job.column)
        if cell in lacking:
            found[job] = lacking[cell]
            continue
        try:
            checked = check(composer.compose(job.overrides))
        except ConfigError as error:
            found[job] = lacking[cell] = _Known(None, UNKNOWN, error.problems[0].what)
            continue
        run = find(checked.output_dir, checked.fingerprint)
        found[job] = _Known(run, "to do" if run is None else run.state())
    return found


def _trial_jobs(study: StudyPlan) -> Iterator[Job]:
    if study.tune is not None:
        spaces = tune.spaces(study)
        for number in range(study.tune.trials or 1):
            yield from studies.trial_round(study, spaces, number)


def _chosen(study: StudyPlan, known: Mapping[Job, _Known], metrics: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The setting of each cell whose trials have all finished."""
    chosen: dict[tuple[str, str], tuple[str, ...]] = {}
    for arm, column in study.cells() if study.tune is not None else ():
        own_jobs = {job: found for job, found in known.items() if (job.arm, job.column) == (arm.name, column.name)}
        if own_jobs and all(found.state == "finished" for found in own_jobs.values()):
            metric = metrics[column.name]
            trials = [(job, _value(found.run, f"validation/{metric}")) for job, found in own_jobs.items()]
            chosen |= tune.choose(trials, lower_is_better(metric))
    return chosen


def _value(run: RunDirectory | None, metric: str) -> float | None:
    outcome = run.outcome() if run else None
    return outcome.metric(metric) if outcome else None


def _counted(states: Sequence[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(states).items())


def _expected(study: StudyPlan, known: Mapping[Job, _Known], waiting: int, slots: int | None) -> str:
    """The time that runs of this study took, times what is left."""
    runs = [found.run for found in known.values() if found.run is not None and found.state == "finished"]
    seconds = [outcome.total_s for run in runs if (outcome := run.outcome()) is not None and outcome.total_s is not None]
    if not seconds or not waiting:
        return ""
    at_once = planned([compose(study.overrides(study.arms[0], study.columns[0])).config], slots, this_machine())
    return f"; about {duration(waiting * sum(seconds) / len(seconds) / at_once)}, by the {len(seconds)} runs that have finished"


@contextmanager
def _offline() -> Iterator[None]:
    """Nothing is fetched for a look."""
    before = os.environ.get("FINECOMB_OFFLINE")
    os.environ["FINECOMB_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["FINECOMB_OFFLINE"]
        else:
            os.environ["FINECOMB_OFFLINE"] = before
