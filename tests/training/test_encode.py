"""Tokens are computed once, found again by content, and what truncation cuts is counted."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig

from finecomb.config import computing
from finecomb.config.schema.model import FAMILIES
from finecomb.config.schema.task import SequenceClassification
from finecomb.data.prepare import open_prepared
from finecomb.learning import task as tasks
from finecomb.learning.model.tokenizer import prepare_tokenizer, tiny_tokenizer
from finecomb.learning.task.encoding import collate
from finecomb.training.encode import encode, tokenizer_hash

TASK = tasks.build(SequenceClassification("sequence_classification", False, 0.5), label_kind="class", label_names=["a", "b", "c"])


@pytest.fixture
def rows(data: Path) -> object:
    return open_prepared(data).load()["test"]


def test_tokens_are_those_of_the_tokenizer(rows: object, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer("bert")
    encoded = encode(rows, "test", content="x", tokenizer=tokenizer, task=TASK, max_length=64, cache=tmp_path)
    features = encoded.features(np.arange(len(encoded)))
    texts = rows["text"]  # type: ignore[index]
    for row, text in enumerate(texts):
        assert features[row]["input_ids"].tolist() == tokenizer(text)["input_ids"]
        assert features[row]["attention_mask"].tolist() == [1] * len(features[row]["input_ids"])
        assert features[row]["index"] == row
    assert encoded.lengths.tolist() == [len(tokenizer(text)["input_ids"]) for text in texts]


def test_truncation_is_counted_and_told(rows: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = tiny_tokenizer("bert")
    whole = encode(rows, "test", content="x", tokenizer=tokenizer, task=TASK, max_length=64, cache=tmp_path)
    cut = encode(rows, "test", content="x", tokenizer=tokenizer, task=TASK, max_length=6, cache=tmp_path)
    assert int(cut.lengths.max()) == 6
    assert cut.counts()["truncated_tokens"] == int(whole.lengths.sum() - cut.lengths.sum()) > 0
    assert cut.counts()["truncated_examples"] == int((whole.lengths > 6).sum())
    assert "longer than batch.max_length=6" in caplog.text


def test_the_cache_is_hit_for_the_same_content_only(rows: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def files(**changed: object) -> int:
        usual = {"content": "x", "tokenizer": tiny_tokenizer("bert"), "task": TASK, "max_length": 64, "cache": tmp_path}
        encode(rows, "test", **(usual | changed))  # type: ignore[arg-type]
        return len(list(tmp_path.iterdir()))

    assert files() == 1
    assert files() == 1
    assert "found in the cache" in caplog.text
    assert files(content="y") == 2
    assert files(max_length=32) == 3
    assert files(tokenizer=tiny_tokenizer("gpt2")) == 4


def test_a_damaged_file_is_told_and_computed_again(rows: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def tokens() -> list[list[int]]:
        encoded = encode(rows, "test", content="x", tokenizer=tiny_tokenizer("bert"), task=TASK, max_length=64, cache=tmp_path)
        return [feature["input_ids"].tolist() for feature in encoded.features(np.arange(len(encoded)))]

    before = tokens()
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    first = np.array(before[0], np.int32).tobytes()
    changed = (np.array(before[0], np.int32) + 1).tobytes()
    for damaged in (whole.replace(first, changed), whole[: len(whole) // 2]):
        # A new file, as the old one is still mapped.
        path.unlink()
        path.write_bytes(damaged)
        caplog.clear()
        assert tokens() == before
        assert "is damaged" in caplog.text
        assert path.read_bytes() == whole


def test_using_a_tokenizer_does_not_change_its_hash() -> None:
    tokenizer = tiny_tokenizer("bert")
    before = tokenizer_hash(tokenizer)
    tokenizer(["a movie", "a very good movie"], truncation=True, max_length=3, padding=True)
    assert tokenizer_hash(tokenizer) == before


def test_architectures_with_one_tokenizer_share_a_cache_and_not_their_inputs(rows: object, tmp_path: Path) -> None:
    few = rows.select(range(3))  # type: ignore[attr-defined]
    tokenizers = {}
    for kind, family in FAMILIES.items():
        tokenizers[kind] = tiny_tokenizer("bert")
        prepare_tokenizer(tokenizers[kind], family, AutoConfig.for_model(kind))
    assert len({type(each) for each in tokenizers.values()}) == 1
    for pair in itertools.permutations(FAMILIES, 2):
        for kind in pair:
            encoded = encode(
                few, "test", content="x", tokenizer=tokenizers[kind], task=TASK, max_length=64, cache=tmp_path / "-".join(pair)
            )
            batch = collate(tokenizers[kind], encoded.features(np.arange(3)), None)
            assert list(batch.inputs) == tokenizers[kind].model_input_names


def test_what_decides_the_tokens_is_in_the_key(rows: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = rows.select(range(3))  # type: ignore[attr-defined]

    def files(**changed: object) -> int:
        tokenizer = tiny_tokenizer("bert")
        for name, value in changed.items():
            setattr(tokenizer, name, value)
        encode(few, "test", content="x", tokenizer=tokenizer, task=TASK, max_length=64, cache=tmp_path)
        return len(list(tmp_path.iterdir()))

    assert files() == 1
    assert files(truncation_side="left") == 2
    assert files(padding_side="left") == 3
    assert files(eos_token="[unused]") == 4
    monkeypatch.setattr(computing, "version_of", lambda name: "2" if name == "learning/task/encoding" else "1")
    monkeypatch.setattr("finecomb.training.encode.version_of", computing.version_of)
    assert files() == 5
    monkeypatch.setattr("finecomb.training.encode.version", lambda name: "99")
    assert files() == 6
