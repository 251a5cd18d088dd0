"""Runs a search from the first question to the best answer: composes and freezes each trial, launches it, reports, prunes, records."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from finecomb.config.compose import Composer, Composition
from finecomb.config.overrides import override
from finecomb.config.plain import flatten
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import this_machine
from finecomb.launch.freeze import Frozen, check, check_logger, place
from finecomb.launch.launcher import launch_feed
from finecomb.launch.outcome import Outcome
from finecomb.launch.policy import Policy
from finecomb.launch.progress import duration
from finecomb.launch.slots import planned
from finecomb.runs import show
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import short_error
from finecomb.studies.analysis import arms
from finecomb.studies.search.engine import Search, Settings, Trial
from finecomb.studies.search.space import params_of
from finecomb.studies.sweep import Sweep, report_console

NO_TEST = "evaluate.test=false"


class SearchFeed:
    """Jobs of a search as the launcher takes them."""

    def __init__(self, search: Search, sweep: Sweep, composer: Composer, slots: int) -> None:
        self.search, self.sweep, self.composer, self.slots = search, sweep, composer, slots
        self.trials: dict[Path, list[Trial]] = {}
        self.reports: dict[Path, int] = {}
        self._asked_all = False
        self._open = 0

    def next(self) -> Frozen | None:
        """Ask the search; what cannot be composed is the user's error and ends it."""
        trial = None if self._asked_all else self.search.ask()
        if trial is None:
            self._asked_all = True
            return None
        settings = self.search.settings
        try:
            checked = check(self.composer.compose([*settings.fixed, *trial.setting]), slots=self.slots)
        except ConfigError:
            self.search.tell(trial.number, "failed", None)
            raise
        frozen = replace(place(checked, group=self.sweep.id), label=f"trial {trial.number}: {' '.join(trial.setting)}")
        self.trials.setdefault(frozen.run.path, []).append(trial)
        self.reports.setdefault(frozen.run.path, 0)
        self.sweep.add([frozen])
        self._open += 1
        return frozen

    def done(self) -> bool:
        """Whether all trials have been asked."""
        return self._asked_all

    def ended(self, job: Frozen, outcome: Outcome) -> None:
        """Tell the search, for the first trial of this run that has no answer yet."""
        trial = self.trials[job.run.path].pop(0)
        value = _metric(outcome.run, self.search.settings.metric) if outcome.state == "finished" else None
        self.search.tell(trial.number, outcome.state, value)
        self._open -= 1

    def stop(self, job: Frozen, lines: list[dict[str, Any]]) -> bool:
        """Report each validation. A step of the search is one report of the metric, as W&B counts iterations."""
        settings = self.search.settings
        for line in lines:
            value = line.get(settings.metric)
            if value is not None and self.trials.get(job.run.path):
                self.reports[job.run.path] += 1
                if self.search.report(self.trials[job.run.path][0].number, self.reports[job.run.path], float(value)):
                    return True
        return False


def _metric(run: RunDirectory, name: str) -> float | None:
    outcome = run.outcome()
    return outcome.metric(name) if outcome else None


def run_search(
    settings: Settings,
    *,
    trials: int | None,
    policy: Policy | None = None,
    name: str | None = None,
    warm_start: Sequence[str] = (),
    base: Composition | None = None,
    console: Console | None = None,
) -> list[Outcome]:
    """Bring a search to N trials; prints a table, the best, and as the last line the record's path.

    base: what `settings.fixed` composes, where that is known. The outcomes are those of this command's trials.
    warm_start: run directories, folders of them or sweep records whose finished runs count as answers already had, where they agree with
    the trials in everything that is not searched. They count beside the N trials.
    """
    policy, console = policy or Policy(), console or report_console()
    settings, composer = replace(settings, fixed=without_test(settings.fixed)), Composer()
    base = base or composer.compose(settings.fixed)
    check_logger(base)
    slots = planned([base.config], policy.slots, this_machine())
    sweep = Sweep(replace(policy, slots=slots), console=console)
    sweep.open(name or search_name(settings), Path(base.config.output_dir))
    search = Search(settings, sweep.folder, trials=trials)
    if warm_start:
        console.print(f"{_warm(search, warm_start, composer)} earlier runs count as answers", markup=False)
    feed = SearchFeed(search, sweep, composer, slots)
    progress = base.config.callbacks.progress.enabled
    outcomes = launch_feed(feed, replace(policy, slots=slots, keep_checkpoints=False), progress=progress, expected=search.trials)
    _show(console, search, outcomes)
    console.print(str(sweep.path), markup=False, soft_wrap=True)
    return outcomes


