"""Rows that could not be read: why, where, and when there are so many that something is wrong with the file and not with a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finecomb.core.errors import ConfigError, Problem

SHOWN = 2000
# So many rows are kept with their text, and so many with their place; all are counted.
WITH_TEXT, LISTED = 10_000, 100_000

ENCODING, NUL, LONG = "bytes of another encoding", "a NUL byte", "a line of more than 32 million characters"
CELLS, QUOTES, JSON, NESTED, NO_OBJECT = "another number of cells", "broken quoting", "broken JSON", "nested too deeply", "no JSON object"
EMPTY_FILE, NO_TEXT, SURROGATE = "the file is empty", "no text in the text column", "half of a surrogate pair"
NO_LABEL, LABEL, NO_ID, SAME_ID = "the label is missing", "the label does not fit", "an id is missing", "an id occurs more than once"
ANSWER = "an answer is not in its context"
# Left out, counted and named, but nothing that could not be read.
UNKNOWN_SUFFIX, BLANK = "a file whose suffix names no format", "a blank line in a file of one column"
LEFT_OUT = (UNKNOWN_SUFFIX, BLANK)
TAGS, ROW_GROUP = "another number of columns in a sentence", "rows that cannot be read"

_FILE = "is the file complete, and one you may read?"
_MEND = {
    ENCODING: "set dataset.encoding to what the file was written in, such as cp1252, latin-1 or utf-16",
    NUL: "is it a text file? set dataset.encoding to what it was written in, such as utf-16",
    LONG: "break long texts up, or keep each as a file of its own: dataset.format=document",
    CELLS: "quote cells that hold the separator or a line end; or set dataset.quotes=none or csv",
    QUOTES: 'inside quotation marks a mark is written twice (""); or set dataset.quotes=none',
    JSON: "JSON lines hold one whole object in each line",
    NO_OBJECT: 'each row is an object such as {"text": "...", "label": "..."}',
    NO_LABEL: "fill or remove these rows, or let annotator=propagation label them; or name the labels' column: dataset.columns.label=NAME",
    LABEL: "correct or remove these rows; a task takes one kind of label: a class (sequence_classification) or a number (regression)",
    ANSWER: "answer_start counts characters of the context, not bytes; without answer_start the first occurrence of the text is taken",
    NO_ID: "or set dataset.columns.id=null",
    SAME_ID: "make them unique, or set dataset.columns.id=null",
    NO_TEXT: "name the column that holds the text: dataset.columns.text=NAME",
}  # fmt: skip


@dataclass(frozen=True)
class Broken:
    """One row, or the rest of a file, that could not be read.

    line: where it stands, counted as in the rows of its file; None: the file itself. reason: the same for all of its kind, counted.
    detail: what was found in this one. rows: how many rows it stands for; estimated: that number is an estimate.
    """

    line: int | None
    reason: str
    detail: str = ""
    text: str = ""
    rows: int = 1
    estimated: bool = False

    @property
    def message(self) -> str:
        """What the user reads."""
        return self.detail or self.reason


class Intake:
    """Counts the rows of one split while they are read and keeps those that could not be.

    strict: the first broken row is the user's error. most: the share of broken rows that is an error in any case. key: names the option
    that the files were given by. documents: a file is a row, so that one that cannot be read counts as a broken row. skip_damaged: a file
    of which an unknown part is lost is no error.
    """

    def __init__(self, split: str, *, strict: bool, most: float, key: str, documents: bool = False, skip_damaged: bool = False) -> None:
        self.split, self.strict, self.most, self.key, self.documents = split, strict, most, key, documents
        self.skip_damaged = skip_damaged
        self.broken = 0
        self.good = 0
        self.reasons: Counter[str] = Counter()
        self.rejected: list[dict[str, Any]] = []
        # Files that could not be read, or not to their end.
        self.damaged: list[tuple[str, Broken]] = []
        # Those of which rows were read, and nobody knows how many were not.
        self.unknown: list[tuple[str, Broken]] = []
        self._first: dict[str, tuple[str, Broken, list[str]]] = {}
        self.bytes_read, self.bytes_lost = 0, 0

    def add(self, file: str, unit: str, broken: Sequence[Broken], good: int) -> None:
        """Rows of a file."""
        self.good += good
        for row in broken:
            self.reasons[row.reason] += row.rows
            counts = row.line is not None or row.estimated or (self.documents and row.reason not in (EMPTY_FILE, *LEFT_OUT))
            if counts and row.reason not in LEFT_OUT:
                self.broken += row.rows
            if row.line is None and row.reason not in LEFT_OUT:
                self.damaged.append((file, row))
            place = file if row.line is None else f"{file}, {unit} {row.line}"
            *_, places = self._first.setdefault(row.reason, (place, row, []))
            if len(places) < 6:
                places.append(place)
            if len(self.rejected) < LISTED:
                message = f"{row.reason}: {row.detail}" if row.detail and row.detail != row.reason else row.reason
                text = row.text[:SHOWN] if len(self.rejected) < WITH_TEXT else ""
                # Half a surrogate pair can be written nowhere.
                text = text.encode("utf-8", "backslashreplace").decode()
                self.rejected.append({"split": self.split, "file": file, "line": row.line, "reason": message, "text": text})

    def cut(self, file: str, unit: str, fault: Broken, kept: int) -> None:
        """A file ends before its end, after so many good rows; fault.rows: an estimate of how many are lost, 0 where none can be made."""
        if fault.rows:
            detail = f"{fault.detail}; about {fault.rows:,} rows are lost, by the size of the part that was not read"
            self.add(file, unit, [replace(fault, detail=detail, estimated=True)], 0)
            return
        known = replace(fault, detail=f"{fault.detail}, {kept:,} rows; how many are lost is not known", rows=1)
        self.add(file, unit, [known], 0)
        self.unknown.append((file, known))

    def file(self, size: int, *, lost: bool = False) -> None:
        """A file of so many bytes was read to its end, or given up."""
        self.bytes_read += size
        self.bytes_lost += size if lost else 0

    def check(self) -> None:
        """Raise ConfigError when there are too many broken rows among those read so far."""
        total = self.reasons.total() + self.good
        wrong = [reason for reason, _ in self.reasons.most_common() if reason not in LEFT_OUT]
        if not wrong or not (self.strict or self.broken > self.most * (self.broken + self.good)):
            return
        raise ConfigError(self._problem(reason, total) for reason in wrong[:5])

    def check_files(self) -> None:
        """Raise ConfigError when files that hold too large a part of all bytes could not be read, or a part that nobody knows."""
        if self.unknown and not self.skip_damaged:
            hint = "restore these files; or use what can be read of them: dataset.damaged=skip"
            raise ConfigError(Problem(_of_file(file, row), f"{file} ({self.key})", hint=hint) for file, row in self.unknown[:5])
        if self.bytes_lost > self.most * self.bytes_read:
            share = self.bytes_lost / self.bytes_read
            allowed = f"at most a share of dataset.max_rejected={self.most:g} of the bytes; these are {share:.1%}"
            raise ConfigError(replace(problem, allowed=allowed) for problem in self.file_problems({}))

    def file_problems(self, where: Mapping[str, str]) -> list[Problem]:
        """What is wrong with the first files that could not be read. where: their paths."""
        return [Problem(_of_file(file, row), f"{where.get(file, file)} ({self.key})", hint=_FILE) for file, row in self.damaged[:5]]

    def _problem(self, reason: str, total: int) -> Problem:
        place, row, places = self._first[reason]
        count = self.reasons[reason]
        what = _of_file(place, row) if row.line is None else f"{count:,} of {total:,} rows: {row.message}"
        # Of the same file the number says enough.
        head = place.rpartition(" ")[0] + " "
        more = [other.removeprefix(head) if row.line is not None else other for other in places[1:5]]
        listed = place + "".join(f", {other}" for other in more) + (", ..." if count > len(more) + 1 else "")
        allowed = "none: dataset.strict=true" if self.strict else f"broken rows up to a share of dataset.max_rejected={self.most:g}"
        return Problem(what, f"{listed} ({self.key})", allowed, _MEND.get(reason, _FILE))

    def entry(self) -> dict[str, Any] | None:
        """The funnel's entry, where any row is missing."""
        if not self.reasons:
            return None
        rows = {"rows_in": self.good + self.reasons.total(), "rows_out": self.good, "changed": 0}
        return {"step": "read", "split": self.split, **rows, "reasons": dict(sorted(self.reasons.items()))}


def _of_file(name: str, row: Broken) -> str:
    if row.reason == EMPTY_FILE:
        return f"{name} is empty"
    return f"cannot read {name}: {row.reason}" + (f" ({row.detail})" if row.detail else "")
