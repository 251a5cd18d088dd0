"""Tags of tokens as they are read: lists and text, schemes found, checked and turned into BIO; what breaks is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import finecomb
from finecomb.core.errors import ConfigError
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.tag_schemes import detect, in_bio


def rows(*tags: str) -> dict[str, Rows]:
    labels = [row.split() for row in tags]
    texts = [" ".join("w" for _ in label) for label in labels]
    return {"train": Rows([str(n) for n in range(len(tags))], texts, None, labels, None, range(1, len(tags) + 1), "tags.conll")}


@pytest.mark.parametrize(
    ("tags", "scheme", "bio"),
    [
        (["O B-A I-A B-A"], "bio", ["O B-A I-A B-A"]),
        (["I-A I-A B-A I-B O"], "iob1", ["B-A I-A B-A B-B O"]),
        (["S-A B-A I-A E-A O"], "bioes", ["B-A B-A I-A I-A O"]),
        (["U-A B-A L-A O"], "bioes", ["B-A B-A I-A O"]),
        (["NN VB"], "none", ["NN VB"]),
        (["O O"], "none", ["O O"]),
    ],
)
def test_a_scheme_is_found_and_turned_into_bio(tags: list[str], scheme: str, bio: list[str]) -> None:
    converted, _, detected = in_bio(rows(*tags), "detect", None)
    assert detected == scheme
    assert [" ".join(label) for label in converted["train"].label] == bio


def test_names_are_of_every_type_with_both_letters() -> None:
    _, names, _ = in_bio(rows("B-LOC O", "B-PER I-PER"), "detect", None)
    assert names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    assert in_bio(rows("O S-A"), "detect", ["O", "S-A", "S-B"])[1] == ["O", "B-A", "I-A", "B-B", "I-B"]


@pytest.mark.parametrize(
    ("tags", "scheme", "wrong"),
    [
        (["O", "B-A I-B"], "bio", "tag 2, 'I-B' after 'B-A', breaks the scheme bio"),
        (["B-A O"], "bioes", "tag 2, 'O' after 'B-A', breaks the scheme bioes"),
        (["B-A"], "bioes", "the end after 'B-A' breaks the scheme bioes"),
        (["B-A E-A"], "bio", "tag 2, 'E-A', breaks the scheme bio"),
        (["NN"], "bio", "tag 1, 'NN', breaks the scheme bio"),
    ],
)
def test_a_row_that_breaks_the_scheme_is_named(tags: list[str], scheme: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as raised:
        in_bio(rows(*tags), scheme, None)
    assert raised.value.problems[0].what == wrong
    assert raised.value.problems[0].where == f"train, tags.conll, line {len(tags)}"


def test_bio_with_a_broken_row_is_not_taken_for_iob1() -> None:
    assert detect([["B-A", "O", "I-A"]]) == "bio"


def write(folder: Path, lines: list[dict[str, object]]) -> Path:
    path = folder / "tags.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_files_of_tokens_and_tags_become_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [{"tokens": ["Ann", f"saw{n}", "Rome"], "tags": ["B-PER", "O", "B-LOC"]} for n in range(20)]
    lines += [{"tokens": f"Bob met{n} Eve", "tags": "B-PER O B-PER"} for n in range(20)]
    path = write(tmp_path, lines)
    data = finecomb.prepare(finecomb.compose("dataset=files", f"dataset.files.train={path}", "task=token_classification", "cleaner=none"))
    assert data.label_names == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    table = data.to_pandas()
    assert sorted(table["text"])[0] == "Ann saw0 Rome"
    assert table.set_index("text")["label"]["Ann saw0 Rome"] == ["B-PER", "O", "B-LOC"]
    assert data.folder.manifest.label_counts["train"]["B-PER"] > 16
    delivered = tmp_path / "out"
    data.write(delivered)
    again = finecomb.compose("dataset=prepared", f"dataset.path={delivered}")
    assert again.task.name == "token_classification"
    assert finecomb.prepare(again).content_hash == data.content_hash


@pytest.mark.parametrize(
    ("line", "detail"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, "2 tokens and 1 tags"),
        ({"tokens": ["a b"], "tags": ["O"]}, "the token 'a b' holds white space"),
        ({"tokens": 3, "tags": ["O"]}, "the tokens are int, not a list of texts"),
        ({"tokens": ["a"], "tags": {"x": 1}}, "the tags are dict, not a list of names"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(line: dict[str, object], detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    good = [{"tokens": ["a", f"b{n}"], "tags": ["O", "B-A"]} for n in range(20)]
    path = write(tmp_path, [*good, line])
    overrides = ["dataset=files", f"dataset.files.train={path}", "task=token_classification", "cleaner=none", "dataset.strict=true"]
    with pytest.raises(ConfigError) as raised:
        finecomb.prepare(finecomb.compose(*overrides))
    problem = raised.value.problems[0]
    assert detail in f"{problem.what} {problem.allowed} {problem.hint}"
    assert "line 21" in f"{problem.where} {problem.what}"


def test_a_cleaner_that_changes_texts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    path = write(tmp_path, [{"tokens": ["e\u0301t", f"b{n}"], "tags": ["B-A", "O"]} for n in range(20)])
    with pytest.raises(ConfigError, match="labels of kind 'tags' point into the text"):
        finecomb.prepare(finecomb.compose("dataset=files", f"dataset.files.train={path}", "task=token_classification", "cleaner=basic"))
