"""Label Studio: tasks with annotations and predictions, its JSON and JSON_MIN exports, and the labeling config.

Offsets are code points (its page converts from UTF-16 since 2021). What it has no field for goes into an annotation's `meta`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

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
    names_of,
    number_of,
    optional_text,
    text_of,
)
from finecomb.labeling.formats.options import Options, Written, offered, place
from finecomb.labeling.offsets import CODE_POINTS, Offsets, span_of

CLASS, SPANS, TEXT, ID = "label", "spans", "text", "example_id"
# Fields of a JSON_MIN row that hold neither data nor answers.
_MIN_FIELDS = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", ID)


def config_of(documents: Sequence[Document], options: Options) -> str:
    """The labeling config: a choice where there are classes, regions where there are spans."""
    labels, spans = offered(documents, options)
    lines = ["<View>"]
    if spans:
        lines += [f'  <Labels name="{SPANS}" toName="{TEXT}">', *(f"    <Label value={quoteattr(name)}/>" for name in spans), "  </Labels>"]
    lines.append(f'  <Text name="{TEXT}" value="${TEXT}"/>')
    if labels:
        many = any(len(each.labels) > 1 for each in documents)
        choice = "multiple" if many else "single"
        lines.append(f'  <Choices name="{CLASS}" toName="{TEXT}" choice="{choice}">')
        lines += [*(f"    <Choice value={quoteattr(name)}/>" for name in labels), "  </Choices>"]
    return "\n".join([*lines, "</View>"]) + "\n"


def write(documents: Sequence[Document], options: Options) -> Written:
    """Tasks, one for each row, with an annotation for each answer and a prediction for each suggestion."""
    written = Written("", {".xml": config_of(documents, options)})
    tasks: dict[str, dict[str, Any]] = {}
    number = 0
    for document in documents:
        if document.answer == "reject":
            written.refused.append(Bad(place(document), "Label Studio has no place for a rejected suggestion"))
            continue
        task = tasks.setdefault(document.id, {"id": len(tasks) + 1, "data": {TEXT: document.text, ID: document.id}})
        number += 1
        if document.answer is not None:
            task.setdefault("annotations", []).append({"id": number} | _annotation(document, options))
        elif document.labels or document.spans:
            task.setdefault("predictions", []).append({"id": number} | _prediction(document, options))
    written.text = json.dumps(list(tasks.values()), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    return written


def _annotation(document: Document, options: Options) -> dict[str, Any]:
    annotation: dict[str, Any] = {"result": _result(document, options), "was_cancelled": document.answer == "ignore"}
    if document.time is not None:
        annotation["created_at"] = document.time
    # Label Studio looks up whom an annotation is by; it takes an address, and refuses other names.
    if document.annotator is not None and "@" in document.annotator:
        annotation["completed_by"] = {"email": document.annotator}
    meta = {name: value for name in ("annotator", "origin", "confidence") if (value := getattr(document, name)) is not None}
    return annotation | ({"meta": meta} if meta else {})


def _prediction(document: Document, options: Options) -> dict[str, Any]:
    prediction: dict[str, Any] = {"result": _result(document, options)}
    for name, value in (("model_version", document.origin), ("score", document.confidence), ("created_at", document.time)):
        if value is not None:
            prediction[name] = value
    return prediction


def _result(document: Document, options: Options) -> list[dict[str, Any]]:
    offsets = Offsets(document.text, options.counted(CODE_POINTS))
    result: list[dict[str, Any]] = []
    if document.labels:
        value: dict[str, Any] = {"choices": list(document.labels)}
        result.append({"id": "c1", "from_name": CLASS, "to_name": TEXT, "type": "choices", "value": value})
    for number, span in enumerate(document.spans, start=1):
        value = {"start": offsets.outward(span.start), "end": offsets.outward(span.end)}
        value |= {"text": document.text[span.start : span.end], "labels": [span.label]}
        result.append({"id": f"s{number}", "from_name": SPANS, "to_name": TEXT, "type": "labels", "value": value})
    return result


def read(text: str, file: str, options: Options) -> Imported:
    """Documents of a JSON or JSON_MIN export, or of tasks to be labeled: one for each annotation and each whole prediction."""

    def documents_of(task: Mapping[str, Any], number: int, left_out: Counter[str]) -> list[Document]:
        return _task(task, number, options, left_out) if "data" in task else [_minimal(task, number, options)]

    return imported(items(text, file), documents_of, "Label Studio")


def _task(task: Mapping[str, Any], number: int, options: Options, left_out: Counter[str]) -> list[Document]:
    data = task["data"]
    if not isinstance(data, Mapping):
        raise Malformed("data of a task is an object")
    text = text_of(data.get(_text_key(data)), f"data.{TEXT}")
    identity = str(first_of(data.get(ID), task.get("id"), number))
    documents = []
    for annotation in _objects(task, "annotations") or _objects(task, "completions"):
        labels, spans = _read_result(annotation, text, options, left_out)
        meta = annotation["meta"] if isinstance(annotation.get("meta"), Mapping) else {}
        skipped = annotation.get("was_cancelled") or annotation.get("skipped")
        documents.append(
            Document(
                identity, text, labels, spans, _person(annotation.get("completed_by")) or optional_text(meta.get("annotator")),
                "ignore" if skipped else "accept", optional_text(meta.get("origin")), confidence_of(meta.get("confidence")),
                optional_text(annotation.get("created_at")),
            )
        )  # fmt: skip
    for prediction in _objects(task, "predictions"):
        labels, spans = _read_result(prediction, text, options, left_out)
        score, time = confidence_of(prediction.get("score")), optional_text(prediction.get("created_at"))
        origin = optional_text(prediction.get("model_version"))
        documents.append(Document(identity, text, labels, spans, origin=origin, confidence=score, time=time))
    return documents or [Document(identity, text)]


def _objects(task: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Whole annotations or predictions; exports may name predictions by number only."""
    listed = task.get(name) or []
    if not isinstance(listed, list):
        raise Malformed(f"{name} of a task is a list")
    return [each for each in listed if isinstance(each, Mapping)]


