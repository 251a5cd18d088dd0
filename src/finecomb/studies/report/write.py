"""Writes everything a study's frames say: tables, figures, page, commands. Byte for byte the same when nothing has changed."""

from __future__ import annotations

from pathlib import Path

from finecomb.core.atomic import write_text
from finecomb.studies.analysis.analyze import analyse
from finecomb.studies.analysis.frames import Frames
from finecomb.studies.report import tables
from finecomb.studies.report.figures import figures
from finecomb.studies.report.page import page
from finecomb.studies.report.reproduce import reproduce


def write(frames: Frames, folder: Path) -> None:
    """Write table.md, table.tex, results.csv, reproduce.md, report.html and figures/. Figures of an earlier writing are removed."""
    analysis = analyse(frames)
    drawn = figures(analysis, frames)
    drawings = folder / "figures"
    drawings.mkdir(parents=True, exist_ok=True)
    for old in drawings.glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, svg in drawn.items():
        write_text(drawings / name, svg)
    write_text(folder / "table.md", tables.markdown(analysis))
    write_text(folder / "table.tex", tables.latex(analysis))
    write_text(folder / "results.csv", tables.csv(frames))
    write_text(folder / "reproduce.md", reproduce(frames))
    write_text(folder / "report.html", page(analysis, drawn))
