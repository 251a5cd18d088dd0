"""A hub data set as a stream: the same rows as when it is fetched whole, no more than asked for, keyed by commit."""

import json

import datasets
import huggingface_hub
import pytest
from data_configs import make_dataset
from reading_rows import reasons

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build


@pytest.fixture
def hub(write, monkeypatch):
    """`load_dataset` of the hub answered by files here, streamed or whole."""
    items = [{"text": f"text {n}", "label": n % 2} for n in range(2500)]
    train = write("hub/train.jsonl", items)
    test = write("hub/test.jsonl", items[:50])
    original, asked = datasets.load_dataset, []

    def load(*words, revision, **options):
        asked.append((words, revision, options))
        return original("json", data_files={"train": str(train), "test": str(test)}, **options)

    class Info:
        sha = "c0ffee"

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("FINECOMB_OFFLINE", raising=False)
    return asked


def rows_of(**changes):
    raw = build(make_dataset("imdb", **changes)).read("class")
    found = {split: list(chunks) for split, chunks in raw.splits.items()}
    return {
        split: [(i, t, n) for rows in chunks for i, t, n in zip(rows.id, rows.text, rows.label, strict=True)]
        for split, chunks in found.items()
    }, raw


def test_a_stream_gives_the_rows_of_the_whole(hub):
    whole, _ = rows_of()
    streamed, _ = rows_of(stream=True)
    assert streamed == whole
    assert len(whole["train"]) == 2500
    assert whole["train"][7] == ("train:7", "text 7", "1")
    assert hub[-1][2] == {"streaming": True}


def test_only_the_first_rows_are_read(hub):
    some, raw = rows_of(stream=True, first=30)
    assert {split: len(rows) for split, rows in some.items()} == {"train": 30, "test": 30}
    assert some["train"] == rows_of()[0]["train"][:30]
    assert reasons(raw) == {}


def test_a_stream_is_keyed_by_its_commit(hub):
    assert build(make_dataset("imdb", stream=True)).inputs() == {"train": "hub:c0ffee:train", "test": "hub:c0ffee:test"}


def test_a_stream_without_network_is_told(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("no route")))
    with pytest.raises(ConfigError, match="no route"):
        build(make_dataset("imdb", stream=True)).inputs()


def test_local_shards_are_streamed_with_their_broken_rows_named(write, tmp_path):
    write("x/train.jsonl", "".join(json.dumps({"text": f"t {n}", "label": n % 2}) + "\n" for n in range(40)) + "{broken\n")
    write("x/test.jsonl", [{"text": "t", "label": 0}])
    rows, raw = rows_of(path=str(tmp_path / "x"))
    assert (len(rows["train"]), reasons(raw)) == (40, {"broken JSON": 1})
