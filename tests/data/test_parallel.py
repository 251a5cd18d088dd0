"""Parallel texts: two files of lines for each split."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from finecomb.config.compose import compose
from finecomb.core.errors import ConfigError, problems_text
from finecomb.data import dataset

ENGLISH = ["A man.", "Two dogs run.", "", "A \u2028 line"]
GERMAN = ["Ein Mann.", "Zwei Hunde laufen.", "Nichts.", "Eine Zeile"]


def write(folder: Path, stem: str, english: list[str] = ENGLISH, german: list[str] = GERMAN) -> None:
    (folder / f"{stem}.en").write_text("".join(f"{line}\n" for line in english))
    with gzip.open(folder / f"{stem}.de.gz", "wt") as file:
        file.write("".join(f"{line}\n" for line in german))


def source(folder: Path, *overrides: str) -> dataset.Source:
    given = ["dataset=parallel", f"dataset.path={folder}", "dataset.languages=[en,de]", *overrides]
    return dataset.build(compose(given).config.dataset)


def refused(folder: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as raised:
        source(folder, *overrides).read("target")
    return problems_text(raised.value.problems)


def test_lines_become_rows_and_empty_ones_are_reported(tmp_path: Path) -> None:
    write(tmp_path, "train")
    write(tmp_path, "val", ENGLISH[:2], GERMAN[:2])
    raw = source(tmp_path).read("target")
    (train,), (validation,) = (list(raw.splits[name]) for name in ("train", "validation"))
    assert train.text == ["A man.", "Two dogs run.", "A \u2028 line"]
    assert train.label == ["Ein Mann.", "Zwei Hunde laufen.", "Eine Zeile"]
    assert train.id == ["train:1", "train:2", "train:4"]
    assert len(validation) == 2
    assert set(raw.splits) == {"train", "validation"}
    assert [(row["line"], row["reason"]) for row in raw.rejected] == [(3, "no text in the text column")]
    assert raw.funnel[0]["rows_in"] - raw.funnel[0]["rows_out"] == 1


def test_the_other_direction_swaps_source_and_target(tmp_path: Path) -> None:
    write(tmp_path, "train")
    raw = source(tmp_path, "dataset.languages=[de,en]").read("target")
    (train,) = raw.splits["train"]
    assert (train.text[0], train.label[0]) == ("Ein Mann.", "A man.")


def test_what_is_missing_is_refused_with_what_is_there(tmp_path: Path) -> None:
    write(tmp_path, "train")
    assert "there is no train.fr" in refused(tmp_path, "dataset.languages=[en,fr]")
    assert "two languages are needed" in refused(tmp_path, "dataset.languages=[en]")
    assert "no such split" in refused(tmp_path, "dataset.stems={train: train, dev: val}")
    (tmp_path / "val.en").write_text("A man.\n")
    text = refused(tmp_path)
    assert "there is no val.de" in text
    assert "hint" in text


def test_files_that_are_not_parallel_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", ENGLISH, GERMAN[:3])
    assert "train.en has 4 lines and train.de.gz has 3: they are not parallel" in refused(tmp_path)


def test_the_content_of_the_files_is_the_identity(tmp_path: Path) -> None:
    write(tmp_path, "train")
    before = source(tmp_path).inputs()
    assert set(before) == {"train/s", "train/t"}
    write(tmp_path, "train", german=[*GERMAN[:3], "Eine andere Zeile"])
    after = source(tmp_path).inputs()
    assert [name for name in before if before[name] != after[name]] == ["train/t"]
