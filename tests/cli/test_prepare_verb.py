"""`finecomb prepare`: a folder in which every row is accounted for, and on which `train` trains."""

import json
import random
import subprocess
import sys

import pyarrow.parquet as parquet
import pytest

from finecomb import cli
from finecomb.data.prepare.page import difference

WORDS = [f"word{n}" for n in range(400)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    draw = random.Random(1)
    lines = []
    for row in range(200):
        text = " ".join([*draw.choices(WORDS, k=30), "good" if row % 2 else "bad"])
        lines.append({"text": f"<p>{text}</p>", "label": "good" if row % 2 else "bad"})
        if row % 5 == 0:
            lines.append({"text": f"{text} indeed", "label": "good" if row % 2 else "bad"})  # nearly the same
        if row % 10 == 0:
            lines.append({"text": text, "label": "good" if row % 2 else "bad"})  # the same
    lines.append({"text": " ", "label": "good"})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


BASE = ["dataset=files", "dataset.files.train=a.jsonl", "cleaner=classification"]


def prepare(capsys, *words):
    code = cli.main(["prepare", *BASE, *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_every_row_is_in_a_split_or_among_the_dropped_with_its_reason(folder, capsys):
    code, out, _ = prepare(capsys, "--output", "mine")
    assert code == 0
    assert out.splitlines()[-1] == "mine"
    tables = {
        name: parquet.read_table(folder / "mine" / f"{name}.parquet").to_pylist() for name in ("train", "validation", "test", "dropped")
    }
    ids = [row["id"] for rows in tables.values() for row in rows]
    assert len(ids) == len(set(ids)) == 261
    reasons = [row["reason"] for row in tables["dropped"]]
    assert reasons.count("duplicate") == 20
    assert reasons.count("near-duplicate") == 40
    assert reasons.count("fewer than 1 characters") == 1
    assert all("<" not in row["text"] and row["label"] in ("good", "bad") for name in ("train", "test") for row in tables[name])
    facts = json.loads((folder / "mine" / "data.json").read_text())
    steps = {step["name"]: step for step in facts["steps"]}
    assert (steps["html"]["rows_in"], steps["html"]["changed"]) == (261, 200)
    assert steps["html"]["bytes_out"] < steps["html"]["bytes_in"]
    assert steps["near_duplicates"]["reasons"] == {"near-duplicate": 40}
    assert all(step["seconds"] is not None for step in facts["steps"] if step["name"] != "split")
    assert {pair: (found["exact"], found["near"]) for pair, found in facts["overlap"].items()} == dict.fromkeys(
        ["train/validation", "train/test", "validation/test"], (0, 0)
    )
    assert facts["clusters"][0]["size"] == 2
    scores = parquet.read_table(folder / "mine" / "scores.parquet").to_pandas()
    assert ((scores["score"] == "similarity") & (scores["value"] >= 0.8)).sum() == 40


def test_near_duplicates_that_stay_are_carved_by_cluster_and_told_as_a_table(folder, capsys):
    code, out, _ = prepare(capsys, "cleaner.steps.near_duplicates.keep=all", "--output=mine")
    assert code == 0
    assert "near_duplicates: " in out
    assert "probability that a pair is found" in out
    splits = {name: parquet.read_table(folder / "mine" / f"{name}.parquet").to_pylist() for name in ("train", "validation", "test")}
    assert sum(map(len, splits.values())) == 240
    where = {row["id"]: name for name, rows in splits.items() for row in rows}
    found = parquet.read_table(folder / "mine" / "clusters.parquet").to_pylist()
    assert len(found) == 80
    assert {row["size"] for row in found} == {2}
    members = {}
    for row in found:
        members.setdefault(row["cluster"], set()).add(where[row["id"]])
        assert row["similarity"] >= 0.8
    assert len(members) == 40
    assert all(len(names) == 1 for names in members.values())
    assert {name for names in members.values() for name in names} == {"train", "validation", "test"}
    facts = json.loads((folder / "mine" / "data.json").read_text())
    assert all(found["near"] == 0 for found in facts["overlap"].values())


def test_a_later_corpus_loses_what_is_near_to_an_earlier_one(folder, capsys):
    assert prepare(capsys, "cleaner.steps.near_duplicates.write_index=true", "--output=earlier")[0] == 0
    lines = [json.loads(line) for line in (folder / "a.jsonl").read_text().splitlines()[:50]]
    fresh = [{"text": " ".join(f"fresh{row}x{place}" for place in range(30)), "label": ("good", "bad")[row % 2]} for row in range(40)]
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines + fresh))
    code, _, _ = prepare(capsys, "cleaner.steps.near_duplicates.index=earlier", "cleaner.steps.decontaminate=null", "--output=later")
    assert code == 0
    facts = json.loads((folder / "later" / "data.json").read_text())
    step = next(step for step in facts["steps"] if step["name"] == "near_duplicates")
    assert step["reasons"] == {"near-duplicate of a row of the index": step["rows_in"] - 40}
    assert sum(facts["rows"].values()) == 40
    assert facts["clusters"][0]["kept"]["split"] == "index"
    code, _, err = prepare(capsys, "cleaner.steps.near_duplicates.index=nowhere")
    assert code == 2
    assert "holds no index" in err


def test_leakage_that_no_step_removes_is_told(folder, capsys):
    _, out, _ = prepare(capsys, "cleaner=none", "--output=mine")
    assert "rows the same" in out
    facts = json.loads((folder / "mine" / "data.json").read_text())
    assert sum(found["near"] for found in facts["overlap"].values()) > 5
    assert facts["overlap"]["train/test"]["ngram_13"] >= facts["overlap"]["train/test"]["near"]
    example = next(found["examples"][0] for found in facts["overlap"].values() if found["examples"])
    assert example["similarity"] >= 0.8
    assert str(example["texts"][0])[:20] in (folder / "mine" / "report.html").read_text().replace("&lt;", "<").replace("&gt;", ">")


def test_a_second_time_gives_the_same_folder_byte_for_byte_but_for_seconds(folder, capsys):
    prepare(capsys, "--output", "one")
    before = {path.name: path.read_bytes() for path in (folder / "one").iterdir() if path.is_file()}
    prepare(capsys, "--output", "one")
    assert {path.name: path.read_bytes() for path in (folder / "one").iterdir() if path.is_file()} == before
    # Made again from nothing, only what tells seconds differs.
    for path in (folder / "cache" / "prepared").iterdir():
        path.rename(folder / "away")
        break
    prepare(capsys, "--output", "two")
    after = {path.name: path.read_bytes() for path in (folder / "two").iterdir() if path.is_file()}
    assert {name for name in before if before[name] != after[name]} <= {"data.json", "report.html", "seconds.parquet"}


def test_requirements_are_checked_and_what_is_missing_is_told_with_the_folder_in_place(folder, capsys):
    words = ["dataset.require.rows=5000", "dataset.require.max_duplicate_share=0.1", "dataset.require.languages=[de]"]
    words += ["dataset.require.max_characters=100", "dataset.require.min_label_share=0.6"]
    code, _, error = prepare(capsys, *words, "--output", "mine")
    assert code == 2
    for key in ("rows", "max_duplicate_share", "max_characters", "min_label_share"):
        assert f"dataset.require.{key}" in error
    assert (folder / "mine" / "report.html").exists()
    assert prepare(capsys, "dataset.require.rows=50", "dataset.require.min_label_share=0.2", "--output", "mine")[0] == 0


def test_a_folder_of_somebody_else_is_left_alone(folder, capsys):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("years of work")
    code, _, error = prepare(capsys, "--output", "mine")
    assert code == 2
    assert "was not written by finecomb prepare" in " ".join(error.split())
    assert (folder / "mine" / "thesis.txt").read_text() == "years of work"


def test_differences_are_marked_and_markup_is_escaped():
    assert difference("the <b> seperate part", "the <b> separate part") == "the &lt;b&gt; <del>seperate</del><ins>separate</ins> part"


@pytest.mark.slow
def test_what_was_prepared_trains(folder, capsys):
    prepare(capsys, "--output", "mine")
    words = ["dataset=prepared", "dataset.path=mine", "model=tiny", "logger=none", "trainer.max_epochs=1", "cleaner=none"]
    assert cli.main(["train", *words]) == 0
    run = folder / capsys.readouterr().out.splitlines()[-1]
    result = json.loads((run / "result.json").read_text())
    assert result["counts"]["rows"] == {"train": 160, "validation": 20, "test": 20}


def test_two_at_once_into_one_folder_both_end_well_and_leave_one_whole_answer(folder):
    command = [sys.executable, "-m", "finecomb", "prepare", *BASE, "--output", "mine"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert told[0][0] == told[1][0]
    assert told[0][0].splitlines()[-1] == "mine"
    facts = json.loads((folder / "mine" / "data.json").read_text())
    assert {split: parquet.read_table(folder / "mine" / f"{split}.parquet").num_rows for split in facts["rows"]} == facts["rows"]
    assert not list((folder / "cache").rglob("*.part"))
