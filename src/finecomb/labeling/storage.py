"""Documents on disk: JSON lines with everything, and a table of labels that `dataset=files` trains on."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finecomb.labeling.documents import (
    Document,
    Imported,
    Malformed,
    confidence_of,
    imported,
    items,
    json_line,
    names_of,
    number_of,
    optional_text,
    text_of,
)
from finecomb.labeling.offsets import CODE_POINTS, Offsets, span_of

COLUMNS = ("id", "text", "label", "annotator", "origin", "confidence")
_OPTIONAL = ("annotator", "answer", "origin", "confidence", "time")


def to_object(document: Document, *, several: bool = False, spans: bool = False) -> dict[str, Any]:
    """A document as JSON. several: the label is always a list; else one name stands alone. spans: written even when there are none."""
    row: dict[str, Any] = {"id": document.id, "text": document.text}
    if document.labels or several:
        row["label"] = document.labels[0] if len(document.labels) == 1 and not several else list(document.labels)
    if document.spans or spans:
        row["spans"] = [
            {"start": span.start, "end": span.end, "label": span.label, "text": document.text[span.start : span.end]}
            for span in document.spans
        ]
    row |= {name: value for name in _OPTIONAL if (value := getattr(document, name)) is not None}
    return row | ({"answer": None} if document.annotator is not None and document.answer is None else {})


def line_of(document: Document) -> str:
    """A document as one line of JSON, with the line's end."""
    return json_line(to_object(document))


def from_object(value: Mapping[str, Any], number: int) -> Document:
    """A document from JSON, or from a row of a table with these columns. number: names a row without an id.

    Raises:
        Malformed: a value is not of its kind, or a span's text is not what stands there.
    """
    identity, text = value.get("id"), value.get("text")
    text = text_of("" if text is None else text, "text")
    annotator, answer = optional_text(value.get("annotator")), optional_text(value.get("answer"))
    spans = value.get("spans")
    if isinstance(spans, str):
        spans = json.loads(spans) if spans.strip() else []
    confidence = value.get("confidence")
    if isinstance(confidence, str):
        confidence = float(confidence) if confidence.strip() else None
    return Document(
        f"row:{number}" if identity is None or identity == "" else str(identity),
        text,
        _labels(value.get("label")),
        _spans(text, spans),
        annotator,
        # A row that names who labeled it is an answer; the label of any other table is a suggestion.
        "accept" if "answer" not in value and annotator is not None else answer,
        optional_text(value.get("origin")),
        confidence_of(confidence),
        optional_text(value.get("time")),
    )


def _labels(value: Any) -> tuple[str, ...]:
    if isinstance(value, bool | int | float):
        value = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).lower()
    if isinstance(value, str) and value.startswith("["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return names_of(value)


def _spans(text: str, spans: Any) -> tuple[Any, ...]:
    if not isinstance(spans or [], list) or not all(isinstance(span, Mapping) for span in spans or []):
        raise Malformed(f"spans are a list of {{start, end, label}}, found {spans!r}")
    offsets = Offsets(text, CODE_POINTS)
    return tuple(
        span_of(
            offsets,
            number_of(span.get("start")),
            number_of(span.get("end")),
            text_of(span.get("label"), "a span's label"),
            span.get("text"),
        )
        for span in spans or []
    )


def read(text: str, file: str) -> Imported:
    """Documents of JSON lines as `write` leaves them."""
    return imported(items(text, file), lambda value, number, _: [from_object(value, number)], "finecomb", first=0)


def write(documents: Iterable[Document]) -> str:
    """JSON lines of documents."""
    kept = list(documents)
    several, spans = _several(kept), any(document.spans for document in kept)
    rows = [to_object(document, several=several, spans=spans) for document in kept]
    return "".join(json_line(row) for row in rows)


def write_csv(documents: Sequence[Document]) -> str:
    """The table that training reads: COLUMNS, and spans as JSON, answer unless all were accepted, and time."""
    several, spans = _several(documents), any(document.spans for document in documents)
    rows = [to_object(document, several=several, spans=spans) for document in documents]
    # A table in which everything was accepted has no column that says so.
    used = {"spans": spans, "answer": any(each.answer != "accept" for each in documents), "time": any(each.time for each in documents)}
    extra = [name for name, needed in used.items() if needed]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, *extra])
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in (*COLUMNS, *extra)])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def _several(documents: Iterable[Document]) -> bool:
    """Whether labels have to be lists: some row has more than one, or one that would be read as a list."""
    return any(len(each.labels) > 1 or any(name.startswith("[") for name in each.labels) for each in documents)
