"""Texts with labeled spans become tokens and tags: those that `finecomb annotate` writes, and what cannot be expressed by tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import finecomb
from finecomb.core.errors import ConfigError
from finecomb.data.dataset.kinds import KINDS
from finecomb.data.spans import Span
from finecomb.labeling.documents import Document
from finecomb.labeling.storage import write, write_csv

TEXT = "Ann (from Bad Ems) met 王小明, café."


def read(text: Any, spans: Any) -> tuple[str, list[str], list[str]]:
    """The text, its tags, and what was found wrong."""
    faults: list[str] = []
    rows = KINDS["tags"].read({"text": [text], "spans": [spans]}, lambda row, reason, detail, shown: faults.append(detail))
    return rows.text[0], rows.label[0], faults


def span(piece: str, label: str, **more: Any) -> dict[str, Any]:
    start = TEXT.index(piece)
    return {"start": start, "end": start + len(piece), "label": label, "text": piece, **more}


@pytest.mark.parametrize("form", [list, json.dumps])
def test_spans_become_bio_over_words_and_punctuation(form: Any) -> None:
    text, tags, faults = read(TEXT, form([span("Ann", "PER"), span("Bad Ems", "LOC"), span("王小明", "PER")]))
    assert not faults
    assert text == "Ann ( from Bad Ems ) met 王 小 明 , café ."
    assert tags == ["B-PER", "O", "O", "B-LOC", "I-LOC", "O", "O", "B-PER", "I-PER", "I-PER", "O", "O", "O"]


def test_a_text_without_spans_has_no_entity() -> None:
    assert read("Nothing here", []) == ("Nothing here", ["O", "O"], [])


@pytest.mark.parametrize(
    ("spans", "fault"),
    [
        ([span("An", "PER", text=None)], "the span 0..2 'An' (PER) ends inside a token or on white space"),
        ([span("Ann (", "A"), span("(", "B")], "the span 4..5 '(' (B) overlaps the span 0..5 'Ann (' (A)"),
        ([{"start": 0, "end": 99, "label": "A"}], "the span 0..99 (A) is not inside the text, which has 33 characters"),
        ([span("Ann", "A", text="Bob")], "the span 0..3 (A) is 'Ann', not 'Bob': offsets count code points"),
        ([{"start": "0", "end": 3, "label": "A"}], 'is not {"start": ..., "end": ..., "label": ...}'),
        ([span("Ann", " ")], 'is not {"start": ..., "end": ..., "label": ...}'),
        (None, "the spans are missing; a text without any has an empty list"),
        ("[oops", "the spans '[oops' are not JSON"),
        ({"a": 1}, "the spans are dict, not a list"),
    ],
)
def test_spans_that_no_tags_express_are_a_fault(spans: Any, fault: str) -> None:
    [found] = read(TEXT, spans)[2]
    assert fault in found


def documents(count: int) -> list[Document]:
    texts = [f"Ann saw Bad Ems, day {number}." for number in range(count)]
    spans = (Span(0, 3, "PER"), Span(8, 15, "LOC"))
    return [Document(f"d{number}", text, spans=spans, annotator="ann", answer="accept") for number, text in enumerate(texts)]


@pytest.mark.parametrize(("suffix", "written"), [("jsonl", write), ("csv", write_csv)])
def test_what_annotate_writes_is_read_as_it_is(suffix: str, written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    path = tmp_path / f"spans.{suffix}"
    path.write_text(written(documents(30)))
    data = finecomb.prepare(finecomb.compose("dataset=files", f"dataset.files.train={path}", "task=token_classification", "cleaner=none"))
    assert data.label_names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    rows = data.to_pandas().set_index("text")["label"]
    assert rows["Ann saw Bad Ems , day 3 ."] == ["B-PER", "O", "B-LOC", "I-LOC", "O", "O", "O", "O"]


def test_a_span_that_cuts_a_token_is_named_by_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "spans.jsonl"
    cut = Document("cut", "Annabel saw it", spans=(Span(0, 3, "PER"),), answer="accept")
    path.write_text(write([*documents(30), cut]))
    overrides = ["dataset=files", f"dataset.files.train={path}", "task=token_classification", "cleaner=none", "dataset.strict=true"]
    with pytest.raises(ConfigError) as raised:
        finecomb.prepare(finecomb.compose(*overrides))
    problem = raised.value.problems[0]
    assert "the span 0..3 'Ann' (PER) ends inside a token" in f"{problem.what} {problem.allowed} {problem.hint}"
    assert "line 31" in f"{problem.where} {problem.what}"