def without_test(fixed: Sequence[str]) -> tuple[str, ...]:
    """The overrides of every trial, with the test set left out unless they decide about it."""
    return (*fixed, *(() if any(word.startswith("evaluate.test=") for word in fixed) else (NO_TEST,)))


def search_name(settings: Settings) -> str:
    """The same for the same search, whatever the number of trials, so that asking for more goes on."""
    keys = "-".join(key.split(".")[-1] for key in settings.space)[:40]
    digest = hashlib.sha256(json.dumps(settings.identity(), sort_keys=True).encode()).hexdigest()[:8]
    return f"{settings.sampler}-{keys}-{digest}"


def _warm(search: Search, paths: Sequence[str], composer: Composer) -> int:
    """Count finished runs that a trial with their values would be: all else that decides the result is the same, data and code included."""
    counted = 0
    for run in map(arms.read, arms.find(paths)):
        value = run.recorded(search.settings.metric)
        if run.state == "finished" and value is not None and not math.isnan(value):
            flat = flatten(run.config)
            values = {**flat, **{group: name for group, name in run.record.choices.items() if name is not None}}
            if params_of(search.settings.space, values) is not None and _is_trial(run, search.settings, values, composer):
                counted += search.add(values, float(value))
    return counted


def _is_trial(run: arms.ComparedRun, settings: Settings, values: Mapping[str, Any], composer: Composer) -> bool:
    """Whether a run is what the trial with its values would be. Evaluating the test set afterwards changes no answer on validation."""
    chosen = {key: values[key] for key in settings.space}
    words = settings.spell(chosen) if settings.spell is not None else [override(key, value) for key, value in chosen.items()]
    fixed = [word for word in settings.fixed if not word.startswith("evaluate.test=")]
    try:
        trial = check(composer.compose([*fixed, *words, override("evaluate.test", run.config["evaluate"]["test"])]))
    except ConfigError:
        return False
    return trial.fingerprint == run.record.fingerprint


def _show(console: Console, search: Search, outcomes: Sequence[Outcome]) -> None:
    """All trials with their answers, and the command that trains the best one with the test set."""
    settings = search.settings
    answers = search.answers()
    show.table(
        console,
        ["trial", "setting", "state", settings.metric],
        [[each.number, " ".join(each.setting), each.state, each.value] for each in answers],
    )
    if outcomes and all(outcome.reused for outcome in outcomes):
        console.print("all of these runs had finished before; nothing was trained", markup=False)
    known = [each for each in answers if each.value is not None]
    if not known:
        for outcome in outcomes:
            if outcome.state == "failed":
                console.print(f"{outcome.run.path.name}: {short_error(outcome.error)}", markup=False, soft_wrap=True)
        return
    sign = 1 if settings.mode == "max" else -1
    best = max(known, key=lambda each: sign * (each.value or 0.0))
    words = [word for word in settings.fixed if not word.startswith("evaluate.test=")]
    spent = sum(outcome.seconds for outcome in outcomes)
    console.print(f"best: trial {best.number}, {settings.metric} {best.value:.4f}, {duration(spent)} in this command", markup=False)
    console.print("it was chosen on validation; on fresh seeds, with the test set:", markup=False)
    console.print(f"  finecomb train -m {' '.join([*words, *best.setting])} seed=1,2,3", markup=False, soft_wrap=True)


def unknown(kind: str, given: str, allowed: Sequence[str], where: str) -> Problem:
    """A sampler or pruner that does not exist."""
    from finecomb.core.errors import nearest

    guess = nearest(given, allowed)
    return Problem(f"there is no {kind} {given}", where, ", ".join(allowed), f"did you mean {guess}?" if guess else "")