def _text_key(data: Mapping[str, Any]) -> str:
    if TEXT in data:
        return TEXT
    texts = [name for name, value in data.items() if isinstance(value, str) and name != ID]
    if len(texts) != 1:
        raise Malformed(f"data has no {TEXT!r}, and of {', '.join(data) or 'nothing'} it cannot be told which is the text")
    return texts[0]


def _person(value: Any) -> str | None:
    return first_of(value.get("email"), value.get("id")) if isinstance(value, Mapping) else optional_text(value)


def _read_result(
    answer: Mapping[str, Any], text: str, options: Options, left_out: Counter[str]
) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    offsets = Offsets(text, options.counted(CODE_POINTS))
    choices: dict[str, tuple[str, ...]] = {}
    spans: list[Span] = []
    for region in answer.get("result") or []:
        kind, value = region.get("type"), region.get("value") or {}
        if kind == "choices":
            name = str(region.get("from_name"))
            choices[name] = choices.get(name, ()) + names_of(value.get("choices"))
        elif kind == "labels":
            spans += _regions(offsets, value)
        else:
            left_out[f"results of type {kind} are neither classes nor spans, and were left out"] += 1
    return _one_of(choices, options), tuple(spans)


def _one_of(choices: Mapping[str, tuple[str, ...]], options: Options) -> tuple[str, ...]:
    """The labels of the one field that holds them."""
    if options.field is not None:
        return choices.get(options.field, ())
    if len(choices) > 1:
        raise Malformed(f"there are several choices, {', '.join(choices)}: name one by --field")
    return next(iter(choices.values()), ())


def _regions(offsets: Offsets, value: Mapping[str, Any]) -> list[Span]:
    names, start, end = names_of(value.get("labels")), number_of(value.get("start")), number_of(value.get("end"))
    if not names:
        raise Malformed(f"the region {start}..{end} has no label")
    return [span_of(offsets, start, end, name, optional_text(value.get("text"))) for name in names]


def _minimal(row: Mapping[str, Any], number: int, options: Options) -> Document:
    """A row of JSON_MIN, in which data and answers stand side by side."""
    if TEXT not in row:
        raise Malformed(f"neither a task with data nor a row of JSON_MIN with {TEXT!r}")
    text = text_of(row[TEXT], TEXT)
    offsets = Offsets(text, options.counted(CODE_POINTS))
    choices: dict[str, tuple[str, ...]] = {}
    spans: list[Span] = []
    for name, value in row.items():
        if name in _MIN_FIELDS or name == TEXT:
            continue
        if isinstance(value, list) and value and all(isinstance(each, Mapping) and "start" in each for each in value):
            for each in value:
                spans += _regions(offsets, each)
        elif isinstance(value, Mapping) and "choices" in value:
            choices[name] = names_of(value["choices"])
        elif isinstance(value, str):
            choices[name] = (value,)
    if options.field is None and CLASS in choices:
        choices = {CLASS: choices[CLASS]}
    annotator, time = _person(row.get("annotator")), optional_text(row.get("created_at"))
    # A row without an annotation is not answered: its labels are data of the task.
    answered = options.approved or annotator is not None or row.get("annotation_id") is not None
    identity, answer = str(first_of(row.get(ID), row.get("id"), number)), "accept" if answered else None
    return Document(identity, text, _one_of(choices, options), tuple(spans), annotator, answer, time=time)
