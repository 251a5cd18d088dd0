"""From runs to frames, for a study and for runs that no study planned: reads every run once, fits the references, lists what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.runs.index import short_error
from finecomb.studies.analysis import arms, caveats, frames, references
from finecomb.studies.analysis.facts import ArmFacts, ColumnFacts, MissingRun, StudyFacts
from finecomb.studies.analysis.frames import CONFIRM, REFERENCE, Frames, Place
from finecomb.studies.analysis.scores import read_predictions
from finecomb.studies.plan.study_plan import Reference

if TYPE_CHECKING:
    import pandas as pd

    from finecomb.studies.plan.study import Answer, Answered
    from finecomb.studies.plan.study_plan import Column

FIRST_COLUMNS = ("column", "arm", "role", "trial", "seed", "setting", "run", "state")
COLUMNS_OF_EXAMPLES = ("column", "arm", "seed", "split", "id", "label", "prediction")
COLUMNS_OF_CURVES = ("column", "arm", "role", "trial", "seed", "step", "epoch", "name", "value")
Fitted = tuple[Place, dict[str, Any], "pd.DataFrame"]  # a reference: its place, its row of results, its answers


def collect(answered: Answered, command: str) -> Frames:
    """Everything about a study's runs that its report needs. command: what the user typed, for reproduce.md."""
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    examples: list[pd.DataFrame] = []
    warnings: list[str] = []
    read: dict[Path, arms.ComparedRun] = {}
    for answer in answered.answers:
        if answer.run is None or answer.state != "finished":
            continue
        run = read.setdefault(answer.run.path, arms.read(answer.run.path))
        place = _place(answer)
        rows.append(frames.result_row(place, run))
        curves += frames.curve_rows(place, run, answered.metrics[place.column])
        if place.role == CONFIRM and (table := _examples_of(place, run)) is not None:
            examples.append(table)
    for place, row, table in _references(answered, list(read.values()), warnings):
        rows.append({**asdict(place), **row})
        examples.append(table)
    warnings += caveats.of_memory(read.values())
    return _frames(facts(answered, command, warnings, read), rows, examples, curves)


def _place(answer: Answer) -> Place:
    job = answer.job
    return Place(job.column, job.arm, job.role, job.seed, job.trial, " ".join(job.chosen))


def _examples_of(place: Place, run: arms.ComparedRun, split: str | None = None) -> pd.DataFrame | None:
    """The answers of a run on a split (None: test where it has them); None for a run without predictions there."""
    split = split or ("test" if run.predictions("test") else "validation")
    path = run.predictions(split)
    if path is None:
        return None
    return frames.example_rows(place, split, read_predictions(path))


def _references(answered: Answered, runs: list[arms.ComparedRun], warnings: list[str]) -> Iterator[Fitted]:
    """The references of each column."""
    names = [reference.name for reference in answered.study.references if reference.kind == "fitted"]
    for column in answered.study.columns if names else ():
        paths = {answer.run.path for answer in answered.answers if answer.run is not None and answer.job.column == column.name}
        if fit := [run for run in runs if run.path in paths]:
            yield from _fitted(names, column.name, fit, warnings)


def _fitted(names: Sequence[str], column: str, runs: Sequence[arms.ComparedRun], warnings: list[str]) -> Iterator[Fitted]:
    """Rows fitted on the training data of the runs; where these differ, on the largest."""
    rows, largest = max(((run.result.rows.get("train", 0) if run.result else 0, run) for run in runs), key=lambda each: each[0])
    if len({run.data.content_hash for run in runs}) > 1:
        warnings.append(f"references are fitted on the largest training set of the arms ({rows} examples)")
    measured = next((run, split) for split in ("test", "validation") for run in runs if run.predictions(split) or split == "validation")
    split, path = measured[1], measured[0].predictions(measured[1])
    try:
        found = references.answers(names, Path(largest.data.directory), largest.data.content_hash, split)
    except ConfigError as error:
        warnings.append(f"no reference rows: {error}")
        return
    if path is not None and not all(read_predictions(path).same_examples(predictions) for predictions, _ in found.values()):
        warnings.append(
            f"no reference rows: the prepared data in {largest.data.directory} hold other {split} examples than the runs answered"
        )
        return
    for name, (predictions, parameters) in found.items():
        place = Place(column, name, REFERENCE, 0)
        row = {"run": "", "state": "finished", "parameters_trainable": parameters, "train_rows": rows}
        yield place, row, frames.example_rows(place, split, predictions)


