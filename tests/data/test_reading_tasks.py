"""Files that several tasks read: the same rows, counts and errors as read in order."""

import json
from pathlib import Path
from typing import Any

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data import engine as engines
from finecomb.data.engine import LocalEngine
from finecomb.data.prepare import prepare, reading_tasks


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Prepare a folder of files by tasks and in order; returns the two results and how many reading tasks were done."""
    monkeypatch.setattr("finecomb.data.shards.SHARD_BYTES", 2_000)
    monkeypatch.setattr(engines, "WORTH_A_PROCESS", 0)
    tasks: list[int] = []

    class Counting(LocalEngine):
        def run(self, work, specs, *, size, what):
            tasks.extend([1] * len(specs) if work is reading_tasks.read_part else [])
            super().run(work, specs, size=size, what=what)

    def run(**config: Any) -> tuple[Any, Any, int]:
        dataset = make_dataset("files", files={"train": str(tmp_path / "d/*.jsonl")}, **config)
        found = []
        for place in ("tasks", "order"):
            monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / place))
            if place == "order":
                monkeypatch.setattr(reading_tasks, "_in_parts", lambda *_: None)
            found.append(prepare(dataset, make_cleaner("web", length=None), task_variant="sequence_classification", engine=Counting(2)))
        return found[0], found[1], len(tasks)

    return run


def write_files(folder: Path, *, broken: int = 0) -> None:
    (folder / "d").mkdir()
    for file in range(6):
        rows = [(f"text {file} {row} of a few words in a row", "ab"[row % 2], f"k{file * 40 + row}") for row in range(40)]
        lines = [json.dumps(dict(zip(("text", "label", "key"), row, strict=True))) for row in rows]
        lines[3:3] = ["no json"] * broken
        (folder / "d" / f"{file}.jsonl").write_text("\n".join(lines) + "\n")


def dropped(prepared: Any) -> bytes:
    return (prepared.directory / "dropped.parquet").read_bytes()


def test_tasks_read_what_reading_in_order_reads(both, tmp_path):
    write_files(tmp_path, broken=2)
    tasks, order, count = both()
    assert count > 3
    assert tasks.manifest == order.manifest
    assert sum(tasks.manifest.funnel[0]["reasons"].values()) == 12
    assert dropped(tasks) == dropped(order)
    assert tasks.load()["train"].to_dict() == order.load()["train"].to_dict()


def test_ids_that_occur_in_two_files_are_found(both, tmp_path):
    write_files(tmp_path)
    first, last = tmp_path / "d" / "0.jsonl", tmp_path / "d" / "5.jsonl"
    first.write_text(last.read_text().splitlines()[0] + "\n" + first.read_text())
    tasks, order, count = both(columns={"id": "key"})
    assert count > 3
    assert tasks.manifest == order.manifest
    assert sum(tasks.manifest.funnel[0]["reasons"].values()) == 1


def test_too_many_broken_rows_in_one_file_are_judged_over_all(both, tmp_path):
    write_files(tmp_path)
    path = tmp_path / "d" / "2.jsonl"
    path.write_text("no json\n" * 20 + path.read_text())
    tasks, order, _ = both(max_rejected=0.2)
    assert tasks.manifest == order.manifest


def test_what_is_wrong_is_reported_as_in_order(both, tmp_path):
    write_files(tmp_path, broken=30)
    with pytest.raises(ConfigError, match="180 of 420 rows"):
        both()
