"""sst5: a class and a sentence in each line; humaneval: a test set; and the test set of stsb."""

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.prepare import prepare


def read(name, kind, **changes):
    raw = build(make_dataset(name, **changes)).read(kind)
    return {split: rows for split, (rows,) in raw.splits.items()}, raw


def test_a_class_and_a_sentence_in_each_line(write, tmp_path):
    for name, start in (("train", 0), ("dev", 100), ("test", 200)):
        write(f"s/{name}.txt", "".join(f"{row % 5} sentence number {row} .\n" for row in range(start, start + 10)))
    splits, raw = read("sst5", "class", path=str(tmp_path / "s"))
    assert splits["validation"].text[1] == "sentence number 101 ."
    assert splits["train"].label[:5] == raw.label_names == ["very negative", "negative", "neutral", "positive", "very positive"]
    write("s/dev.txt", "5 much too good\n")
    with pytest.raises(ConfigError, match="a number from 0 to 4"):
        read("sst5", "class", path=str(tmp_path / "s"))


@pytest.mark.shared
def test_the_real_sentences_of_sst5_and_pairs_of_stsb(shared):
    splits, _ = read("sst5", "class", path=str(shared / "sst5"))
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 8_544, "validation": 1_101, "test": 2_210}
    given = {"train": "train", "validation": "validation", "test": "test"}
    splits, _ = read("stsb", "number", path=str(shared / "stsb"), splits=given)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 5_749, "validation": 1_500, "test": 1_379}
    assert (splits["test"].text[0], splits["test"].label[0]) == ("A girl is styling her hair.", 2.5)


@pytest.mark.shared
def test_the_real_problems_of_humaneval(shared):
    prepared = prepare(make_dataset("humaneval", path=str(shared / "humaneval")), make_cleaner("none"), task_variant="code_generation")
    assert prepared.manifest.rows == {"train": 8, "validation": 8, "test": 148}
    row = next(row for row in prepared.load()["test"] if row["id"] == "HumanEval/2")
    assert row["text"].startswith("\n\ndef truncate_number(")
    assert row["label"] == "    return number % 1.0\n"
