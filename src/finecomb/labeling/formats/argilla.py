"""Argilla: records with fields, suggestions and responses, as its Python client writes them to JSON (2.x; the lists of 1.x are read too).

Its server checks offsets in code points, and its page has counted UTF-16 units, so that rows with characters beyond U+FFFF are reported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finecomb.data.spans import Span
from finecomb.labeling.documents import (
    Bad,
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
from finecomb.labeling.formats.options import Options, Written, offered, place
from finecomb.labeling.offsets import CODE_POINTS, Offsets, span_of, unsure

CLASS, SPANS, TEXT = "label", "spans", "text"
_STATUS = {"accept": "submitted", "ignore": "discarded"}
_ANSWER = {"submitted": "accept", "discarded": "ignore", "draft": None}
_KEPT = ("origin", "confidence", "time")


def write(documents: Sequence[Document], options: Options) -> Written:
    """A record for each row, with a suggestion or a response to each question that the rows answer."""
    count = options.counted(CODE_POINTS)
    written = Written("", notes=unsure(documents, count, "Argilla's server"))
    labels, spans = offered(documents, options)
    questions = [name for name, used in ((CLASS, labels or not spans), (SPANS, spans)) if used]
    records: dict[str, dict[str, Any]] = {}
    for document in documents:
        if document.answer == "reject":
            written.refused.append(Bad(place(document), "Argilla has no place for a rejected suggestion"))
            continue
        blank = {"id": document.id, "fields": {TEXT: document.text}, "metadata": {}, "suggestions": {}, "responses": {}}
        record = records.setdefault(document.id, blank)
        values = {CLASS: _label(document), SPANS: _spans(document, count)}
        for question in questions:
            if document.answer is None:
                if values[question]:
                    about = {"value": values[question], "score": document.confidence, "agent": document.origin}
                    record["suggestions"][question] = {name: value for name, value in about.items() if value is not None}
            else:
                response = {"value": values[question], "status": _STATUS[document.answer]}
                response |= {"user_id": document.annotator} if document.annotator is not None else {}
                record["responses"].setdefault(question, []).append(response)
        kept = ("time",) if document.answer is None else _KEPT
        record["metadata"] |= {_key(name, document): value for name in kept if (value := getattr(document, name)) is not None}
    written.text = "".join(json_line(record) for record in records.values())
    return written


def _key(name: str, document: Document) -> str:
    """Metadata of a record belongs to one response when it names whose: time@ann."""
    return name if document.answer is None else f"{name}@{document.annotator or ''}"


def _label(document: Document) -> Any:
    return document.labels[0] if len(document.labels) == 1 else list(document.labels)


def _spans(document: Document, count: str) -> list[dict[str, Any]]:
    offsets = Offsets(document.text, count)
    return [
        {"start": offsets.outward(span.start), "end": offsets.outward(span.end), "label": span.label} for span in document.spans
    ]  # fmt: skip


def read(text: str, file: str, options: Options) -> Imported:
    """A document for each user's responses to a record, and one for its suggestions."""
    result = imported(items(text, file), lambda record, number, left_out: _record(record, number, options, left_out), "Argilla")
    result.notes += unsure(result.documents, options.counted(CODE_POINTS), "Argilla's server")
    return result


def _record(record: Mapping[str, Any], number: int, options: Options, left_out: Counter[str]) -> list[Document]:
    fields = record.get("fields")
    if not isinstance(fields, Mapping):
        raise Malformed("a record has fields")
    texts = [TEXT] if TEXT in fields else [name for name, value in fields.items() if isinstance(value, str)]
    if len(texts) != 1:
        raise Malformed(f"of the fields {', '.join(map(str, fields))} it cannot be told which is the text: name it {TEXT!r}")
    text, metadata = text_of(fields[texts[0]], texts[0]), record.get("metadata") or {}
    identity = str(first_of(record.get("id"), record.get("external_id"), number))
    documents, drafts = [], 0
    for user, status, values in _responses(record.get("responses") or {}):
        if (answer := _ANSWER[status]) is None:
            drafts += 1
            continue
        labels, spans = _values(values, text, options)
        kept = {name: metadata.get(f"{name}@{user or ''}") for name in _KEPT}
        documents.append(
            Document(identity, text, labels, spans, user, answer, optional_text(kept["origin"]), confidence_of(kept["confidence"]),
                     optional_text(kept["time"]))
        )  # fmt: skip
    suggested = _suggestions(record.get("suggestions") or {})
    if suggested:
        labels, spans = _values({name: each.get("value") for name, each in suggested.items()}, text, options)
        first = next(iter(suggested.values()))
        score = first.get("score")
        origin, time = optional_text(first.get("agent")), optional_text(metadata.get("time"))
        confidence = confidence_of(None if isinstance(score, list) else score)
        documents.append(Document(identity, text, labels, spans, origin=origin, confidence=confidence, time=time))
    if drafts:
        left_out["responses are drafts and were left out"] += drafts
    return documents or [Document(identity, text)]


def _responses(given: Any) -> list[tuple[str | None, str, dict[str, Any]]]:
    """User, status and the value of each question, of either form."""
    if isinstance(given, list):
        listed = [(each, {name: value["value"] for name, value in each["values"].items()}) for each in given]
        return [(optional_text(each.get("user_id")), str(each.get("status", "submitted")), values) for each, values in listed]
    users: dict[str | None, tuple[str, dict[str, Any]]] = {}
    for question, responses in given.items():
        for each in responses:
            user, status = optional_text(each.get("user_id")), str(each.get("status", "submitted"))
            _, values = users.setdefault(user, (status, {}))
            if question in values:
                raise Malformed(f"two responses of {user or 'a user without a name'} to {question}")
            values[question] = each["value"]
    wrong = next((status for status, _ in users.values() if status not in _ANSWER), None)
    if wrong is not None:
        raise Malformed(f"the status {wrong!r} is none of {', '.join(_ANSWER)}")
    return [(user, status, values) for user, (status, values) in users.items()]


def _suggestions(given: Any) -> dict[str, Mapping[str, Any]]:
    if isinstance(given, list):
        return {each["question_name"]: each for each in given}
    return dict(given)


def _values(values: Mapping[str, Any], text: str, options: Options) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    offsets = Offsets(text, options.counted(CODE_POINTS))
    labels: dict[str, tuple[str, ...]] = {}
    spans: list[Span] = []
    for question, value in values.items():
        if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            for each in value:
                start, end = number_of(each.get("start")), number_of(each.get("end"))
                spans.append(span_of(offsets, start, end, text_of(each.get("label"), "a span's label"), each.get("text")))
        elif value:
            labels[question] = names_of(value)
    if options.field is not None:
        return labels.get(options.field, ()), tuple(spans)
    if len(labels) > 1:
        raise Malformed(f"there are several label questions, {', '.join(labels)}: name one by --field")
    return next(iter(labels.values()), ()), tuple(spans)
