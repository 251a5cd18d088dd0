"""A corpus without labels is cleaned and split like any other, and is refused where labels are needed."""

import json

import pyarrow.parquet
import pytest
from data_configs import make_cleaner, make_dataset, rows

from finecomb import cli
from finecomb.core.errors import ConfigError
from finecomb.data.prepare import prepare


@pytest.fixture
def corpus(write):
    return write(
        "corpus.txt",
        "".join(f"line {n} of a corpus that nobody labeled\n" for n in range(100)) + "line 7 of a corpus that nobody labeled\n",
    )


def plain(path, **changes):
    return make_dataset("files", files={"train": str(path)}, columns={"label": None}, **changes)


def test_rows_without_labels_are_cleaned_and_split(corpus):
    found = prepare(plain(corpus), make_cleaner(), task_variant=None)
    assert (found.label_kind, found.label_names, found.columns) == ("none", None, ["id", "text"])
    assert found.manifest.rows == {"train": 80, "validation": 10, "test": 10}
    assert found.load()["train"].column_names == ["id", "text"]
    assert found.manifest.label_counts == {"train": {}, "validation": {}, "test": {}}
    assert next(entry for entry in found.manifest.funnel if entry["step"] == "duplicates")["reasons"] == {"duplicate": 1}


def test_labels_that_are_there_may_be_left_unread(write):
    path = write("a.jsonl", [{"text": row["text"], "label": None} for row in rows(40)])
    found = prepare(make_dataset("files", files={"train": str(path)}, label_kind="none"), make_cleaner(), task_variant=None)
    assert found.columns == ["id", "text"]


def test_a_task_that_needs_labels_is_refused(corpus):
    found = prepare(plain(corpus), make_cleaner(), task_variant=None)
    with pytest.raises(ConfigError, match="have no labels, the task needs 'class'"):
        prepare(make_dataset("prepared", path=str(found.directory)), make_cleaner(), task_variant="sequence_classification")
    with pytest.raises(ConfigError, match="no column is named as the label"):
        prepare(plain(corpus), make_cleaner(), task_variant="sequence_classification")
    with pytest.raises(ConfigError, match="rows of dataset=files have no labels"):
        prepare(plain(corpus, label_kind="none"), make_cleaner(), task_variant="sequence_classification")


def test_the_command_prepares_and_training_says_what_is_missing(corpus, tmp_path, capsys):
    words = ["dataset=files", f"dataset.files.train={corpus}", "dataset.columns.label=null"]
    assert cli.main(["prepare", *words, "cleaner=basic", "--output", str(tmp_path / "out")]) == 0
    assert pyarrow.parquet.read_table(tmp_path / "out" / "train.parquet").column_names == ["id", "text"]
    told = json.loads((tmp_path / "out" / "data.json").read_text())
    assert told["rows"] == {"train": 80, "validation": 10, "test": 10}
    assert cli.main(["train", *words[:2], "dataset.label_kind=none"]) == 2
    assert "has no labels to train on" in capsys.readouterr().err
