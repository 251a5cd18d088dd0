"""`finecomb compare --report`: the report of a study for runs that no study asked for. Each set of settings is an arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError
from finecomb.studies.analysis import frames, references
from finecomb.studies.analysis.arms import Arm, ComparedRun
from finecomb.studies.analysis.collect import COLUMNS_OF_CURVES, COLUMNS_OF_EXAMPLES, FIRST_COLUMNS, examples_of
from finecomb.studies.analysis.frames import CONFIRM, REFERENCE, Frames, Place


def collect_runs(
    grouped: Sequence[Arm], metric: str, *, name: str, command: str, baseline: str, fitted: Sequence[str] = (), warnings: Sequence[str] = ()
) -> Frames:
    """The frames of finished runs. metric: without its split. baseline: `best` or the label of an arm. fitted: references to add.

    An arm over several settings, as `--by` makes them, numbers its runs instead of naming their seeds, which repeat.
    """
    import pandas as pd

    told = list(warnings)
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    examples: list[pd.DataFrame] = []
    for arm in grouped:
        repeated = len({run.seed for run in arm.runs}) < len(arm.runs)
        for number, run in enumerate(arm.runs):
            place = Place("", arm.label, CONFIRM, number if repeated else run.seed)
            rows.append(frames.result_row(place, run))
            curves += frames.curve_rows(place, run, metric)
            if (table := examples_of(place, run)) is not None:
                examples.append(table)
        if repeated:
            told.append(f"{arm.label}: runs are numbered, because their seeds repeat over settings")
    runs = [run for arm in grouped for run in arm.runs]
    for place, row, table in _references(runs, fitted, told):
        rows.append({**asdict(place), **row})
        examples.append(table)
    empty = pd.DataFrame(columns=COLUMNS_OF_EXAMPLES)
    return Frames(
        _facts(grouped, runs, metric, name, command, baseline, fitted, told),
        frames.table_of(rows, FIRST_COLUMNS),
        pd.concat(examples, ignore_index=True) if examples else empty,
        frames.table_of(curves, COLUMNS_OF_CURVES),
    )


def _references(runs: Sequence[ComparedRun], names: Sequence[str], warnings: list[str]) -> list[tuple[Place, dict[str, Any], Any]]:
    if not names or not runs:
        return []
    largest = max(runs, key=lambda run: run.fact("counts.rows.train") or 0)
    split = "test" if any(run.predictions("test") for run in runs) else "validation"
    try:
        found = references.answers(names, Path(largest.data["directory"]), largest.data["content_hash"], split)
    except ConfigError as error:
        warnings.append(f"no reference rows: {error}")
        return []
    told = []
    for name, (predictions, parameters) in found.items():
        place = Place("", name, REFERENCE, 0)
        row = {"run": "", "state": "finished", "parameters_trainable": parameters, "train_rows": largest.fact("counts.rows.train")}
        told.append((place, row, frames.example_rows(place, split, predictions.ids, predictions.label, predictions.prediction)))
    return told


def _facts(
    grouped: Sequence[Arm],
    runs: Sequence[ComparedRun],
    metric: str,
    name: str,
    command: str,
    baseline: str,
    fitted: Sequence[str],
    warnings: Sequence[str],
) -> dict[str, Any]:
    first = runs[0]
    shared = set.intersection(*(set(run.record.get("overrides", [])) for arm in grouped for run in arm.runs))
    shared = {word for word in shared if not word.startswith("seed=")}
    arms = []
    for arm in grouped:
        repeated = len({run.seed for run in arm.runs}) < len(arm.runs)
        own = [word for word in arm.runs[0].record.get("overrides", []) if word not in shared and not word.startswith("seed=")]
        seeds = list(range(len(arm.runs))) if repeated else [run.seed for run in arm.runs]
        arms.append(
            {
                "name": arm.label,
                "overrides": [] if repeated else own,
                "by_run": repeated,
                "seeds": seeds,
                "space": {},
                "chosen": {"": []},
                "edges": {"": []},
            }
        )
    column = {
        "name": "",
        "overrides": [],
        "metric": metric,
        "task": first.task,
        "dataset": str(first.config["dataset"]["name"]),
        "model": str(first.config["model"]["name"]),
        "model_note": first.config["model"].get("note"),
        "labels": first.label_names if first.task != "regression" else None,
    }
    ordered = [word for word in first.record.get("overrides", []) if word in shared]
    fitted_rows = [{"name": each, "kind": "fitted", "scores": {}, "spread": {}, "source": ""} for each in fitted]
    return {
        "name": name,
        "of": "runs",
        "question": "",
        "command": command,
        "base": ordered,
        "baseline": baseline,
        "columns": [column],
        "arms": arms,
        "references": fitted_rows,
        "tune": None,
        "missing": [],
        "warnings": list(warnings),
    }
