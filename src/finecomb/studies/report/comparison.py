"""`finecomb compare`: which way of tuning was better, stated no more firmly than the runs allow.

A row is an arm (runs that differ in the seed alone) or a reference. What would make a number mislead, such as an unfinished seed, other
training data or other code, is a warning under the table and never averaged away; runs tested on different examples are refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.config import plugins
from finecomb.core.atomic import write_text
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.studies.analysis import arms, caveats
from finecomb.studies.analysis.arms import ComparedRun
from finecomb.studies.analysis.collect import collect_runs
from finecomb.studies.analysis.frames import Frames
from finecomb.studies.analysis.references import check as check_references
from finecomb.studies.analysis.rows import Row
from finecomb.studies.analysis.scores import resampled_metrics
from finecomb.studies.report import tables
from finecomb.studies.report.formatting import NONE, writer_of
from finecomb.studies.report.latex import Spread
from finecomb.studies.report.report import ReportTable

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".md", ".csv", ".tex")


class Comparison(ReportTable):
    """A table of runs: scores with intervals over seeds and examples, differences to the baseline, costs. Notebooks show it as tables.

    It is the report of a study without a plan: `.plot()`, `.to_latex()`, `.to_html()` and `.save(folder)` are those of a study.

    Attributes:
        remarks: Notes of the caller, shown with `notes`.
    """

    def __init__(self, collected: Frames, grouped: Sequence[arms.Arm]) -> None:
        super().__init__(collected)
        self.remarks: list[str] = []
        missing = {(each.arm, each.seed) for each in collected.facts.missing}
        seeds = {arm.name: arm.seeds for arm in collected.facts.arms}
        measured = {
            arm.label: [run for seed, run in zip(seeds[arm.label], arm.runs, strict=True) if (arm.label, seed) not in missing]
            for arm in grouped
        }
        for column in self.analysis.columns:
            for row in column.rows:
                row.runs = measured.get(row.arm, [])

    @property
    def metrics(self) -> list[str]:
        """Names without the split; the first decides the order of the rows."""
        return [column.metric for column in self.analysis.columns]

    @property
    def rows(self) -> list[Row]:
        """The rows of the first metric: best first, references last."""
        return self.analysis.columns[0].rows

    def row(self, label: str, metric: str | None = None) -> Row:
        """The numbers of one row for a metric (None: the first): `value`, `interval`, `difference`, `p`, `better`, `std`, `costs`.

        Raises:
            KeyError: There is no such row or metric.
        """
        rows = {(column.metric, row.arm): row for column in self.analysis.columns for row in column.rows}
        return rows[metric or self.metrics[0], label]

    @property
    def split(self) -> str:
        """What the rows were measured on."""
        return self.analysis.columns[0].split

    @property
    def examples(self) -> int:
        """How many examples that split has."""
        return self.analysis.columns[0].examples

    @property
    def baselines(self) -> dict[str, str]:
        """For each metric, the label of the row that others are compared with."""
        return {column.metric: column.baseline for column in self.analysis.columns}

    @property
    def grids(self) -> list[tables.Grid]:
        """The tables of a study, and the runs behind the rows with their paths."""
        cells = []
        for row in self.rows:
            for run in row.runs:
                values = [_recorded(run.recorded(f"{self.split}/{metric}"), metric) for metric in self.metrics]
                cells.append([row.label, str(run.seed), *values, str(run.path)])
        return [*super().grids, tables.Grid("the runs behind the rows", ["", "seed", *self.metrics, "record"], cells)]

    @property
    def notes(self) -> list[str]:
        """How to read the tables."""
        return [*super().notes, *self.remarks]

    def to_markdown(self) -> str:
        """The tables with warnings and notes, as Markdown."""
        return tables.markdown_of(self.grids, self.warnings, self.notes)

    def to_frame(self) -> pd.DataFrame:
        """One row for each arm and reference; for each metric its value, interval, difference, p value and std over seeds, then costs."""
        import pandas as pd

        return pd.DataFrame(self._wide()).set_index("row")

    def export(self, path: Path, *, spread: Spread = "interval") -> None:
        """Write a .md, .tex or .csv file; next to a CSV a second one, <name>_runs.csv, with a line for each run behind it.

        spread: What follows ± in a .tex file, as in `to_latex`.
        """
        if path.suffix == ".csv":
            write_text(path, _csv(self._wide()))
            write_text(path.with_name(f"{path.stem}_runs.csv"), _csv(self._runs()))
        else:
            write_text(path, self.to_markdown() if path.suffix == ".md" else self.to_latex(spread=spread))

    def _wide(self) -> list[dict[str, object]]:
        """One row for each arm and reference, as numbers; None where nothing was measured."""
        wide = []
        for number, first in enumerate(self.rows):
            plain: dict[str, object] = {"row": first.arm, "kind": first.kind, "seeds": " ".join(str(run.seed) for run in first.runs)}
            for column in self.analysis.columns:
                row, metric = column.rows[number], column.metric
                own, between = row.interval, row.difference_interval
                plain |= {
                    metric: row.value,
                    f"{metric}_low": own and own.low,
                    f"{metric}_high": own and own.high,
                    f"{metric}_compared_with": column.baseline,
                    f"{metric}_difference": row.difference,
                    f"{metric}_difference_low": between and between.low,
                    f"{metric}_difference_high": between and between.high,
                    f"{metric}_p": row.p,
                    f"{metric}_distinguishable": None if row.p is None else row.better is not None,
                    f"{metric}_std": row.std,
                }
            names = {"trainable_parameters": "parameters_trainable", "stored_bytes": "stored_bytes", "training_seconds": "train_s"}
            costs = {name: _whole(first.costs.get(key)) for name, key in (names | {"peak_memory_bytes": "peak_bytes"}).items()}
            wide.append(plain | {"learning_rate": first.learning_rate} | costs)
        return wide

    def _runs(self) -> list[dict[str, object]]:
        return [
            {"row": row.label, "seed": run.seed}
            | {metric: run.recorded(f"{self.split}/{metric}") for metric in self.metrics}
            | {"record": str(run.path)}
            for row in self.rows
            for run in row.runs
        ]


def _whole(value: float | None) -> float | None:
    """A mean of equal counts as the count that it is."""
    return int(value) if value is not None and value.is_integer() else value


def compare(
    paths: Sequence[str],
    *,
    references: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    baseline: str = "best",
    output: Path | None = None,
    spread: Spread = "interval",
    accept: Callable[[ComparedRun], bool] | None = None,
    by: str | None = None,
    command: str = "",
) -> Comparison:
    """Compare runs given by run directories, folders of them or sweep records.

    Args:
        paths: Run directories, folders of them or sweep records.
        references: Rows to add, `majority` and `tfidf_logistic`.
        metrics: Names without the split; None: the task's usual two.
        baseline: `best` (of each metric), or the label of the row that all are compared with.
        output: A .md, .tex or .csv file to write as well.
        spread: What follows ± in a .tex file: `interval` or `std`.
        accept: Which of the runs to take; None: all.
        by: A key of the config whose values are the rows; None: everything but the seed.
        command: What the user typed, for the report.

    Raises:
        ConfigError: Nothing to compare, runs of different tasks or test examples, an unknown metric, reference or row.
    """
    check_references(references)
    check_output(output)
    runs = [run for run in map(arms.read, arms.find(paths)) if accept is None or accept(run)]
    if not runs:
        raise ConfigError(Problem("no run matches", ", ".join(paths), hint="`finecomb runs` lists the runs there are"))
    shown = shown_metrics(runs, metrics)
    split = "test" if any(run.predictions("test") for run in runs) else "validation"
    grouped, warnings = caveats.without_repeats(arms.group(runs))
    if by is not None:
        grouped, notes = arms.by_key(grouped, by)
        warnings += notes
    measured = [arm.label for arm in grouped if any(run.predictions(split) for run in arm.runs)]
    if not measured:
        states = ", ".join(sorted({run.state for arm in grouped for run in arm.runs}))
        what = f"there is nothing to compare yet: no run is finished and has predictions ({states})"
        raise ConfigError(Problem(what, hint="start the runs again; those that were interrupted resume"))
    collected = collect_runs(grouped, shown, split, command=command, baseline=baseline, fitted=references, warnings=warnings)
    labels = [*measured, *(each.name for each in collected.facts.references)]
    if baseline not in ("best", *labels):
        close = nearest(baseline, labels)
        hint = f"did you mean {close}?" if close else ""
        raise ConfigError(Problem(f"no row is called {baseline}", allowed=", ".join(["best", *labels]), hint=hint))
    comparison = Comparison(collected, grouped)
    if output is not None:
        comparison.export(output, spread=spread)
    return comparison


def check_output(path: Path | None) -> None:
    """Raise ConfigError for a file that cannot be written, before anything is computed."""
    if path is None:
        return
    if path.suffix not in SUFFIXES:
        hint = f"write {path.with_suffix('.md')}"
        raise ConfigError(Problem(f"--output {path}: the ending is not known", allowed=", ".join(SUFFIXES), hint=hint))
    if not path.parent.is_dir():
        raise ConfigError(Problem(f"--output {path}: there is no folder {path.parent}", hint="make the folder first"))


def shown_metrics(runs: Sequence[ComparedRun], requested: Sequence[str] | None) -> list[str]:
    """Metrics of a table of these runs, those requested or the usual ones. Raises ConfigError for what cannot be shown."""
    variants = sorted({run.task for run in runs})
    if len(variants) > 1:
        what = f"the runs are of different tasks: {', '.join(variants)}"
        raise ConfigError(Problem(what, hint="compare runs of one task at a time"))
    facts, allowed = plugins.task_facts(variants[0]), resampled_metrics(variants[0])
    if facts is None or not allowed:
        what = f"runs of the task {variants[0]} cannot be compared: nothing declares its metrics"
        raise ConfigError(Problem(what, hint="load the plug-in of the task: --config-dir"))
    if facts.answers == "classes" and any(len(run.label_names) != 2 for run in runs if run.state == "finished"):
        allowed = [metric for metric in allowed if not metric.endswith("_binary")]
    shown = list(dict.fromkeys(requested or facts.shown or (facts.monitor,)))
    problems = []
    for metric in shown:
        if metric not in allowed:
            guess = nearest(metric, allowed)
            hint = f"did you mean {guess}?" if guess else ""
            problems.append(Problem(f"{metric} has no interval over test examples here", allowed=", ".join(allowed), hint=hint))
    if problems:
        raise ConfigError(problems)
    return shown


def _recorded(value: float | None, metric: str) -> str:
    return NONE if value is None else writer_of(metric)(value, False)


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
