"""Preparing: cached by content, checked when opened, the same in every process, and without torch."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from data_configs import make_cleaner, make_dataset, rows

from finecomb.core.errors import ConfigError
from finecomb.data.dataset.manifest import Manifest
from finecomb.data.prepare import open_prepared, prepare
from finecomb.data.prepare import preparation as module


def test_the_contract_of_what_is_prepared(prepared, write):
    found = prepared(write("a.jsonl", rows(100)))
    data = found.load()
    assert set(data) == {"train", "validation", "test"}
    assert data["train"].column_names == found.columns == ["id", "text", "label"]
    assert str(data["train"].features["label"].dtype) == "int64"
    every = [identifier for table in data.values() for identifier in table["id"]]
    assert len(every) == len(set(every)) == 100
    assert "train:17" in every
    manifest = found.manifest
    assert manifest == Manifest.read(found.directory)
    assert manifest.rows == {name: len(table) for name, table in data.items()}
    assert manifest.label_counts["train"] == {"bad": 40, "good": 40}


def test_a_folder_of_the_earlier_format_is_read_under_the_new_names(prepared, write):
    found = prepared(write("a.jsonl", rows(100)))
    path = found.directory / "manifest.json"
    old = json.loads(path.read_text())
    old["licence"], old["format"] = old.pop("license"), 1
    path.write_text(json.dumps(old))
    again = open_prepared(found.directory)
    assert again.manifest.license == found.manifest.license


def test_asked_again_nothing_is_read(prepared, write, monkeypatch):
    path = write("a.jsonl", rows(100))
    first = prepared(path)
    monkeypatch.setattr(module, "_make", lambda *_: pytest.fail("prepared twice"))
    assert prepared(path) == first


def test_the_key_is_content_not_path_or_time(prepared, write):
    first = prepared(write("a.jsonl", rows(100)))
    os.utime(write("elsewhere/b.jsonl", rows(100)), (0, 0))
    second = prepared(write("elsewhere/b.jsonl", rows(100)))
    assert (first.key, first.content_hash, first.directory) == (second.key, second.content_hash, second.directory)
    assert prepared(write("a.jsonl", rows(101))).key != first.key


def test_what_changes_rows_changes_the_key_and_what_does_not_keeps_the_content(prepared, write):
    path = write("a.jsonl", rows(100))
    base = prepared(path)
    for changes in (
        {"split": {"seed": 1}},
        {"limit": {"train": 9}},
        {"cleaner": make_cleaner(duplicates=None)},
        {"label_names": ["good", "bad"]},
    ):
        assert prepared(path, **changes).key != base.key
    assert prepared(path, cleaner=make_cleaner(duplicates=None)).content_hash == base.content_hash
    assert prepared(path, label_names=["good", "bad"]).content_hash != base.content_hash


@pytest.mark.parametrize("damaged", ["train/data-00000-of-00001.arrow", "manifest.json"])
def test_damaged_cache_is_made_again_and_a_damaged_folder_is_refused(prepared, write, capfd, damaged):
    path = write("a.jsonl", rows(100))
    first = prepared(path)
    file = first.directory / damaged
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ConfigError, match="is damaged"):
        open_prepared(first.directory)
    again = prepared(path)
    assert again == first
    assert open_prepared(again.directory).load()["train"][0]["id"]
    assert "damaged and is made again" in capfd.readouterr().err


def test_a_missing_file_of_a_prepared_folder_is_damage(prepared, write):
    found = prepared(write("a.jsonl", rows(100)))
    (found.directory / "test" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(ConfigError, match="is damaged"):
        open_prepared(found.directory)


def test_a_prepared_folder_is_taken_as_it_is_or_with_fewer_rows(prepared, write, tmp_path):
    first = prepared(write("a.jsonl", rows(100)))
    copy = tmp_path / "copy"
    first.directory.rename(copy)
    same = prepare(make_dataset("prepared", path=str(copy)), make_cleaner(), task_variant="sequence_classification")
    assert (same.directory, same.content_hash) == (copy, first.content_hash)
    less = prepare(make_dataset("prepared", path=str(copy), limit={"train": 10}), make_cleaner(), task_variant="sequence_classification")
    assert less.manifest.rows == {"train": 10, "validation": 10, "test": 10}
    assert less.load()["train"]["id"] == same.load()["train"]["id"][:10]
    assert less.manifest.funnel[-1]["reasons"] == {"beyond the limit": 70}
    assert sum(less.manifest.label_counts["train"].values()) == 10
    with pytest.raises(ConfigError, match="of kind 'class'"):
        prepare(make_dataset("prepared", path=str(copy)), make_cleaner(), task_variant="regression")


_ELSEWHERE = """
import json, sys
from finecomb.config.schema import cleaner, dataset
from finecomb.data.prepare import prepare
given = json.loads(sys.argv[1])
parts = {"columns": dataset.Columns, "split": dataset.Split, "limit": dataset.Limit, "files": dataset.FileSplits}
config = dataset.Files(**{key: parts[key](**value) if key in parts else value for key, value in given["dataset"].items()})
found = prepare(config, cleaner.Cleaner(**given["cleaner"]), task_variant="sequence_classification")
heavy = [name for name in ("torch", "transformers", "pytorch_lightning") if name in sys.modules]
print(json.dumps([found.content_hash, found.manifest.examples, heavy]))
"""


def test_other_processes_get_the_same_rows_and_import_no_torch(prepared, write, tmp_path):
    path = write("a.jsonl", rows(90, ("a", "b", "c")) + rows(30))
    here = prepared(path)
    config = {"dataset": asdict(make_dataset("files", files={"train": str(path)})), "cleaner": asdict(make_cleaner())}
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "FINECOMB_CACHE": str(tmp_path / seed)}
        command = [sys.executable, "-c", _ELSEWHERE, json.dumps(config)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        content_hash, examples, heavy = json.loads(done.stdout)
        assert content_hash == here.content_hash
        assert examples == here.manifest.examples
        assert heavy == []


def test_the_content_hash_of_a_known_file_never_changes(prepared, write):
    """A golden value: it is part of fingerprints, so a change of it orphans every run."""
    found = prepared(write("a.jsonl", rows(30, ("é", "b"))))
    assert found.content_hash[:16] == "2fb348d50544e876"
    assert Path(found.directory).name == found.key
