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
from finecomb.data.dataset.formats.piece import PIECE, How, Numbers, Table
from finecomb.data.dataset.found import File
from finecomb.data.dataset.lines import LONGEST, Group, bare, fault, groups

csv.field_size_limit(2**31 - 1)
_SAMPLE = 8  # groups of lines by which the quoting of a TSV is known
Record = tuple[int, "list[str] | Broken"]


@dataclass
class _Progress:
    """What has gone by since the last piece."""

    size: int = 0
    tainted: bool = False
    damaged: Damaged | None = None
    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    def reset(self) -> None:
        """A piece was given away. What is tainted stays so: groups may have been read ahead."""
        self.size, self.rows, self.lines, self.numbers, self.broken = 0, [], [], [], []


def delimited(file: File, how: How, separator: str) -> Iterator[Table]:
    """Pieces of a file of cells. Blank lines are no rows; in a file of one column, where they may be empty texts, they are counted.

    Raises Damaged at the end of what can be read.
    """
    progress, count = _Progress(), Numbers()
    names: list[str] | None = None
    for line, cells in _records(_watched(groups(file, how.encoding), progress), how.quotes, separator):
        if isinstance(cells, Broken) and cells.reason == BLANK:
            progress.broken += [cells] if names is not None and len(names) == 1 else []
            continue
        if isinstance(cells, Broken):
            progress.broken.append(cells)
            count.take()
            continue
        if names is None:
            names, is_row = _header(file, cells, how, line, tainted=progress.tainted)
            if not is_row:
                continue
        progress.rows.append(cells)
        progress.lines.append(line)
        progress.numbers.append(count.take())
        if progress.size >= PIECE:
            yield _piece(file, how, names, progress)
            progress.reset()
    if names is not None:
        yield _piece(file, how, names, progress)
    if progress.damaged is not None:
        raise progress.damaged


def _header(file: File, cells: list[str], how: How, line: int, *, tainted: bool) -> tuple[list[str], bool]:
    """Names of the columns, and whether the first line is already a row."""
    if tainted and (wrong := fault("\n".join(cells), how.encoding, line)):
        raise ConfigError(Problem(f"the header cannot be read: {wrong.told}", f"{file.name}, line {line}", hint="set dataset.encoding"))
    names = [name.strip() for name in cells]
    if how.headerless and len(names) == len(how.headerless) and not set(names) & set(how.headerless):
        return list(how.headerless), True
    return names, False


def _piece(file: File, how: How, names: list[str], progress: _Progress) -> Table:
    """The rows since the last piece; those with another number of cells or with unreadable text are broken."""
    rows, lines, numbers = progress.rows, progress.lines, progress.numbers
    broken, wrong, width = progress.broken, set(), len(names)
    for row, cells in enumerate(rows):
        if len(cells) != width:
            what = f"another number of cells than the header's {width}: {len(cells)}"
            broken.append(Broken(lines[row], CELLS, what, " | ".join(cells)))
            wrong.add(row)
        elif progress.tainted and (found := fault("\n".join(cells), how.encoding, lines[row])):
            broken.append(found)
            wrong.add(row)
    if wrong:
        rows, lines, numbers = ([item for row, item in enumerate(items) if row not in wrong] for items in (rows, lines, numbers))  # type: ignore[assignment]
    places = {name: position for position, name in enumerate(names)}
    return Table(file.name, names, lambda name: [row[places[name]] for row in rows], lines, row=numbers, broken=broken)


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


def _plain(group: Group, separator: str) -> Iterator[Record]:
    for wrong in group.broken:
        yield group.first, wrong
    for number, line in enumerate(group.lines, start=group.first):
        line = bare(line)
        yield number, line.split(separator) if line else Broken(number, BLANK)


class _Feed:
    """Lines for the csv reader, which can be given back. pending: those of the row that is not yet whole."""

    def __init__(self, source: Iterator[Group]) -> None:
        self._lines = self._flat(source)
        self._again: deque[str] = deque()
        self.pending: list[str] = []
        self.broken: list[Broken] = []
        self.start = 1
        self._length = 0

    def _flat(self, source: Iterator[Group]) -> Iterator[str]:
        for group in source:
            self.broken += group.broken
            text = "\n".join(group.lines)
            if "\r" in text:  # a carriage return alone ends a line too
                yield from io.StringIO(text + "\n", newline="")
            else:
                for line in group.lines:
                    yield line + "\n"

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._lines, None)
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
    feed = _Feed(source)
    while True:
        try:
            for cells in csv.reader(feed, delimiter=separator, strict=True):
                start = feed.done()
                while feed.broken:
                    yield start, feed.broken.pop(0)
                yield start, cells or Broken(start, BLANK)
            break
        except csv.Error as error:
            yield feed.start, feed.reject(error)
    for wrong in feed.broken:
        yield feed.start, wrong


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
