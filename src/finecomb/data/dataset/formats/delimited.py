"""CSV and TSV, strictly: every row has as many cells as the header, and a wrong one is named by its line and left out."""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.broken import BLANK, CELLS, QUOTES, Broken
from finecomb.data.dataset.compressed import Damaged
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats.piece import PIECE, How, Numbers, Table
from finecomb.data.dataset.lines import LONGEST, Group, bare, fault, groups

csv.field_size_limit(2**31 - 1)
_SAMPLE = 8  # groups of lines by which the quoting of a TSV is known
# Line, cells of as many rows as the third is, or what cannot be read.
Record = tuple[int, "list[str] | Broken", int]


@dataclass
class _Progress:
    """What has been read since the last piece. cells: those of all rows, one row after another."""

    size: int = 0
    tainted: bool = False
    damaged: Damaged | None = None
    cells: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    def reset(self) -> None:
        """Begin a piece. What is tainted stays so: groups may have been read ahead."""
        self.size, self.cells, self.lines, self.numbers, self.broken = 0, [], [], [], []

    def add(self, line: int, cells: list[str], numbers: range, width: int, encoding: str) -> None:
        """Rows of consecutive lines; those with another number of cells or with unreadable text are broken."""
        rows = len(numbers)
        if len(cells) != rows * width:
            what, each = f"another number of cells than the header's {width}: {len(cells) // rows}", len(cells) // rows
            self.broken += [Broken(line + row, CELLS, what, " | ".join(cells[row * each : (row + 1) * each])) for row in range(rows)]
        elif self.tainted and rows == 1 and (unreadable := fault("\n".join(cells), encoding, line)):
            self.broken.append(unreadable)
        else:
            self.cells += cells
            self.lines += range(line, line + rows)
            self.numbers += numbers

    def piece(self, file: File, names: list[str]) -> Table:
        """The rows since the last piece."""
        cells, width, places = self.cells, len(names), {name: place for place, name in enumerate(names)}
        return Table(file.name, names, lambda name: cells[places[name] :: width], self.lines, row=self.numbers, broken=self.broken)


