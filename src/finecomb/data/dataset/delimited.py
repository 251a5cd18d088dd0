"""CSV and TSV, strictly: every row has as many cells as the header, and a wrong one is named by its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from finecomb.config.errors import Problem, UserError
from finecomb.data.dataset.text_file import lines_of

_LONGEST_CELL = 2**31 - 1


def parse_delimited(
    text: str, file: str, format: str, quotes: str, headerless: Sequence[str] = ()
) -> tuple[list[str], list[list[str]], list[int]]:
    """Names of the columns, rows of cells, and the line each row starts in. Blank lines are no rows.

    format: "csv" or "tsv". quotes: "csv", "none" or "auto". headerless: names to use where the first line has none of them.
    """
    separator = "," if format == "csv" else "\t"
    quoted = quotes == "csv" or (quotes == "auto" and (format == "csv" or _quoted_as_csv(text)))
    rows, lines = _quoted(text, file, separator) if quoted else _plain(text, separator)
    names = [name.strip() for name in rows[0]]
    if headerless and len(names) == len(headerless) and not set(names) & set(headerless):
        names = list(headerless)
    else:
        rows, lines = rows[1:], lines[1:]
    wrong = [row for row, cells in enumerate(rows) if len(cells) != len(names)]
    if wrong:
        row = wrong[0]
        what = f"{len(wrong):,} rows have another number of cells than the header's {len(names)}; the first has {len(rows[row])}"
        places = ", ".join(str(lines[row]) for row in wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        mend = "quote cells that hold the separator or a line end" if quoted else "a cell holds the separator; or set dataset.quotes=csv"
        raise UserError(Problem(what, f"{file}, lines {places}", allowed=f"columns: {', '.join(names)}", mend=mend))
    return names, rows, lines


def _plain(text: str, separator: str) -> tuple[list[list[str]], list[int]]:
    kept = [(number, line) for number, line in enumerate(lines_of(text), start=1) if line]
    return [line.split(separator) for _, line in kept], [number for number, _ in kept]


def _quoted(text: str, file: str, separator: str) -> tuple[list[list[str]], list[int]]:
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows, lines, start = [], [], 1
    try:
        for cells in reader:
            if cells:
                rows.append(cells)
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        mend = 'inside quotation marks a mark is written twice (""); or set dataset.quotes=none'
        raise UserError(Problem(f"broken quoting: {error}", f"{file}, line {start}", mend=mend)) from error
    return rows, lines


def _quoted_as_csv(text: str) -> bool:
    """Whether a TSV was written with CSV's quoting: then every cell with a quotation mark is wrapped in marks, those inside doubled."""
    if '"' not in text:
        return False
    csv.field_size_limit(_LONGEST_CELL)
    try:
        cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True) for cell in row if '"' in cell]
    except csv.Error:
        return False
    # The strict reader lets a mark stand in the middle of a bare cell, which no such writer leaves there.
    at = 0
    for cell in cells:
        wrapped = '"' + cell.replace('"', '""') + '"'
        at = text.find(wrapped, at) + len(wrapped)
        if at < len(wrapped):
            return False
    return True
