"""The dry run of a study: what there is to do, what is done, and how long the rest may take. Trains nothing, fetches nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from finecomb.config.compose import compose
from finecomb.config.errors import UserError
from finecomb.config.machine import this_machine
from finecomb.runs import index, show
from finecomb.runs.directory import RunDirectory
from finecomb.studies import study as studies
from finecomb.studies import tune
from finecomb.studies.board import duration
from finecomb.studies.freeze import check
from finecomb.studies.plan import ASKED, Job, Study, confirm_jobs
from finecomb.studies.slots import planned

UNKNOWN = "not known"


def show_matrix(study: Study, *, slots: int | None = None) -> None:
    """Print a line for each cell with its trials and seeds by state, then totals and the expected time.

    Raises UserError for anything that composing finds. What needs data that are not here is shown as not known.
    """
    studies.check(study)
    studies.column_metrics(study)
    console = Console(highlight=False)
    trials = list(_trial_jobs(study))
    with _offline():
        states = {job: _state(job) for job in trials}
        # Which setting an arm is confirmed with is known once its trials have finished.
        chosen = _chosen(study, states)
        confirms = confirm_jobs(study, chosen)
        states |= {job: _state(job) for job in confirms}
    rows, waiting = [], 0
    for arm, column in study.cells():
        mine = [job for job in states if (job.arm, job.column) == (arm.name, column.name)]
        seeds = [states[job][0] for job in mine if job.role == "confirm"] or ["waits for its trials"] * len(arm.seeds)
        tried = [states[job][0] for job in mine if job.role == "trial"]
        if study.tune is not None and study.tune.search in ASKED:
            tried = ["asked one after the other"] * (study.tune.trials or 0)
        waiting += sum(state != "finished" for state in [*tried, *seeds])
        rows.append(
            [
                arm.name,
                *([column.name] if column.name else []),
                _counted(tried),
                " ".join(chosen.get((arm.name, column.name), ())),
                _counted(seeds),
            ]
        )
    several = any(column.name for column in study.columns)
    show.table(console, ["arm", *(["column"] if several else []), "trials", "chosen", "seeds"], rows)
    reasons = Counter(why for _, why in states.values() if why)
    for why, count in reasons.items():
        console.print(f"{count} jobs {UNKNOWN}: {why}", markup=False, soft_wrap=True)
    asked = (study.tune.trials or 0) if study.tune is not None and study.tune.search in ASKED else 0
    total = len(trials) + asked * len(rows) + sum(len(arm.seeds) for arm in study.arms) * len(study.columns)
    console.print(f"{total} runs, {total - waiting} finished, {waiting} to do{_expected(study, states, waiting, slots)}", markup=False)


def _trial_jobs(study: Study) -> Iterator[Job]:
    if study.tune is not None:
        spaces = tune.spaces(study)
        for number in range(study.tune.trials or 1):
            yield from studies.trial_round(study, spaces, number)


def _state(job: Job) -> tuple[str, str]:
    """State of the job's run, and why it is not known."""
    run, why = _run(job)
    return ("to do" if run is None else run.state()) if not why else UNKNOWN, why


def _run(job: Job) -> tuple[RunDirectory | None, str]:
    try:
        checked = check(compose(list(job.overrides)))
    except UserError as error:
        return None, error.problems[0].what
    found = [path for path in checked.output_dir.glob(f"*-{checked.fingerprint}") if path.is_dir()]
    return (RunDirectory(found[0]) if found else None), ""


def _chosen(study: Study, states: dict[Job, tuple[str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The setting of each cell whose trials have all finished."""
    if study.tune is None:
        return {}
    metrics = studies.column_metrics(study)
    done: dict[tuple[str, str], list[tuple[Job, float | None]]] = {}
    for arm, column in study.cells():
        mine = [job for job in states if (job.arm, job.column) == (arm.name, column.name)]
        if mine and all(states[job][0] == "finished" for job in mine):
            done[arm.name, column.name] = [(job, _value(job, metrics[column.name])) for job in mine]
    return {
        cell: setting
        for cell, trials in done.items()
        for setting in tune.choose(trials, studies.lower_is_better(metrics[cell[1]])).values()
    }


def _value(job: Job, metric: str) -> float | None:
    run, _ = _run(job)
    value = ((run.result() if run else None) or {}).get("metrics", {}).get(f"validation/{metric}")
    return None if value is None else float(value)


def _counted(states: Sequence[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(states).items())


def _expected(study: Study, states: dict[Job, tuple[str, str]], waiting: int, slots: int | None) -> str:
    """The time that runs of this study took, times what is left."""
    seconds = [entry.seconds for job in states if (entry := _entry(job)) is not None and entry.seconds]
    if not seconds or not waiting:
        return ""
    at_once = planned([compose(study.overrides(study.arms[0], study.columns[0])).config], slots, this_machine())
    return f"; about {duration(waiting * sum(seconds) / len(seconds) / at_once)} of training, by the {len(seconds)} runs that have finished"


def _entry(job: Job) -> index.Entry | None:
    run, _ = _run(job)
    return index.entry(run.path) if run is not None else None


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
