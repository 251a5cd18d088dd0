"""A report on standard output: drawn tables on a terminal, Markdown when piped. The same report gives the same bytes."""

from __future__ import annotations

import io
import sys
from typing import Literal

from finecomb.studies.report.report import ReportTable

_ROOMY = 100


def render(report: ReportTable) -> str:
    """Text for standard output."""
    return _drawn(report) if sys.stdout.isatty() else report.to_markdown()


def _drawn(report: ReportTable) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=io.StringIO(), force_terminal=True)
    for grid in report.grids:
        table = Table(title=grid.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column, name in enumerate(grid.header):
            # Where there is room, the headers and "not measured" break, not the numbers.
            whole = console.width >= _ROOMY and (column == 0 or "interval" in name)
            side: Literal["left", "right"] = "left" if column == 0 or name == "record" else "right"
            table.add_column(name, justify=side, overflow="fold", no_wrap=whole)
        for cells in grid.cells:
            table.add_row(*(Text(cell.strip("*"), style="bold" if cell.startswith("**") else "") for cell in cells))
        console.print(table)
    for line in report.warnings:
        console.print(Text(f"Warning: {line}", style="yellow"))
    for line in report.notes:
        console.print(Text(line, style="dim"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
