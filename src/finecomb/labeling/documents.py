"""`Document`: a text with what one annotator says of it. Every format of a labeling tool is read into documents and written from them.

Offsets count Unicode code points, as Python does; `end` is exclusive.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.spans import Span

ANSWERS = ("accept", "reject", "ignore")
_SHOWN = 10  # rows named in one error


@dataclass(frozen=True)
class Document:
    """One text and one opinion on it.

    id: of the row, the same for all who label it. labels: names of its classes. spans: labeled pieces, which may overlap.
    annotator: who gave the answer, where known. answer: "accept" (these labels and spans, be they none, are right), "reject" (they are
    wrong), "ignore" (skipped); None: nobody has answered, and labels and spans are suggestions; or, where an
    annotator is named, the answer was taken back.
    origin: where labels come from, such as a tool or a model. confidence: probability that they are right. time: ISO 8601.
    """

    id: str
    text: str
    labels: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()
    annotator: str | None = None
    answer: str | None = None
    origin: str | None = None
    confidence: float | None = None
    time: str | None = None


@dataclass(frozen=True)
class Bad:
    """Something that cannot be taken over: where it stands, and why."""

    where: str
    why: str


@dataclass
class Imported:
    """Documents of a file in its order; what could not be read; and what the user should know of the rest."""

    documents: list[Document] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fault(document: Document) -> str | None:
    """What is wrong with a document, None when nothing is."""
    texts = [document.id, document.text, *document.labels, *(span.label for span in document.spans), document.annotator or ""]
    if not document.id:
        return "the id is empty"
    if any(_half_surrogate(text) for text in texts):
        return "half of a surrogate pair: no text in any encoding"
    if document.answer is not None and document.answer not in ANSWERS:
        return f"the answer {document.answer!r} is none of {', '.join(ANSWERS)}"
    if document.confidence is not None and not 0.0 <= document.confidence <= 1.0:
        return f"the confidence {document.confidence} is not between 0 and 1"
    if any(not label.strip() for label in [*document.labels, *(span.label for span in document.spans)]):
        return "a label is empty"
    if len(set(document.labels)) < len(document.labels) or len(set(document.spans)) < len(document.spans):
        return "the same label or span occurs twice"
    for span in document.spans:
        if not 0 <= span.start < span.end <= len(document.text):
            return f"the span {span.start}..{span.end} ({span.label}) is not inside the text, which has {len(document.text)} characters"
    return None


def _half_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def imported(
    rows: Iterable[tuple[str, Any]], documents_of: Callable[[Any, int, Counter[str]], Sequence[Document]], tool: str, *, first: int = 1
) -> Imported:
    """Read documents row by row; a row that cannot be read is reported with its place, and the others are kept.

    Args:
        rows: the place of each row, such as file and line, and the row, or a `Bad` where it could not be read.
        documents_of: maps a row and its number to documents, and counts what it leaves out by the text of the note. Errors of a row are
            ValueErrors, whose message is for the user; other errors of a value's type mean that the row is not in the form of the tool.
        tool: name of the form, for messages.
        first: number of the first row.
    """
    result = Imported()
    left_out: Counter[str] = Counter()
    for number, (where, row) in enumerate(rows, start=first):
        if isinstance(row, Bad):
            result.bad.append(row)
            continue
        try:
            documents = documents_of(row, number, left_out)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            result.bad.append(Bad(where, str(error) if isinstance(error, ValueError) else f"not a record of {tool}: {error}"))
            continue
        for document in documents:
            if (wrong := fault(document)) is None:
                result.documents.append(document)
            else:
                result.bad.append(Bad(where, wrong))
    result.notes += [f"{count:,} {note}" for note, count in left_out.items()]
    return result


def text_lines(text: str, file: str) -> Iterator[tuple[str, int, str]]:
    """Place, number (from 1) and content of each line of a file, without byte order mark and line ends."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        yield f"{file}, line {number}", number, line.removesuffix("\r")


def refuse(bad: Sequence[Bad], done: str, fix: str = "fix them, or leave them out by --skip-bad") -> ConfigError:
    """The user's error for rows that cannot be read. done: what is not done because of them. fix: what the user can do."""
    shown = [Problem(each.why, each.where) for each in bad[:_SHOWN]]
    rest = f"{len(bad):,} of them, the first {_SHOWN} shown; " if len(bad) > _SHOWN else ""
    shown[-1] = Problem(shown[-1].what, shown[-1].where, hint=f"{rest}{fix}; {done}")
    return ConfigError(shown)


