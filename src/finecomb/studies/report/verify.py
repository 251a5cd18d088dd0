"""`finecomb runs verify`: whether what is recorded follows from the answers that are recorded beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from finecomb.config.plugins import task_facts
from finecomb.core.errors import ConfigError
from finecomb.studies.analysis import arms, frames
from finecomb.studies.analysis.arms import ComparedRun
from finecomb.studies.analysis.rows import ColumnTable, Row
from finecomb.studies.analysis.scores import Labels, read_predictions, resampled_metrics, scorer, zero_divisions
from finecomb.studies.report.report import ReportTable

if TYPE_CHECKING:
    import pandas as pd

# Metrics are computed here in float64, and were in the run from the same answers.
TOLERANCE = 1e-6


def verify_runs(paths: list[Path]) -> Iterator[tuple[str, list[str]]]:
    """For each run its name and what does not hold; an empty list when all metrics of its answers do."""
    for path in paths:
        try:
            yield path.name, list(_run(arms.read(path)))
        except ConfigError as error:
            yield path.name, [error.problems[0].what]


def _run(run: ComparedRun) -> Iterator[str]:
    if run.state != "finished":
        yield f"it is {run.state}; there is nothing to verify yet"
        return
    for split in ("validation", "test"):
        path = run.predictions(split)
        recorded = {
            name.split("/")[1]: value for name, value in (run.result.metrics if run.result else {}).items() if name.startswith(f"{split}/")
        }
        if path is None:
            if recorded:
                yield f"{split}: metrics are recorded, and the answers are gone"
            continue
        answers = read_predictions(path)
        labels, resampled = _labels(run), resampled_metrics(run.task)
        known = [name for name in recorded if name in resampled]
        found = scorer([answers], known, labels)(np.ones((1, len(answers.ids))))[0, 0]
        undefined = zero_divisions([answers], known, labels)[0]
        for name, value, is_undefined in zip(known, found, undefined, strict=True):
            was = recorded[name]
            # Earlier versions recorded nothing where a metric is 0 / 0.
            if was is None and (np.isnan(value) or is_undefined):
                continue
            if was is None or abs(float(was) - float(value)) > TOLERANCE:
                yield f"{split}/{name}: recorded {was}, the answers give {value:.6f}"


def _labels(run: ComparedRun) -> Labels:
    """What the run predicts."""
    answers = getattr(task_facts(run.task), "answers", "classes")
    if answers == "sums":
        return Labels(run.label_names, summed=run.task)
    return Labels(None) if answers == "numbers" else Labels(run.label_names, exclusive="multi_label" not in run.task)


def verify_study(folder: Path) -> list[str]:
    """What does not hold in a study's results: metrics of runs that their answers do not give, files that the frames do not give."""
    report = ReportTable(frames.read(folder))
    wrong = [line for column in report.analysis.columns for row in column.rows for line in _recorded(report.frames.results, column, row)]
    for name, text in report.derived().items():
        if not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif (folder / name).read_text() != text:
            wrong.append(f"{name} is not what the answers give")
    return wrong


def _recorded(results: pd.DataFrame, column: ColumnTable, row: Row) -> Iterator[str]:
    """Runs of a row whose recorded metric their answers do not give."""
    name = f"{column.split}/{column.metric}"
    if row.kind != "arm" or row.values is None or name not in results:
        return
    runs = results[(results["column"] == column.name) & (results["arm"] == row.arm) & (results["role"] == frames.CONFIRM)]
    for seed, recorded, value in zip(row.seeds, runs.sort_values("seed")[name].tolist(), row.values, strict=False):
        if abs(float(recorded) - float(value)) > TOLERANCE:
            yield f"{column.name} {row.arm} seed {seed}: recorded {column.metric} {recorded:.6f}, the answers give {value:.6f}"


def is_study(path: Path) -> bool:
    """Whether a folder holds a study's results."""
    return (path / frames.FACTS).is_file()
