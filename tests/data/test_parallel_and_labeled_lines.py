"""multi30k: two files a split; sst5: a class and a sentence in each line; humaneval: a test set; and the test set of stsb."""

import gzip

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.dataset.hub import HubSource
from finecomb.data.prepare import prepare


def read(name, kind, **changes):
    raw = build(make_dataset(name, **changes)).read(kind)
    return {split: rows for split, (rows,) in raw.splits.items()}, raw


@pytest.fixture
def captions(write, tmp_path):
    for split, count in (("train", 40), ("val", 8), ("test_2016_flickr", 6)):
        for language, word in (("en", "a dog"), ("de", "ein Hund"), ("fr", "un chien")):
            text = "".join(f"{word} {split} {row}\n" for row in range(count))
            write(f"m/{split}.{language}.gz", gzip.compress(text.encode()))
    return tmp_path / "m"


def test_lines_of_two_languages_are_pairs(captions):
    splits, raw = read("multi30k", "target", path=str(captions))
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 40, "validation": 8, "test": 6}
    assert (splits["test"].text[5], splits["test"].label[5]) == ("a dog test_2016_flickr 5", "ein Hund test_2016_flickr 5")
    assert (splits["test"].id[5], splits["test"].line[5], raw.funnel) == ("test:5", 6, [])
    splits, _ = read("multi30k", "target", path=str(captions), source_language="fr", target_language="en")
    assert (splits["train"].text[0], splits["train"].label[0]) == ("un chien train 0", "a dog train 0")


def test_an_empty_sentence_is_counted_and_files_of_other_lengths_are_refused(captions, write):
    write("m/val.de", "ein Hund\n\n" * 4)
    splits, raw = read("multi30k", "target", path=str(captions))
    assert splits["validation"].id == ["validation:0", "validation:2", "validation:4", "validation:6"]
    assert raw.funnel[0]["reasons"] == {"an empty sentence": 4}
    write("m/train.de", "ein Hund\n")
    with pytest.raises(ConfigError, match=r"train\.en\.gz has 40 lines and train\.de 1"):
        read("multi30k", "target", path=str(captions))
    with pytest.raises(ConfigError, match="no files of the training split") as caught:
        read("multi30k", "target", path=str(captions), target_language="cs")
    assert caught.value.problems[0].allowed.startswith("train.en or train.en.gz and train.cs or train.cs.gz")


def test_without_a_folder_the_hubs_columns_are_the_languages():
    source = build(make_dataset("multi30k", source_language="de", target_language="en"))
    assert isinstance(source, HubSource)
    assert (source._config.columns.source, source._config.columns.target) == ("de", "en")


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
def test_the_real_captions(shared):
    for target in ("de", "fr"):
        splits, raw = read("multi30k", "target", path=str(shared / "multi30k"), target_language=target)
        assert {split: len(rows) for split, rows in splits.items()} == {"train": 29_000, "validation": 1_014, "test": 1_000}
        assert raw.funnel == []


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
