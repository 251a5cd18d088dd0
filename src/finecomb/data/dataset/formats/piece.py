"""A piece of a file as a table: some rows, and those among them that could not be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from finecomb.data.dataset.broken import Broken

# Characters of a piece, about: what a reader holds in memory at a time.
PIECE = 8 << 20


@dataclass(frozen=True)
class Table:
    """Named columns and where each row stands. `column(name)` gives the cells: str for CSV and TSV, else what the file holds.

    row: number of each row in its file, from 0; broken ones count too, so that a row's number does not hang on others.
    open_names: rows have names of their own, so that a column that no row here has may still stand elsewhere.
    """

    file: str
    names: list[str]
    column: Callable[[str], list[Any]]
    line: Sequence[int]
    unit: str = "line"
    row: Sequence[int] = ()
    broken: list[Broken] = field(default_factory=list)
    open_names: bool = False

    def __len__(self) -> int:
        return len(self.line)

    def place(self, row: int) -> str:
        """Where a row stands, as the user is told."""
        return f"{self.file}, {self.unit} {self.line[row]}"


@dataclass(frozen=True)
class How:
    """How files are read.

    quotes: "csv", "none" or "auto" (CSV: csv; TSV: csv where every cell with a quotation mark is quoted as CSV writes it, else none).
    headerless: names of the columns of a CSV or TSV whose first line is already a row.
    choose: of a file's columns those that are needed; a format that can leaves the others unread. extract: how the main text of an HTML
    document is taken, None: the page as it is.
    """

    encoding: str = "utf-8"
    quotes: str = "auto"
    headerless: Sequence[str] = ()
    choose: Callable[[list[str]], Sequence[str]] = list
    extract: str | None = None


class Numbers:
    """Counts the rows of a file."""

    def __init__(self) -> None:
        self.next = 0

    def take(self) -> int:
        """The number of one more row."""
        return self.many(1)[0]

    def many(self, count: int) -> range:
        """The numbers of so many more rows."""
        self.next += count
        return range(self.next - count, self.next)