def collect_runs(
    grouped: Sequence[arms.Arm],
    metrics: Sequence[str],
    split: str,
    *,
    command: str,
    baseline: str,
    fitted: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Frames:
    """The frames of runs grouped into arms: a study without a plan, with one column, which has several metrics.

    An arm over several settings, as `by` makes them, numbers its runs instead of giving their seeds, which repeat.

    Args:
        grouped: The arms; runs without predictions on `split` are listed as missing.
        metrics: Names without the split.
        split: What all runs are compared on.
        command: What the user typed.
        baseline: `best` or the label of an arm.
        fitted: References to add.
        warnings: What is known already of the runs.
    """
    noted = list(warnings)
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    examples: list[pd.DataFrame] = []
    described, missing, measured = [], [], []
    for arm in grouped:
        repeated = len({run.seed for run in arm.runs}) < len(arm.runs)
        seeds = list(range(len(arm.runs))) if repeated else [run.seed for run in arm.runs]
        described.append((arm, seeds, repeated))
        for seed, run in zip(seeds, arm.runs, strict=True):
            place = Place("", arm.label, CONFIRM, seed)
            table = _examples_of(place, run, split)
            if table is None:
                why = f"seed {seed} has no {split} predictions" if run.state == "finished" else f"seed {seed} is {run.state}"
                missing.append(MissingRun("", arm.label, CONFIRM, seed, why))
                continue
            measured.append(run)
            rows.append(frames.result_row(place, run))
            examples.append(table)
            for metric in metrics:
                curves += [row for row in frames.curve_rows(place, run, metric) if row not in curves]
        if repeated:
            noted.append(f"{arm.label}: runs are numbered, because their seeds repeat over settings")
    if measured:
        _check_same_examples(examples, split)
        for place, row, table in _fitted(fitted, "", measured, noted) if fitted else ():
            rows.append({**asdict(place), **row})
            examples.append(table)
        noted += [*caveats.of_memory(measured), *caveats.other_surroundings(measured)]
    kept = {str(row["arm"]) for row in rows if row["role"] == REFERENCE}
    base, described_arms = _arms_of_runs(described)
    any_run = measured[0] if measured else described[0][0].runs[0]
    comparison = StudyFacts(
        name="comparison",
        question="",
        command=command,
        base=base,
        baseline=baseline,
        columns=[ColumnFacts("", [], metrics[0], list(metrics), **_column_facts(any_run))],
        arms=described_arms,
        references=[Reference(each, "fitted") for each in fitted if each in kept],
        tune=None,
        missing=missing,
        warnings=noted,
        of="runs",
    )
    return _frames(comparison, rows, examples, curves)


def _check_same_examples(examples: Sequence[pd.DataFrame], split: str) -> None:
    """Raise ConfigError unless all tables are about the same examples with the same labels."""
    sets: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for table in examples:
        sets.setdefault((tuple(table["id"]), tuple(table["label"])), []).append(str(table["arm"].iloc[0]))
    if len(sets) > 1:
        what = f"the runs were not evaluated on the same {split} examples, so no table can hold them"
        groups = "; ".join(f"{', '.join(dict.fromkeys(labels))}: {len(ids)} examples" for (ids, _), labels in sets.items())
        raise ConfigError(Problem(what, where=groups, hint="compare runs of one data set and one dataset.split.seed at a time"))


def _arms_of_runs(described: Sequence[tuple[arms.Arm, list[int], bool]]) -> tuple[list[str], list[ArmFacts]]:
    """The overrides that all runs share, and each arm with those of its own."""
    runs = [run for arm, _, _ in described for run in arm.runs]
    words = {run.path: [word for word in run.record.overrides if not word.startswith("seed=")] for run in runs}
    shared = set.intersection(*map(set, words.values()))
    base = [word for word in words[runs[0].path] if word in shared]
    return base, [
        ArmFacts(
            name=arm.label,
            overrides=[] if repeated else [word for word in words[arm.runs[0].path] if word not in shared],
            seeds=seeds,
            space={},
            chosen={"": []},
            edges={"": []},
            by_run=repeated,
        )
        for arm, seeds, repeated in described
    ]


def _column_facts(run: arms.ComparedRun | None) -> dict[str, Any]:
    """Task, data and model of a column, and the classes of its labels in their order (None for numbers)."""
    return {
        "task": run.task if run else None,
        "dataset": str(run.config["dataset"]["name"]) if run else None,
        "model": str(run.config["model"]["name"]) if run else None,
        "model_note": run.config["model"].get("note") if run else None,
        "labels": run.label_names if run and run.task != "regression" else None,
    }


def _frames(facts: StudyFacts, rows: list[dict[str, Any]], examples: list[pd.DataFrame], curves: list[dict[str, Any]]) -> Frames:
    import pandas as pd

    table = pd.concat(examples, ignore_index=True) if examples else pd.DataFrame(columns=COLUMNS_OF_EXAMPLES)
    return Frames(facts, frames.table_of(rows, FIRST_COLUMNS), table, frames.table_of(curves, COLUMNS_OF_CURVES))


def _column(answered: Answered, column: Column, runs: dict[Path, arms.ComparedRun]) -> ColumnFacts:
    """A column of a study."""
    paths = [each.run.path for each in answered.answers if each.run is not None and each.job.column == column.name]
    run = next((runs[path] for path in paths if path in runs), None)
    return ColumnFacts(column.name, list(column.overrides), answered.metrics[column.name], **_column_facts(run))


def facts(answered: Answered, command: str, warnings: list[str], runs: dict[Path, arms.ComparedRun]) -> StudyFacts:
    """The question and setting of a study. Nothing in it depends on where the files lie."""
    study = answered.study
    return StudyFacts(
        name=study.name,
        question=study.question,
        command=command,
        base=list(study.base),
        baseline=study.baseline,
        columns=[_column(answered, column, runs) for column in study.columns],
        arms=[
            ArmFacts(
                name=arm.name,
                overrides=list(arm.overrides),
                seeds=list(arm.seeds),
                space={str(key): value for key, value in arm.space.items()},
                chosen={column.name: list(answered.chosen.get((arm.name, column.name), ())) for column in study.columns},
                edges={column.name: answered.edges.get((arm.name, column.name), []) for column in study.columns},
            )
            for arm in study.arms
        ],
        references=list(study.references),
        tune=study.tune,
        missing=[
            MissingRun(each.job.column, each.job.arm, each.job.role, each.job.seed, f"{each.state}: {short_error(each.error)}".rstrip(": "))
            for each in answered.answers
            if each.state != "finished"
        ],
        warnings=warnings,
        study_sha256=hashlib.sha256(study.path.read_bytes()).hexdigest(),
    )
