"""doccano: JSON lines with `label` (classes, or spans as [start, end, label]), or with `entities`, `relations` and `cats`.

Its page counts UTF-16 units, and a project that counts grapheme clusters is not read; keys beside text and label come back with an
export. It does not say which rows were looked at: a row with labels is an answer unless they are the suggestion it was exported with.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finecomb.data.spans import Span
from finecomb.labeling.documents import (
    Document,
    Imported,
    Malformed,
    confidence_of,
    first_of,
    imported,
    items,
    json_line,
    names_of,
    number_of,
    optional_text,
    text_of,
)
from finecomb.labeling.formats.options import SUGGESTION, Options, Written, digest_of, refuse_answers, written_lines
from finecomb.labeling.offsets import UTF_16, Offsets, span_of, unsure

ID = "example_id"
_META = ("annotator", "answer", "origin", "confidence", "time")


def write(documents: Sequence[Document], options: Options) -> Written:
    """A row for each document: `label` holds its classes or its spans; a row with both has `entities` and `cats`."""
    return _write(documents, options, entities=False)


def write_entities(documents: Sequence[Document], options: Options) -> Written:
    """A row for each document: `entities` hold its spans, `cats` its classes."""
    return _write(documents, options, entities=True)


def _write(documents: Sequence[Document], options: Options, *, entities: bool) -> Written:
    count = options.counted(UTF_16)
    regions = itertools.count(1)

    def line_of(document: Document) -> str:
        refuse_answers(document, "doccano")
        offsets = Offsets(document.text, count)
        spans = [(offsets.outward(span.start), offsets.outward(span.end), span.label) for span in document.spans]
        row: dict[str, Any] = {"id": document.id, "text": document.text}
        if entities:
            row["entities"] = [
                {"id": next(regions), "label": label, "start_offset": start, "end_offset": end} for start, end, label in spans
            ]
            row |= {"relations": []} | ({"cats": list(document.labels)} if document.labels else {})
        elif spans and document.labels:
            row |= {"entities": spans, "cats": list(document.labels)}
        else:
            row["label"] = spans or list(document.labels)
        row[ID] = document.id
        if document.answer is None and (document.labels or spans):
            row[SUGGESTION] = digest_of(document.labels, document.spans)
        row |= {name: value for name in _META if (value := getattr(document, name)) is not None}
        return json_line(row)

    return written_lines(documents, line_of, unsure(documents, count, "doccano"))


def read(text: str, file: str, options: Options) -> Imported:
    """Documents of a file in any of these forms, of JSON lines or one JSON array."""
    result = imported(items(text, file), lambda row, number, left_out: [_document(row, number, options, left_out)], "doccano")
    result.notes += unsure(result.documents, options.counted(UTF_16), "doccano")
    return result


def _document(row: Mapping[str, Any], number: int, options: Options, left_out: Counter[str]) -> Document:
    if isinstance(relations := row.get("relations"), list) and relations:
        left_out["relations between spans were left out: only the spans are kept"] += len(relations)
    text = text_of(row.get("text", row.get("data")), "text")
    offsets = Offsets(text, options.counted(UTF_16))
    named = options.field or next((name for name in ("label", "labels") if name in row), "label")
    given = row.get(named)
    if isinstance(given, list) and any(isinstance(each, list | Mapping) for each in given):
        spans, labels = [_span(offsets, each) for each in given], names_of(row.get("cats"))
    else:
        spans = [_span(offsets, each) for each in _list(row.get("entities"), "entities")]
        labels = names_of(given) + names_of(row.get("cats"))
    answer = optional_text(row.get("answer"))
    if answer is None and (labels or spans) and (options.approved or row.get(SUGGESTION) != digest_of(labels, spans)):
        answer = "accept"
    annotator = optional_text(row.get("annotator")) if answer else None
    return Document(
        str(first_of(row.get(ID), row.get("id"), number)), text, labels, tuple(spans), annotator, answer, optional_text(row.get("origin")),
        confidence_of(row.get("confidence")), optional_text(row.get("time")),
    )  # fmt: skip


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value or [], list):
        raise Malformed(f"{what} is a list, found {value!r}")
    return value or []


def _span(offsets: Offsets, value: Any) -> Span:
    if isinstance(value, Mapping):
        value = [value.get("start_offset"), value.get("end_offset"), value.get("label")]
    if not isinstance(value, list) or len(value) != 3:
        raise Malformed(f"a span is [start, end, label] or an entity with start_offset, end_offset and label, found {value!r}")
    return span_of(offsets, number_of(value[0]), number_of(value[1]), text_of(value[2], "a span's label"))
