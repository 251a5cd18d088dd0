r"""A study or comparison as one LaTeX table, which needs `\usepackage{booktabs}` and nothing else."""

from __future__ import annotations

import re
from typing import Literal

from finecomb.studies.analysis.rows import BETTER, WORSE, Analysis, ColumnTable, Row
from finecomb.studies.report.formatting import writer_of
from finecomb.studies.report.tables import heading, row_names

Spread = Literal["interval", "std"]
_ESCAPES = {
    "&": r"\&",
    "%": r"\%",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\^{}",
    "\\": r"\textbackslash{}",
}
_MARKS = {BETTER: r"$^{+}$", WORSE: r"$^{-}$"}
_OF_SPREAD = {
    "interval": r"half of the 95\,\% interval over seeds and test examples",
    "std": "standard deviation over seeds",
}


def latex(analysis: Analysis, *, spread: Spread = "interval", parameters: bool = True) -> str:
    """A `table` environment: rows with mean ± spread in each column, trained parameters, marks, caption and label.

    Args:
        analysis: The numbers.
        spread: `interval`: half of the 95 % interval over seeds and examples; `std`: standard deviation over seeds.
        parameters: Whether there is a column of trained parameters.
    """
    columns = analysis.columns
    rows = {name: [next((row for row in column.rows if row.arm == name), None) for column in columns] for name in row_names(analysis)}
    extra = [" & parameters"] if parameters else []
    lines = [
        f"% {analysis.facts.name}: made by `{analysis.facts.command}`; needs \\usepackage{{booktabs}}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{_caption(analysis, spread)}}}",
        rf"\label{{tab:{re.sub(r'[^a-z0-9]+', '-', str(analysis.facts.name).lower()).strip('-')}}}",
        r"\begin{tabular}{l" + "r" * (len(columns) + len(extra)) + "}",
        r"\toprule",
        " & ".join(["", *(escape(heading(column)) for column in columns)]) + "".join(extra) + r" \\",
        r"\midrule",
    ]
    kind = None
    for name, cells in rows.items():
        first = next(row for row in cells if row is not None)
        if kind not in (None, first.kind):
            lines.append(r"\midrule")
        kind = first.kind
        texts = [_cell(row, column, spread) if row else "--" for row, column in zip(cells, columns, strict=True)]
        count = first.costs.get("parameters_trainable")
        texts += ["--" if count is None else f"{count:,.0f}"] if parameters else []
        lines.append(" & ".join([escape(name), *texts]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"


def _cell(row: Row, column: ColumnTable, spread: Spread) -> str:
    show = writer_of(column.metric)
    if row.kind == "published" and row.published is not None:
        return f"{row.published:g}" + (rf" $\pm$ {row.spread:g}" if row.spread is not None else "")
    if row.own is None:
        return "not measured"
    between = row.own.interval if row.kind == "arm" else None
    half = None if between is None else (between.high - between.low) / 2
    width = row.std if spread == "std" else half
    text = show(row.own.value, False) + ("" if width is None else rf" $\pm$ {show(width, False)}")
    text = rf"\textbf{{{text}}}" if row.best else rf"\underline{{{text}}}" if row.as_good else text
    return text + _MARKS.get(row.verdict, "")


def _caption(analysis: Analysis, spread: Spread) -> str:
    """The question, and the legend of everything the cells hold."""
    rows = [(row, column) for column in analysis.columns for row in column.rows]
    seeds = sorted({len(row.seeds) for row, _ in rows if row.kind == "arm" and row.seeds})
    parts = [escape(analysis.facts.question)] if analysis.facts.question else []
    parts.append(rf"Mean $\pm$ {_OF_SPREAD[spread]}; {' or '.join(map(str, seeds)) or '--'} seeds.")
    parts.append("Bold: best.")
    if any(row.as_good for row, _ in rows):
        parts.append(r"Underlined: not shown to be worse than the best (5\,\%, corrected).")
    baselines = ", ".join(dict.fromkeys(escape(column.baseline) for column in analysis.columns if column.baseline))
    for verdict, mark in _MARKS.items():
        if any(row.verdict == verdict for row, _ in rows):
            parts.append(rf"{mark}: {verdict} than {baselines} ($p < 0.05$, corrected).")
    return " ".join(parts)


def escape(text: str) -> str:
    """Text as LaTeX prints it."""
    return re.sub(r"[&%_#${}~^\\]", lambda match: _ESCAPES[match[0]], text)
