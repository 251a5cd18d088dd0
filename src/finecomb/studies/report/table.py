"""A report as an object: the tables and figures of one set of frames, for a notebook or a file."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.analysis import frames
from finecomb.studies.analysis.analyze import Analysis, analyse
from finecomb.studies.analysis.frames import Frames
from finecomb.studies.report import tables
from finecomb.studies.report.write import write

if TYPE_CHECKING:
    import pandas as pd


class Figure(str):
    """A figure as SVG text, which a notebook draws."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


class ReportTable:
    """Scores with intervals, differences to the baseline with corrected p values, and costs, of a study or of runs.

    Attributes:
        frames: Every run, prediction and learning curve behind the numbers.
    """

    def __init__(self, found: Frames) -> None:
        self.frames = found

    @cached_property
    def analysis(self) -> Analysis:
        """The numbers behind every table and figure."""
        return analyse(self.frames)

    def to_markdown(self) -> str:
        """The tables with their warnings and notes, as Markdown."""
        return tables.markdown(self.analysis)

    def to_latex(self) -> str:
        r"""One booktabs table: needs `\usepackage{booktabs}`."""
        return tables.latex(self.analysis)

    def to_frame(self) -> pd.DataFrame:
        """One row for each arm and column, with score, interval, difference, p value and verdict."""
        import pandas as pd

        return pd.DataFrame(tables.plain_rows(self.analysis))

    def plot(self, kind: str = "intervals") -> Figure:
        """Draw a figure: `intervals`, `pareto`, `learning_curves`, `data_size` or `budget`, where there are numbers for it.

        Raises:
            ConfigError: There is no such figure of these runs.
        """
        from finecomb.studies.report.figures import figures

        drawn = {name.removesuffix(".svg"): svg for name, svg in figures(self.analysis, self.frames).items()}
        if kind not in drawn:
            raise ConfigError(Problem(f"there is no figure {kind} of these runs", "plot", ", ".join(drawn)))
        return Figure(drawn[kind])

    def write(self, folder: str | Path) -> None:
        """Write table.md, table.tex, results.csv, reproduce.md, report.html and figures/ to a folder."""
        write(self.frames, Path(folder))

    def save(self, folder: str | Path) -> None:
        """Write what `write` does, and the frames, from which it can be written again."""
        frames.write(self.frames, Path(folder))
        self.write(folder)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()
