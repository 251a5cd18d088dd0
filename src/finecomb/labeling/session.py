"""What one annotator has said of a list of rows: kept in a file of JSON lines that grows by a line with each answer.

The last line of a row wins. A line is flushed to the disk before the answer counts as given, so that nothing said is ever lost.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finecomb.core.atomic import reported_when_full, sync_directory, write_text
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.spans import Span
from finecomb.labeling import storage
from finecomb.labeling.documents import Document, Malformed, fault, last_wins, names_of, number_of, refuse, text_of, unique
from finecomb.labeling.offsets import UTF_16, Offsets, span_of
from finecomb.runs.lock import Held, Lock

_NAME = re.compile(r"\w[\w.@+-]{0,63}")


@dataclass(frozen=True)
class Task:
    """What is asked of each row: one class of `labels`, or with `several` any number; spans with names of `spans`."""

    labels: Sequence[str] = ()
    spans: Sequence[str] = ()
    several: bool = False


class Session:
    """One annotator's answers to rows; holds the file until it is closed.

    rows: what is labeled, in this order; their labels and spans are suggestions.

    Raises:
        ConfigError: the name cannot name a file, another process holds the file, or it belongs to other texts.
    """

    def __init__(self, rows: Sequence[Document], task: Task, annotator: str, folder: Path) -> None:
        if not _NAME.fullmatch(annotator):
            what = f"{annotator!r} cannot name an annotator's file"
            raise ConfigError(Problem(what, "--annotator", "up to 64 letters, digits, and . _ - + @, beginning with a letter or digit"))
        if not rows:
            raise ConfigError(Problem("there is no row to label", hint="give a file with rows"))
        unique(rows)
        self.rows, self.task, self.annotator = list(rows), task, annotator
        self.path = folder / f"{annotator}.jsonl"
        self.notes: list[str] = []
        self._place = {row.id: number for number, row in enumerate(rows)}
        self._guard = threading.Lock()
        # The row and what was said of it before, for each answer of this session.
        self._before: list[tuple[int, Document | None]] = []
        with reported_when_full(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = self._held(folder)
        try:
            self._answers = self._earlier()
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            self._lock.release()
            raise
        sync_directory(folder)

    def _held(self, folder: Path) -> Lock:
        try:
            return Lock(folder / f".{self.annotator}.lock").acquire()
        except Held as held:
            who = f"process {held.owner.pid} on {held.owner.host}" if held.owner else "another process"
            hint = "go on in the page that is open, stop that command, or label under another name"
            raise ConfigError(Problem(f"{self.path} is held by {who}", "--annotator", hint=hint)) from held

    def _earlier(self) -> dict[str, Document]:
        """The answers of earlier sessions. A last line that a crash cut short was never confirmed, and is taken off."""
        if not self.path.exists():
            return {}
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            self.notes.append("the last line of the file was cut short, and was taken off")
            os.truncate(self.path, len(whole))
        try:
            text = whole.decode()
        except UnicodeDecodeError as error:
            line = whole.count(b"\n", 0, error.start) + 1
            raise ConfigError(Problem("bytes that are not UTF-8", f"{self.path}, line {line}")) from error
        saved = storage.read(text, str(self.path))
        if saved.bad:
            raise refuse(saved.bad, "nothing was changed", "fix or delete these lines")
        answers = {each.id: each for each in last_wins(saved.documents) if each.answer is not None}
        other = next(
            (each for each in answers.values() if each.id in self._place and self.rows[self._place[each.id]].text != each.text), None
        )
        if other is not None:
            what = f"{self.path} labels another text under the id {other.id!r}: {other.text[:60]!r}"
            raise ConfigError(Problem(what, "--output", hint="label these rows into another folder"))
        if elsewhere := sum(each not in self._place for each in answers):
            self.notes.append(f"{elsewhere:,} answers of the file are to rows that are not among these; they are kept")
        return answers

    def close(self) -> None:
        """Let the file go, after an answer that is on its way."""
        with self._guard:
            self._file.close()
            self._lock.release()

    def counts(self) -> dict[str, int]:
        """Rows; how many of them are answered; how many of these were skipped."""
        answers = [self._answers[row.id] for row in self.rows if row.id in self._answers]
        return {"rows": len(self.rows), "answered": len(answers), "skipped": sum(each.answer == "ignore" for each in answers)}

    def first_open(self, after: int = 0) -> int | None:
        """The first row without an answer from `after` on, then from the beginning; None when there is none."""
        order = [*range(after, len(self.rows)), *range(min(after, len(self.rows)))]
        return next((number for number in order if self.rows[number].id not in self._answers), None)

    def shown(self, number: int) -> dict[str, Any]:
        """A row for the page, whose offsets are UTF-16 units."""
        row = self.rows[number]
        answer = self._answers.get(row.id)
        offsets = Offsets(row.text, UTF_16)

        def opinion(document: Document) -> dict[str, Any]:
            spans = [
                {"start": offsets.outward(span.start), "end": offsets.outward(span.end), "label": span.label} for span in document.spans
            ]  # fmt: skip
            return {"answer": document.answer, "labels": list(document.labels), "spans": spans, "confidence": document.confidence}

        return {
            "number": number,
            "id": row.id,
            "text": row.text,
            "suggestion": opinion(row) if row.labels or row.spans else None,
            "answer": None if answer is None else opinion(answer),
        }

    def answer(self, number: int, given: Mapping[str, Any]) -> None:
        """Take an answer of the page: answer, labels, spans with start and end in UTF-16 units and the text they cover.

        Raises:
            Malformed: it is not an answer to this task; nothing is kept.
            ConfigError: the disk is full, or the file was replaced; nothing is kept.
        """
        if not 0 <= number < len(self.rows):
            raise Malformed(f"there is no row {number}")
        row = self.rows[number]
        accepted = given.get("answer") == "accept"
        if not accepted and given.get("answer") != "ignore":
            raise Malformed("an answer is accept or ignore")
        labels = names_of(given.get("labels")) if accepted else ()
        spans = self._spans(row.text, given.get("spans")) if accepted else ()
        if unknown := [name for name in labels if name not in self.task.labels]:
            raise Malformed(f"{unknown[0]!r} is none of the labels")
        if len(labels) > 1 and not self.task.several:
            raise Malformed("more than one label")
        if accepted and self.task.labels and not labels and not self.task.several:
            raise Malformed("no label was chosen")
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        document = Document(row.id, row.text, labels, spans, self.annotator, str(given["answer"]), origin="hand", time=now)
        if wrong := fault(document):
            raise Malformed(wrong)
        with self._guard:
            before = self._answers.get(row.id)
            self._append(document)
            self._before.append((number, before))
            self._answers[row.id] = document

    def _spans(self, text: str, given: Any) -> tuple[Span, ...]:
        offsets = Offsets(text, UTF_16)
        spans = []
        for each in given or []:
            name = text_of(each.get("label"), "a span's label")
            if name not in self.task.spans:
                raise Malformed(f"{name!r} is none of the spans' labels")
            spans.append(
                span_of(offsets, number_of(each.get("start")), number_of(each.get("end")), name, text_of(each.get("text"), "text"))
            )
        return tuple(sorted(spans))

    def undo(self) -> int | None:
        """Take the last answer of this session back; the row it was given to, None when there is none."""
        with self._guard:
            if not self._before:
                return None
            number, before = self._before[-1]
            row = self.rows[number]
            self._append(before or Document(row.id, row.text, annotator=self.annotator))
            self._before.pop()
            if before is None:
                self._answers.pop(row.id, None)
            else:
                self._answers[row.id] = before
            return number

    def _append(self, document: Document) -> None:
        self._keep_file()
        line = storage.line_of(document).encode()
        at = self._file.seek(0, os.SEEK_END)
        try:
            with reported_when_full(self.path):
                if self._file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file.fileno())
        except BaseException:
            # Half a line must not stand before the next one.
            os.truncate(self.path, at)
            raise

    def _keep_file(self) -> None:
        """Write the file again where it was removed while it is open: lines added to it would be lost with it."""
        try:
            same = os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            with reported_when_full(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                write_text(self.path, "".join(storage.line_of(each) for each in self._answers.values()))
            self._file.close()
            self._file = self.path.open("ab", buffering=0)
            return
        if not same:
            what = f"{self.path} was replaced by another file, and the answer is not saved: stop the command and start it again"
            raise ConfigError(Problem(what, "--output"))


def asked(rows: Sequence[Document], task: Task) -> list[Document]:
    """The rows with only such suggestions as the task offers.

    Raises:
        ConfigError: nothing is asked, or a name is asked twice.
    """
    if not task.labels and not task.spans:
        raise ConfigError(
            Problem("nothing is asked of the rows", "command line", hint="--labels positive,negative or --spans PER,ORG or both")
        )
    for flag, names in (("--labels", task.labels), ("--spans", task.spans)):
        if len(set(names)) < len(names):
            raise ConfigError(Problem(f"a name occurs twice in {', '.join(names)}", flag))
    kept = []
    for row in rows:
        labels = tuple(name for name in row.labels if name in task.labels)
        kept.append(
            replace(
                row, labels=labels if task.several else labels[:1], spans=tuple(span for span in row.spans if span.label in task.spans),
                annotator=None, answer=None, time=None,
            )
        )  # fmt: skip
    return kept
