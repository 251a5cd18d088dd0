"""From an answered study to its frames: reads every run once, fits the references, and says what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.core.errors import ConfigError
from finecomb.runs.index import short_error
from finecomb.studies.analysis import arms, caveats, frames, references
from finecomb.studies.analysis.frames import CONFIRM, REFERENCE, Frames, Place
from finecomb.studies.analysis.scores import read_predictions

if TYPE_CHECKING:
    import pandas as pd

    from finecomb.studies.plan.study import Answer, Answered
    from finecomb.studies.plan.study_plan import Column

FIRST_COLUMNS = ("column", "arm", "role", "trial", "seed", "setting", "run", "state")
COLUMNS_OF_EXAMPLES = ("column", "arm", "seed", "split", "id", "label", "prediction")
COLUMNS_OF_CURVES = ("column", "arm", "role", "trial", "seed", "step", "epoch", "name", "value")


def collect(answered: Answered, command: str) -> Frames:
    """Everything about a study's runs that its report needs. command: what the user typed, for reproduce.md."""
    import pandas as pd

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
        if place.role == CONFIRM and (table := examples_of(place, run)) is not None:
            examples.append(table)
    for place, row, table in _references(answered, list(read.values()), warnings):
        rows.append({**asdict(place), **row})
        examples.append(table)
    warnings += caveats.of_memory(read.values())
    return Frames(
        facts(answered, command, warnings, read),
        frames.table_of(rows, FIRST_COLUMNS),
        pd.concat(examples, ignore_index=True) if examples else pd.DataFrame(columns=COLUMNS_OF_EXAMPLES),
        frames.table_of(curves, COLUMNS_OF_CURVES),
    )


def _place(answer: Answer) -> Place:
    job = answer.job
    return Place(job.column, job.arm, job.role, job.seed, job.trial, " ".join(job.chosen))


def examples_of(place: Place, run: arms.ComparedRun) -> pd.DataFrame | None:
    """The answers of a run, on test where it has them; None for a run without predictions."""
    split = "test" if run.predictions("test") else "validation"
    path = run.predictions(split)
    if path is None:
        return None
    found = read_predictions(path)
    return frames.example_rows(place, split, found.ids, found.label, found.prediction)


def _references(
    answered: Answered, runs: list[arms.ComparedRun], warnings: list[str]
) -> Iterator[tuple[Place, dict[str, Any], pd.DataFrame]]:
    """Rows fitted on the training data of each column; where arms differ in those, on the largest."""
    names = [reference.name for reference in answered.study.references if reference.kind == "fitted"]
    for column in answered.study.columns if names else ():
        mine = {answer.run.path for answer in answered.answers if answer.run is not None and answer.job.column == column.name}
        fit = [run for run in runs if run.path in mine]
        if not fit:
            continue
        largest = max(fit, key=lambda run: run.fact("counts.rows.train") or 0)
        rows = largest.fact("counts.rows.train")
        if len({run.data.get("content_hash") for run in fit}) > 1:
            warnings.append(f"references are fitted on the largest training set of the arms ({rows} examples)")
        split = "test" if any(run.predictions("test") for run in fit) else "validation"
        try:
            found = references.answers(names, Path(largest.data["directory"]), largest.data["content_hash"], split)
        except ConfigError as error:
            warnings.append(f"no reference rows: {error}")
            continue
        for name, (predictions, parameters) in found.items():
            place = Place(column.name, name, REFERENCE, 0)
            row = {"run": "", "state": "finished", "parameters_trainable": parameters, "train_rows": rows}
            yield place, row, frames.example_rows(place, split, predictions.ids, predictions.label, predictions.prediction)


def _column(answered: Answered, column: Column, runs: dict[Path, arms.ComparedRun]) -> dict[str, Any]:
    """A column of the table, with the classes of its labels in their order (None for numbers)."""
    mine = [
        runs[each.run.path]
        for each in answered.answers
        if each.run is not None and each.run.path in runs and each.job.column == column.name
    ]
    run = mine[0] if mine else None
    return {
        "name": column.name,
        "overrides": list(column.overrides),
        "metric": answered.metrics[column.name],
        "task": run.task if run else None,
        "dataset": str(run.config["dataset"]["name"]) if run else None,
        "model": str(run.config["model"]["name"]) if run else None,
        "model_note": run.config["model"].get("note") if run else None,
        "labels": run.label_names if run and run.task != "regression" else None,
    }


def facts(answered: Answered, command: str, warnings: list[str], runs: dict[Path, arms.ComparedRun]) -> dict[str, Any]:
    """What study.json holds. Nothing in it depends on where the files lie."""
    study = answered.study
    return {
        "name": study.name,
        "question": study.question,
        "command": command,
        "base": list(study.base),
        "baseline": study.baseline,
        "columns": [_column(answered, column, runs) for column in study.columns],
        "arms": [
            {
                "name": arm.name,
                "overrides": list(arm.overrides),
                "seeds": list(arm.seeds),
                "space": {str(key): value for key, value in arm.space.items()},
                "chosen": {column.name: list(answered.chosen.get((arm.name, column.name), ())) for column in study.columns},
                "edges": {column.name: answered.edges.get((arm.name, column.name), []) for column in study.columns},
            }
            for arm in study.arms
        ],
        "references": [asdict(reference) for reference in study.references],
        "tune": None if study.tune is None else asdict(study.tune),
        "missing": [
            {
                "column": each.job.column,
                "arm": each.job.arm,
                "role": each.job.role,
                "seed": each.job.seed,
                "why": f"{each.state}: {short_error(each.error)}".rstrip(": "),
            }
            for each in answered.answers
            if each.state != "finished"
        ],
        "warnings": warnings,
        "study_sha256": hashlib.sha256(study.path.read_bytes()).hexdigest(),
    }
