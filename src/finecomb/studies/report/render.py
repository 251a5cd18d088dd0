"""A comparison as text: tables for a terminal, Markdown for a pipe or a file, CSV for a program. The same input gives the same bytes."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from finecomb.core.atomic import write_text
from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.report.formatting import NO_SHARE, NONE, bytes_text, interval_text, pipes, writer_of

if TYPE_CHECKING:
    from finecomb.studies.report.comparison import Comparison, Row

_ROOMY = 100
_SUFFIXES = (".md", ".csv")


@dataclass(frozen=True)
class Grid:
    """A titled table of cells."""

    title: str
    header: list[str]
    cells: list[list[str]]


def render(comparison: Comparison) -> str:
    """Text for standard output: drawn tables on a terminal, Markdown when piped."""
    return _drawn(comparison) if sys.stdout.isatty() else markdown(comparison)


def check_output(path: Path | None) -> None:
    """Raise ConfigError for a file that cannot be written, before anything is computed."""
    if path is None:
        return
    if path.suffix not in _SUFFIXES:
        raise ConfigError(
            Problem(f"--output {path}: the ending is not known", allowed=", ".join(_SUFFIXES), hint=f"write {path.with_suffix('.md')}")
        )
    if not path.parent.is_dir():
        raise ConfigError(Problem(f"--output {path}: there is no folder {path.parent}", hint="make the folder first"))


def write(comparison: Comparison, path: Path) -> None:
    """Write a .md or .csv file; beside a CSV a second one, <name>_runs.csv, with a line for each run behind it."""
    if path.suffix == ".md":
        write_text(path, markdown(comparison))
    else:
        write_text(path, _csv(plain_rows(comparison)))
        write_text(path.with_name(f"{path.stem}_runs.csv"), _csv(_plain_runs(comparison)))


def grids(comparison: Comparison) -> list[Grid]:
    """One table for each metric, one of costs, one of the runs behind the rows."""
    return [*(_metric_grid(comparison, metric) for metric in comparison.metrics), _cost_grid(comparison), _run_grid(comparison)]


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown."""
    parts = []
    for grid in grids(comparison):
        lines = [f"**{grid.title}**", "", *pipes([grid.header, ["---"] + ["---:"] * (len(grid.header) - 1), *grid.cells])]
        parts.append("\n".join(lines))
    parts += ["\n".join(f"- Warning: {line}" for line in comparison.warnings)] if comparison.warnings else []
    parts.append("\n".join(f"- {line}" for line in comparison.notes))
    return "\n\n".join(parts) + "\n"


def _drawn(comparison: Comparison) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=io.StringIO(), force_terminal=True)
    for grid in grids(comparison):
        table = Table(title=grid.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column, name in enumerate(grid.header):
            # Where there is room, the headers and "not measured" break, not the numbers.
            whole = console.width >= _ROOMY and (column == 0 or "interval" in name)
            side: Literal["left", "right"] = "left" if column == 0 or name == "record" else "right"
            table.add_column(name, justify=side, overflow="fold", no_wrap=whole)
        for cells in grid.cells:
            table.add_row(*(Text(cell) for cell in cells))
        console.print(table)
    for line in comparison.warnings:
        console.print(Text(f"Warning: {line}", style="yellow"))
    for line in comparison.notes:
        console.print(Text(line, style="dim"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# --- cells -------------------------------------------------------------------------------------------------------------------


def _metric_grid(comparison: Comparison, metric: str) -> Grid:
    show = writer_of(metric)
    against = comparison.baselines[metric]
    unit = "" if metric in NO_SHARE else ", %"
    header = ["", metric, "95 % interval", f"minus {against}", "95 % interval", "beyond noise", "seed deviation", "seeds"]
    cells = []
    for row in comparison.rows:
        score = row.scores.get(metric)
        if score is None:
            cells.append([row.label, *["not measured"], *[NONE] * 5, "0"])
            continue
        deviation = "not measured" if score.spread.deviation is None else show(score.spread.deviation, False)
        difference = [NONE] * 3
        if score.difference is not None and score.difference_interval is not None:
            verdict = "no" if score.better is None else "better" if score.better else "worse"
            verdict = NONE if score.p is None else verdict
            difference = [show(score.difference, True), interval_text(score.difference_interval, show, True), verdict]
        seeds = str(len(row.runs)) if row.kind == "arm" else NONE
        deviation = deviation if row.kind == "arm" else NONE
        cells.append([row.label, show(score.value, False), interval_text(score.interval, show, False), *difference, deviation, seeds])
    return Grid(f"{comparison.split}/{metric}{unit}", header, cells)


def _cost_grid(comparison: Comparison) -> Grid:
    header = ["", "learning rate", "trainable parameters", "stored", "training seconds", "peak memory"]
    cells = [
        [
            row.label,
            NONE if row.learning_rate is None else f"{row.learning_rate:g}",
            NONE if row.trainable is None else f"{row.trainable:,}",
            bytes_text(row.stored_bytes),
            NONE if row.train_seconds is None else f"{row.train_seconds:.1f}",
            bytes_text(row.peak_bytes),
        ]
        for row in comparison.rows
    ]
    return Grid("cost of one run", header, cells)


def _run_grid(comparison: Comparison) -> Grid:
    cells = []
    for row in comparison.rows:
        for run in row.runs:
            values = [_recorded(run.recorded(f"{comparison.split}/{metric}"), metric) for metric in comparison.metrics]
            cells.append([row.label, str(run.seed), *values, str(run.path)])
    return Grid("the runs behind the rows", ["", "seed", *comparison.metrics, "record"], cells)


def _recorded(value: float | None, metric: str) -> str:
    return NONE if value is None else writer_of(metric)(value, False)


# --- plain numbers -----------------------------------------------------------------------------------------------------------


def plain_rows(comparison: Comparison) -> list[dict[str, object]]:
    """One row for each arm and reference, as numbers; None where nothing was measured."""
    return [_plain_row(comparison, row) for row in comparison.rows]


def _plain_row(comparison: Comparison, row: Row) -> dict[str, object]:
    plain: dict[str, object] = {"row": row.label, "kind": row.kind, "seeds": " ".join(map(str, row.seeds))}
    for metric in comparison.metrics:
        score = row.scores.get(metric)
        between = score.difference_interval if score else None
        plain |= {
            metric: score and score.value,
            f"{metric}_low": score and score.interval.low,
            f"{metric}_high": score and score.interval.high,
            f"{metric}_compared_with": comparison.baselines[metric],
            f"{metric}_difference": score and score.difference,
            f"{metric}_difference_low": between and between.low,
            f"{metric}_difference_high": between and between.high,
            f"{metric}_p": score and score.p,
            f"{metric}_distinguishable": None if score is None or score.p is None else score.better is not None,
            f"{metric}_seed_deviation": score and score.spread.deviation,
        }
    costs = {"learning_rate": row.learning_rate, "trainable_parameters": row.trainable, "stored_bytes": row.stored_bytes}
    return plain | costs | {"training_seconds": row.train_seconds, "peak_memory_bytes": row.peak_bytes}


def _plain_runs(comparison: Comparison) -> list[dict[str, object]]:
    return [
        {"row": row.label, "seed": run.seed}
        | {metric: run.recorded(f"{comparison.split}/{metric}") for metric in comparison.metrics}
        | {"record": str(run.path)}
        for row in comparison.rows
        for run in row.runs
    ]


def _csv(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
