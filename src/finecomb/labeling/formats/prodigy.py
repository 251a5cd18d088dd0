"""Prodigy: JSON lines with text, tokens, spans, label or options, and answer. Offsets are code points, as spaCy counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from finecomb.data.spans import Span, unaligned
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
from finecomb.labeling.formats.options import SUGGESTION, Options, Written, digest_of, offered
from finecomb.labeling.offsets import CODE_POINTS, Offsets, span_of
from finecomb.labeling.tokens import tokeniser

_META = ("origin", "confidence", "time")


def write(documents: Sequence[Document], options: Options) -> Written:
    """A task for each document. One class is a `label`; several, or none where others have some, are `options` with `accept`."""
    written = Written("")
    tokenise = tokeniser(options.tokens)
    labels, spans = offered(documents, options)
    lines = []
    loose = 0
    for document in documents:
        tokens = tokenise(document.text)
        offsets = Offsets(document.text, options.counted(CODE_POINTS))
        loose += len(unaligned(document.spans, tokens, document.text))
        meta = {"id": document.id} | {name: value for name in _META if (value := getattr(document, name)) is not None}
        task: dict[str, Any] = {"text": document.text, "meta": meta}
        if spans:
            task["tokens"] = [_token(number, token, offsets) for number, token in enumerate(tokens)]
            task["spans"] = [_span(span, tokens, offsets) for span in document.spans]
        if len(document.labels) == 1:
            task["label"] = document.labels[0]
        elif labels:
            task |= {"options": [{"id": name, "text": name} for name in labels], "accept": list(document.labels)}
        if document.answer is not None:
            task["answer"] = document.answer
        elif document.labels or document.spans:
            task[SUGGESTION] = digest_of(document.labels, document.spans)
        if document.annotator is not None:
            task["_annotator_id"] = document.annotator
        lines.append(json_line(task))
    if loose:
        written.notes.append(f"{loose:,} spans do not begin and end with tokens and carry no token_start and token_end; --tokens sets them")
    written.text = "".join(lines)
    return written


def _token(number: int, token: tuple[int, int], offsets: Offsets) -> dict[str, Any]:
    start, end = token
    space = offsets.text[end : end + 1] == " "
    value = {"text": offsets.text[start:end], "start": offsets.outward(start), "end": offsets.outward(end)}
    return value | {"id": number, "ws": space}


def _span(span: Span, tokens: Sequence[tuple[int, int]], offsets: Offsets) -> dict[str, Any]:
    value: dict[str, Any] = {"start": offsets.outward(span.start), "end": offsets.outward(span.end), "label": span.label}
    first = next((number for number, (start, _) in enumerate(tokens) if start == span.start), None)
    last = next((number for number, (_, end) in enumerate(tokens) if end == span.end), None)
    whole = {} if first is None or last is None else {"token_start": first, "token_end": last}
    return value | whole | {"text": offsets.text[span.start : span.end]}


def read(text: str, file: str, options: Options) -> Imported:
    """A document for each task."""
    return imported(items(text, file), lambda task, number, _: [_document(task, number, options)], "Prodigy")


def _document(task: Mapping[str, Any], number: int, options: Options) -> Document:
    text = text_of(task.get("text"), "text")
    meta = task["meta"] if isinstance(task.get("meta"), Mapping) else {}
    offsets = Offsets(text, options.counted(CODE_POINTS))
    tokens = {each.get("id"): each for each in task.get("tokens") or [] if isinstance(each, Mapping)}
    spans = tuple(_read_span(each, offsets, tokens) for each in task.get("spans") or [])
    labels = names_of(task.get("label")) or tuple(str(each) for each in task.get("accept") or [])
    # A session names the annotator, and the page its view. `prodigy db-in` accepts rows without an answer; they have neither.
    annotator, answer = first_of(task.get("_annotator_id"), task.get("_session_id")), optional_text(task.get("answer"))
    seen = options.approved or annotator is not None or task.get("_view_id") is not None
    if answer is None or (not seen and task.get(SUGGESTION) == digest_of(labels, spans)):
        answer = annotator = None
    time = optional_text(meta.get("time"))
    if time is None and isinstance(stamp := task.get("_timestamp"), int | float):
        time = datetime.fromtimestamp(stamp, UTC).isoformat()
    return Document(
        str(first_of(meta.get("id"), task.get("id"), number)), text, labels, spans, annotator, answer, optional_text(meta.get("origin")),
        confidence_of(meta.get("confidence")), time,
    )  # fmt: skip


def _read_span(value: Any, offsets: Offsets, tokens: Mapping[Any, Mapping[str, Any]]) -> Span:
    if not isinstance(value, Mapping):
        raise Malformed(f"a span is an object with start, end and label, found {value!r}")
    start, end = number_of(value.get("start")), number_of(value.get("end"))
    for name, edge, place_ in (("token_start", start, "start"), ("token_end", end, "end")):
        if value.get(name) in tokens and tokens[value[name]].get(place_) != edge:
            raise Malformed(f"the span {start}..{end} and its {name} {value[name]} do not agree")
    return span_of(offsets, start, end, text_of(value.get("label"), "a span's label"), optional_text(value.get("text")))
