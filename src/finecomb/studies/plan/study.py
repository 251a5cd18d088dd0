"""`finecomb study`: which runs a study still needs, running them, and what they say. Nothing that has finished is run again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finecomb.config.compose import Composer, compose
from finecomb.config.plugins import lower_is_better
from finecomb.config.resolve import resolve
from finecomb.config.schema.task import variant
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.core.machine import this_machine
from finecomb.launch.freeze import Checked, Frozen, check_all, place
from finecomb.launch.launcher import launch
from finecomb.launch.outcome import Outcome
from finecomb.launch.policy import Policy
from finecomb.launch.slots import planned
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import short_error
from finecomb.studies.analysis.scores import resampled_metrics
from finecomb.studies.plan.study_plan import SEQUENTIAL, Job, StudyPlan, confirm_jobs
from finecomb.studies.search import tune
from finecomb.studies.search.engine import Search, Settings
from finecomb.studies.search.space import Dimension
from finecomb.studies.summary import print_data_summary

Cell = tuple[str, str]  # arm, column


@dataclass(frozen=True)
class Answer:
    """A job and what became of it. run: None when it was never placed. error: why it has not finished."""

    job: Job
    run: RunDirectory | None
    state: str
    error: str | None = None
    seconds: float = 0.0
    reused: bool = False

    def metric(self, name: str) -> float | None:
        """A metric of result.json."""
        outcome = self.run.outcome() if self.run is not None and self.state == "finished" else None
        return outcome.metric(name) if outcome else None


@dataclass
class Answered:
    """A study with all its jobs. metrics: by column. chosen: by arm and column. edges: chosen settings at the edge of what was tried."""

    study: StudyPlan
    metrics: dict[str, str]
    answers: list[Answer]
    chosen: dict[Cell, tuple[str, ...]]
    edges: dict[Cell, list[str]]


def column_metrics(study: StudyPlan) -> dict[str, str]:
    """The metric of each column, as its task monitors it unless the study says otherwise. Raises ConfigError for one the task has not."""
    found, problems = {}, []
    for column in study.columns:
        config = compose(study.overrides(study.arms[0], column)).config
        # Those that can be computed again from answers, without which no interval over examples is to be had.
        kind = variant(config.task)
        allowed = resampled_metrics(kind)
        metric = column.metric or study.metric or resolve(config, machine=this_machine()).monitor.metric
        if metric not in allowed:
            guess = nearest(str(metric), allowed)
            hint = f"did you mean {guess}?" if guess else ""
            problems.append(Problem(f"{metric} is no metric of task={config.task.name}", str(study.path), ", ".join(allowed), hint))
        found[column.name] = str(metric)
    if problems:
        raise ConfigError(problems)
    return found


def check(study: StudyPlan) -> None:
    """Compose every job there will be before any is started. Raises ConfigError with all problems, each told once."""
    spaces = tune.spaces(study) if study.tune else {}
    jobs = [study.overrides(arm, column) for arm, column in study.cells()]
    jobs += [list(job.overrides) for number in range(_rounds(study)) for job in trial_round(study, spaces, number)]
    if problems := Composer().problems(jobs):
        raise ConfigError(problems)


def _rounds(study: StudyPlan) -> int:
    """Trials of each cell that are known before anything has run."""
    return 0 if study.tune is None else study.tune.trials or 1


def trial_round(study: StudyPlan, spaces: Mapping[Cell, dict[str, Dimension]], number: int) -> Iterator[Job]:
    """The trial of this number in each cell; none where it depends on earlier answers."""
    if study.tune is None or study.tune.search in SEQUENTIAL:
        return
    for arm, column in study.cells():
        cell = (arm.name, column.name)
        setting = tune.settings(study, cell, spaces[cell], number)
        if setting is not None:
            yield tune.trial_job(study, arm, column, number, setting)


class Runner:
    """Brings the jobs of one study to their end. Frozen at the place of the study's own group, so that W&B shows them together."""

    def __init__(self, study: StudyPlan, policy: Policy | None = None) -> None:
        self.study, self.policy = study, policy or Policy()
        self.answers: list[Answer] = []

    def run(self) -> Answered:
        """Tune, choose, confirm. Raises ConfigError before anything starts, KeyboardInterrupt when stopped."""
        check(self.study)
        metrics = column_metrics(self.study)
        chosen: dict[Cell, tuple[str, ...]] = {}
        if self.study.tune is not None:
            if self.study.tune.search in SEQUENTIAL:
                self._asked_trials(metrics)
            else:
                self._trials()
            chosen = self._choose(metrics)
        self._launch(confirm_jobs(self.study, chosen))
        return Answered(self.study, metrics, self.answers, chosen, self._edges(chosen))

    def _trials(self) -> None:
        """All trials at once; with a budget of seconds one round after the other, until a cell has used its seconds."""
        assert self.study.tune is not None
        spaces = tune.spaces(self.study)
        if self.study.tune.seconds is None:
            return self._launch([job for number in range(_rounds(self.study)) for job in trial_round(self.study, spaces, number)])
        spent: dict[Cell, float] = dict.fromkeys(spaces, 0.0)
        number = 0
        while jobs := [job for job in trial_round(self.study, spaces, number) if spent[job.arm, job.column] < self.study.tune.seconds]:
            self._launch(jobs)
            for answer in self.answers[-len(jobs) :]:
                # A trial that failed has cost nothing that is known, and must not go on for ever.
                outcome = answer.run.outcome() if answer.run is not None else None
                used = outcome.train_s if outcome and outcome.train_s is not None else self.study.tune.seconds
                spent[answer.job.arm, answer.job.column] += used
            number += 1

    def _asked_trials(self, metrics: Mapping[str, str]) -> None:
        """A search for each cell, all asked once a round. Nothing of it is kept: asked again, finished trials answer as they did before."""
        assert self.study.tune is not None
        searches = {
            (arm, column): Search(
                Settings(
                    space,
                    self.study.tune.search,
                    metrics[column],
                    "min" if lower_is_better(metrics[column]) else "max",
                    self.study.tune.seed,
                ),
                None,
                trials=self.study.tune.trials,
            )
            for (arm, column), space in tune.spaces(self.study).items()
        }
        for number in range(self.study.tune.trials or 0):
            asked = {cell: search.ask() for cell, search in searches.items()}
            places = {(arm.name, column.name): (arm, column) for arm, column in self.study.cells()}
            jobs = [tune.trial_job(self.study, *places[cell], number, trial.setting) for cell, trial in asked.items() if trial is not None]
            self._launch(jobs)
            for answer in self.answers[-len(jobs) :]:
                cell = (answer.job.arm, answer.job.column)
                searches[cell].tell(number, answer.state, answer.metric(f"validation/{metrics[cell[1]]}"))

    def _launch(self, jobs: Sequence[Job]) -> None:
        compositions = Composer().compose_all([job.overrides for job in jobs])
        slots = planned([composition.config for composition in compositions], self.policy.slots, this_machine())
        frozen = [self._frozen(job, checked) for job, checked in zip(jobs, check_all(compositions, slots=slots), strict=True)]
        print_data_summary(frozen)
        outcomes = launch(frozen, replace(self.policy, slots=slots, keep_checkpoints=False), sweep=True)
        self.answers += [_answer(job, outcome) for job, outcome in zip(jobs, outcomes, strict=True)]

    def _frozen(self, job: Job, checked: Checked) -> Frozen:
        frozen = place(checked, group=self.study.name)
        return replace(frozen, label=job.label, record=replace(frozen.record, job_type=job.arm, role=job.role))

    def _choose(self, metrics: Mapping[str, str]) -> dict[Cell, tuple[str, ...]]:
        chosen: dict[Cell, tuple[str, ...]] = {}
        for column, metric in metrics.items():
            trials = [(answer.job, answer.metric(f"validation/{metric}")) for answer in self.answers if answer.job.column == column]
            chosen |= tune.choose(trials, lower_is_better(metric))
        return chosen

    def _edges(self, chosen: Mapping[Cell, tuple[str, ...]]) -> dict[Cell, list[str]]:
        if self.study.tune is None:
            return {}
        spaces = tune.spaces(self.study)
        tried: dict[Cell, list[tuple[str, ...]]] = {cell: [] for cell in spaces}
        for answer in self.answers:
            if answer.job.role == "trial":
                tried[answer.job.arm, answer.job.column].append(answer.job.chosen)
        found = {cell: tune.at_the_edge(spaces[cell], tried[cell], setting) for cell, setting in chosen.items()}
        return {cell: words for cell, words in found.items() if words}


def _answer(job: Job, outcome: Outcome) -> Answer:
    return Answer(job, outcome.run, outcome.state, outcome.error, outcome.seconds, outcome.reused)


def missing_lines(answered: Answered) -> list[str]:
    """A line for each job that has not finished."""
    waiting = [answer for answer in answered.answers if answer.state != "finished"]
    return [f"{answer.job.label}: {answer.state}: {short_error(answer.error)}" for answer in waiting]


def results_folder(study: StudyPlan) -> Path:
    """Where the study's tables are written: results/ beside its file."""
    return study.path.parent / "results"