def delimited(file: File, how: How, separator: str) -> Iterator[Table]:
    """Pieces of a file of cells. Blank lines are no rows; in a file of one column, where they may be empty texts, they are counted.

    Raises Damaged at the end of what can be read.
    """
    progress, count = _Progress(), Numbers()
    names: list[str] | None = None
    for line, cells, rows in _records(_watched(groups(file, how.encoding), progress), how.quotes, separator):
        if isinstance(cells, Broken):
            if cells.reason != BLANK:
                count.many(1)
            if cells.reason != BLANK or (names is not None and len(names) == 1):
                progress.broken.append(cells)
            continue
        if names is None:
            first = cells[: len(cells) // rows]
            names, is_row = _header(file, first, how, line, tainted=progress.tainted)
            if not is_row:
                line, cells, rows = line + 1, cells[len(first) :], rows - 1
                if not rows:
                    continue
        progress.add(line, cells, count.many(rows), len(names), how.encoding)
        if progress.size >= PIECE:
            yield progress.piece(file, names)
            progress.reset()
    if names is not None:
        yield progress.piece(file, names)
    if progress.damaged is not None:
        raise progress.damaged


def _header(file: File, cells: list[str], how: How, line: int, *, tainted: bool) -> tuple[list[str], bool]:
    """Names of the columns, and whether the first line is already a row."""
    if tainted and (wrong := fault("\n".join(cells), how.encoding, line)):
        raise ConfigError(Problem(f"the header cannot be read: {wrong.message}", f"{file.name}, line {line}", hint="set dataset.encoding"))
    names = [name.strip() for name in cells]
    if how.headerless and len(names) == len(how.headerless) and not set(names) & set(how.headerless):
        return list(how.headerless), True
    return names, False


def _watched(source: Iterable[Group], progress: _Progress) -> Iterator[Group]:
    for group in source:
        progress.size += sum(map(len, group.lines))
        progress.tainted = progress.tainted or group.tainted
        progress.damaged = group.damaged
        yield group


def _records(source: Iterator[Group], quotes: str, separator: str) -> Iterator[Record]:
    """Line and cells of each row. How a TSV is quoted is known at its first quotation mark; before it both ways read the same."""
    if quotes == "csv" or (quotes == "auto" and separator == ","):
        yield from _quoted(source, separator)
        return
    for group in source:
        if quotes == "auto" and any('"' in line for line in group.lines):
            sample = [group]
            while len(sample) < _SAMPLE and (more := next(source, None)) is not None:
                sample.append(more)
            ahead = _chained(sample, source)
            if _quoted_as_csv("\n".join(line for part in sample for line in part.lines), separator):
                yield from _quoted(ahead, separator)
            else:
                for part in ahead:
                    yield from _plain(part, separator)
            return
        yield from _plain(group, separator)


def _chained(first: list[Group], rest: Iterator[Group]) -> Iterator[Group]:
    yield from first
    yield from rest


def _block(group: Group, separator: str, *, quotes: bool) -> tuple[list[str], int] | None:
    """The cells of a group in which each line is a row of as many cells, and the number of rows; None where that is not certain.

    Without quotation marks and lone carriage returns both readers split a line at its separators. One split of all lines is faster than
    pyarrow's reader, whose cells would have to become strings.
    """
    text = "\n".join(group.lines) + "\n"
    if group.tainted or group.broken or not group.lines or (quotes and ('"' in text or text.count("\r") != text.count("\r\n"))):
        return None
    lines = text.replace("\r\n", "\n").split("\n")[:-1] if "\r" in text else group.lines
    if "" in lines or len({line.count(separator) for line in lines}) > 1:
        return None
    return separator.join(lines).split(separator), len(lines)


def _plain(group: Group, separator: str) -> Iterator[Record]:
    if (block := _block(group, separator, quotes=False)) is not None:
        yield group.first, *block
        return
    for wrong in group.broken:
        yield group.first, wrong, 1
    for number, line in enumerate(group.lines, start=group.first):
        line = bare(line)
        yield number, line.split(separator) if line else Broken(number, BLANK), 1


class _Feed:
    """Lines for the csv reader, which can be given back. They end before a block.

    pending: lines of the row that is not yet whole. block: cells and number of the rows that follow; None at the end of the file.
    """

    def __init__(self, source: Iterator[Group], separator: str) -> None:
        self._source, self._separator = source, separator
        self._lines: Iterator[str] = iter(())
        self.block: tuple[list[str], int] | None = None
        self._again: deque[str] = deque()
        self.pending: list[str] = []
        self.broken: list[Broken] = []
        self.start = 1
        self._length = 0

    def _next(self) -> str | None:
        """The next line; None at the end of the file, and before a block, which begins only where a row is whole."""
        if self._again:
            return self._again.popleft()
        while (line := next(self._lines, None)) is None:
            group = next(self._source, None)
            self.block = _block(group, self._separator, quotes=True) if group and not self.pending else None
            if group is None or self.block is not None:
                return None
            self.broken += group.broken
            # A carriage return alone ends a line too.
            self._lines = iter(io.StringIO("\n".join([*group.lines, ""]), newline=""))
        return line

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self._next()
            if line is None:
                return
            self.pending.append(line)
            self._length += len(line)
            if self._length > LONGEST:
                raise csv.Error("a quoted cell does not end within 32 million characters")
            yield line

    def done(self) -> int:
        """The row is whole; gives the line it started in."""
        start = self.start
        self.start += len(self.pending)
        self.pending.clear()
        self._length = 0
        return start

    def reject(self, error: csv.Error) -> Broken:
        """The row cannot be read: its first line is left out, the others are read again."""
        first, self.pending[:] = self.pending[0], self.pending[1:]
        self._again.extendleft(reversed(self.pending))
        self.pending.clear()
        self._length = 0
        self.start += 1
        return Broken(self.start - 1, QUOTES, f"broken quoting: {error}", first)


def _quoted(source: Iterator[Group], separator: str) -> Iterator[Record]:
    feed = _Feed(source, separator)
    while True:
        try:
            for cells in csv.reader(feed, delimiter=separator, strict=True):
                start = feed.done()
                while feed.broken:
                    yield start, feed.broken.pop(0), 1
                yield start, cells or Broken(start, BLANK), 1
        except csv.Error as error:
            yield feed.start, feed.reject(error), 1
            continue
        while feed.broken:
            yield feed.start, feed.broken.pop(0), 1
        if feed.block is None:
            return
        yield feed.start, *feed.block
        feed.start += feed.block[1]


def _quoted_as_csv(text: str, separator: str) -> bool:
    """Whether a TSV was written with CSV's quoting: then every cell with a quotation mark is wrapped in marks, those inside doubled."""
    cells: list[str] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            cells += [cell for cell in row if '"' in cell]
    except csv.Error as error:
        # A sample may end in the middle of a quoted cell.
        if "unexpected end" not in str(error) or len(text) < PIECE // 2:
            return False
    # The strict reader lets a mark stand in the middle of a bare cell, which no such writer leaves there.
    at = 0
    for cell in cells:
        wrapped = '"' + cell.replace('"', '""') + '"'
        at = text.find(wrapped, at) + len(wrapped)
        if at < len(wrapped):
            return False
    return True
