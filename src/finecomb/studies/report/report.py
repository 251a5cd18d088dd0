"""A report as an object: the tables and figures of one set of frames, for a notebook, a terminal or a folder of files."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.core.atomic import write_text
from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.analysis import frames
from finecomb.studies.analysis.analyze import analyse
from finecomb.studies.analysis.frames import Frames
from finecomb.studies.analysis.rows import Analysis
from finecomb.studies.report import latex, tables
from finecomb.studies.report.reproduce import reproduce

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

    def __init__(self, collected: Frames) -> None:
        self.frames = collected

    @cached_property
    def analysis(self) -> Analysis:
        """The numbers behind every table and figure."""
        return analyse(self.frames)

    @property
    def grids(self) -> list[tables.Grid]:
        """The tables as cells of text."""
        return tables.grids(self.analysis)

    @property
    def warnings(self) -> list[str]:
        """What makes rows less comparable."""
        return tables.warnings(self.analysis)

    @property
    def notes(self) -> list[str]:
        """How to read the tables."""
        return tables.notes(self.analysis)

    def to_markdown(self) -> str:
        """The tables with their warnings and notes, as Markdown."""
        return tables.markdown(self.analysis)

    def to_latex(self, *, spread: latex.Spread = "interval", parameters: bool = True) -> str:
        r"""One `table` environment with caption, label and legend: needs `\usepackage{booktabs}` and nothing else.

        Args:
            spread: What follows ±: `interval`, half of the 95 % interval, or `std`, the standard deviation over seeds.
            parameters: Add a column of trained parameters.
        """
        return latex.latex(self.analysis, spread=spread, parameters=parameters)

    def to_html(self) -> str:
        """One page with tables and figures, which needs no network."""
        from finecomb.studies.report.page import page

        return page(self.analysis, self._figures())

    def to_frame(self) -> pd.DataFrame:
        """One row for each arm, column and metric, with score, interval, difference, p value and verdict."""
        import pandas as pd

        return pd.DataFrame(tables.plain_rows(self.analysis))

    def plot(self, kind: str = "intervals") -> Figure:
        """Draw a figure: `intervals`, `pareto`, `learning_curves`, `data_size` or `budget`, where there are numbers for it.

        Of several columns or metrics, name which one: `intervals_f1_macro`.

        Raises:
            ConfigError: There is no such figure of these runs.
        """
        drawn = {name.removesuffix(".svg"): svg for name, svg in self._figures().items()}
        name = kind if kind in drawn else next((name for name in drawn if name.startswith(f"{kind}_")), None)
        if name is None:
            raise ConfigError(Problem(f"there is no figure {kind} of these runs", "plot", ", ".join(drawn)))
        return Figure(drawn[name])

    def write(self, folder: str | Path) -> None:
        """Write table.md, table.tex, results.csv, reproduce.md, report.html and figures/ to a folder; figures no longer drawn are removed.

        The same frames give the same bytes.
        """
        drawings = Path(folder) / "figures"
        drawings.mkdir(parents=True, exist_ok=True)
        figures = self._figures()
        for old in drawings.glob("*.svg"):
            if old.name not in figures:
                old.unlink()
        texts = {**self.derived(), "report.html": self.to_html(), **{f"figures/{name}": svg for name, svg in figures.items()}}
        for name, text in texts.items():
            write_text(Path(folder) / name, text)

    def derived(self) -> dict[str, str]:
        """The tables that `finecomb runs verify` derives again: file name -> text."""
        return {
            "table.md": tables.markdown(self.analysis),
            "table.tex": self.to_latex(),
            "results.csv": tables.csv(self.frames),
            "reproduce.md": reproduce(self.frames),
        }

    def save(self, folder: str | Path) -> None:
        """Write what `write` does, and the frames, from which it can be written again."""
        frames.write(self.frames, Path(folder))
        self.write(folder)

    def _figures(self) -> dict[str, str]:
        from finecomb.studies.report.figures import figures

        return figures(self.analysis, self.frames)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()