def unique(documents: Iterable[Document]) -> None:
    """Raise ConfigError where two rows have one id and the same annotator, or one id has two texts."""
    seen: dict[tuple[str, str | None, bool], None] = {}
    texts: dict[str, str] = {}
    for document in documents:
        key = (document.id, document.annotator, document.answer is None)
        if key in seen:
            whose = f" by {document.annotator}" if document.annotator else ""
            raise ConfigError(Problem(f"the id {document.id!r} occurs twice{whose}", hint="make ids unique, or name another id column"))
        if texts.setdefault(document.id, document.text) != document.text:
            raise _two_texts(document.id)
        seen[key] = None


def _two_texts(identity: str) -> ConfigError:
    return ConfigError(Problem(f"the id {identity!r} stands for two texts", hint="files of one set of rows have the same texts"))


def last_wins(documents: Iterable[Document]) -> list[Document]:
    """The latest answer of each annotator to each row, in the order of first appearance.

    Raises:
        ConfigError: a later answer has the id of another text, or two rows without an annotator have one id.
    """
    given = list(documents)
    unique(each for each in given if each.annotator is None)
    latest: dict[tuple[str, str | None], Document] = {}
    for document in given:
        if latest.get((document.id, document.annotator), document).text != document.text:
            raise _two_texts(document.id)
        latest[document.id, document.annotator] = document
    return list(latest.values())


def settled(documents: Iterable[Document]) -> list[Document]:
    """The last word of each annotator, without answers that were taken back: such a row stays, with no opinion, when it has no other."""
    latest = last_wins(documents)
    open_rows = {each.id for each in latest if each.annotator is None or each.answer is not None}
    kept = []
    for each in latest:
        if each.annotator is None or each.answer is not None:
            kept.append(each)
        elif each.id not in open_rows:
            open_rows.add(each.id)
            kept.append(Document(each.id, each.text))
    return kept


# JSON


def items(text: str, file: str) -> Iterator[tuple[str, dict[str, Any] | Bad]]:
    """Objects of a JSON array, or of JSON lines, each with the file and the line it begins in.

    Raises:
        ConfigError: the array is not JSON.
    """
    if text.lstrip("\ufeff \t\r\n").startswith("["):
        yield from _array(text, file)
        return
    for where, _, line in text_lines(text, file):
        if line.strip():
            try:
                yield where, _object(json.loads(line), where)
            except (ValueError, RecursionError) as error:
                yield where, Bad(where, f"not JSON: {error}")


def _array(text: str, file: str) -> Iterator[tuple[str, dict[str, Any] | Bad]]:
    decoder, at, line, counted = json.JSONDecoder(), text.index("[") + 1, 1, 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise ConfigError(Problem(f"not JSON: {error}", f"{file}, line {line}", hint="is the file complete?")) from error
        yield f"{file}, line {line}", _object(value, f"{file}, line {line}")


def _object(value: Any, where: str) -> dict[str, Any] | Bad:
    return value if isinstance(value, dict) else Bad(where, f"a JSON object is expected, found {type(value).__name__}")


def json_line(value: Any) -> str:
    """A value as one line of JSON, with the line's end."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


class Malformed(ValueError):
    """A value of a tool's file that is not of its form; the message says what."""


def names_of(value: Any) -> tuple[str, ...]:
    """Class names: a text, a list of texts, or none. Raises Malformed."""
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise Malformed(f"a label is a text or a list of texts, found {value!r}")


def text_of(value: Any, what: str) -> str:
    """A text. Raises Malformed for anything else, naming `what` it should be."""
    if not isinstance(value, str):
        raise Malformed(f"{what} is a text, found {value!r}")
    return value


def number_of(value: Any) -> int:
    """An offset. Raises Malformed."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"an offset is a whole number, found {value!r}")
    return value


def confidence_of(value: Any) -> float | None:
    """A probability or none. Raises Malformed."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    raise Malformed(f"a confidence is a number, found {value!r}")


def first_of(*values: Any) -> str | None:
    """The first value that is neither missing nor empty, as text: 0 is a value."""
    return next((text for value in values if (text := optional_text(value)) is not None), None)


def optional_text(value: Any) -> str | None:
    """A text or None; a number, as tools name their users by, becomes one."""
    return None if value is None or value == "" else str(value)
