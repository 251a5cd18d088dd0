"""Runs on the screen: rich on a terminal, aligned plain text where the output is piped, never cut."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import DAMAGED, Difference, Entry, short_error

_STYLES = {"finished": "green", "failed": "red", "running": "cyan", "interrupted": "yellow", "pruned": "blue", DAMAGED: "red"}
# Choices that a list shows; the rest is a question for `show`.
_SHOWN_CHOICES = ("dataset", "model", "tuning")


def table(console: Console, headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table; numbers stand at the right."""
    cells = [[_text(value) for value in row] for row in rows]
    if console.is_terminal:
        rich_table = Table(box=None, pad_edge=False, header_style="bold")
        for header in headers:
            rich_table.add_column(header, overflow="fold")
        for row in cells:
            rich_table.add_row(*[f"[{_STYLES[cell]}]{cell}[/]" if cell in _STYLES else escape(cell) for cell in row])
        console.print(rich_table)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [list(headers), *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), markup=False, highlight=False, soft_wrap=True)


def list_runs(console: Console, found: Sequence[Entry], metric: str | None = None) -> None:
    """One line for each run."""
    names = metric or next((each.monitor for each in found if each.monitor), "validation/loss")
    headers = ["run", "state", *_SHOWN_CHOICES, "seed", names, "train s", "made"]
    table(console, headers, [_row(each, names) for each in found])
    for each in found:
        if each.problem:
            console.print(f"{each.path.name}: {each.problem}", markup=False, highlight=False, soft_wrap=True)


def _row(each: Entry, metric: str) -> list[Any]:
    chosen = [each.choices.get(name) or "" for name in _SHOWN_CHOICES]
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.created)) if each.created else ""
    return [each.path.name, each.state, *chosen, each.seed, each.metrics.get(metric), each.seconds, made]


def show_run(console: Console, run: RunDirectory, found: Entry) -> None:
    """Everything a reader asks of one run first."""
    rows: list[tuple[str, Any]] = [
        ("run", run.path),
        ("state", found.state),
        ("sweep", found.group),
        ("overrides", " ".join(found.overrides)),
    ]
    rows += [(group, choice) for group, choice in found.choices.items() if choice is not None]
    rows += list(found.metrics.items())
    rows += [("train seconds", found.seconds), ("what is wrong", found.problem or short_error(found.error))]
    table(console, ["", ""], [row for row in rows if row[1] not in (None, "")])
    if found.error and found.error.count("\n"):
        console.print(f"\n{found.error}", markup=False, highlight=False, soft_wrap=True)


def show_difference(console: Console, names: tuple[str, str], found: Difference) -> None:
    """What differs between two runs, part by part."""
    parts = (
        ("config", found.config),
        ("metrics", found.metrics),
        ("code", found.code),
        ("packages", found.packages),
        ("machine", found.machine),
    )
    if not any(values for _, values in parts):
        console.print("no difference in config, metrics, code, packages or machine", markup=False)
    for part, values in parts:
        if values:
            table(console, [part, *names], [[key, first, second] for key, (first, second) in values.items()])
            console.print()


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)
