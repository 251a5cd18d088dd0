"""annotator=run: a run that has finished labels rows from a process of its own, and what can go wrong with it."""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from finecomb import cli
from finecomb.config.schema.annotator import Run
from finecomb.core.errors import ConfigError
from finecomb.data import annotator
from finecomb.launch import scoring

FAKE = """
import json, sys, time
def say(message):
    print(json.dumps(message), flush=True)
{before}
say({{"classes": ["bad", "good"]}})
for line in sys.stdin:
    asked = json.loads(line)
    {answer}
"""
ANSWER = 'say({"probabilities": [[0.2, 0.8] if "good" in text else [0.9, 0.1] for text in asked["texts"]]})'


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A process in place of the run."""

    def make(before="", answer=ANSWER):
        path = tmp_path / "fake.py"
        path.write_text(textwrap.dedent(FAKE).format(before=before, answer=answer))
        monkeypatch.setattr(scoring, "SCORER", (sys.executable, str(path)))

    return make


def test_texts_are_answered_in_order_over_several_questions(fake):
    fake()
    texts = [f"{'good' if row % 3 else 'poor'} {row}\nof two lines" for row in range(600)]
    found = scoring.score(Path("runs/x-1"), texts, None, timeout=60)
    assert found.classes == ["bad", "good"]
    assert found.probabilities.argmax(axis=1).tolist() == [int(row % 3 > 0) for row in range(600)]


@pytest.mark.parametrize(
    ("before", "answer", "error", "said"),
    [
        ("time.sleep(60)", ANSWER, ConfigError, "no answer in 1 seconds"),
        ("", "time.sleep(60)", ConfigError, "no answer in 1 seconds"),
        ("print('it is gone', file=sys.stderr); sys.exit(2)", ANSWER, ConfigError, "cannot answer: it is gone"),
        ("", "sys.exit(3)", RuntimeError, "ended with code 3"),
        ("say({'classes': None}); time.sleep(60)", ANSWER, ConfigError, "does not give one class"),
        ("", "say({'probabilities': []})", RuntimeError, "0 answers to 1 texts"),
    ],
)
def test_a_run_that_hangs_dies_or_says_something_else_is_told_and_leaves_no_process(fake, before, answer, error, said):
    fake(before, answer)
    with pytest.raises(error, match=said):
        scoring.score(Path("runs/x-1"), ["one text"], None, timeout=1 if "sleep" in before + answer else 60)


def test_labels_carry_the_run_and_rows_it_is_not_sure_of_get_none(tmp_path, monkeypatch):
    config = Run("run", min_confidence=0.85, soft=False, run=str(tmp_path / "mine-abc"), given_labels="replace", timeout=9.0)
    with pytest.raises(ConfigError, match="is no run directory"):
        annotator.build(config)
    (tmp_path / "mine-abc").mkdir()
    (tmp_path / "mine-abc" / "config.yaml").write_text("{}")
    with pytest.raises(ConfigError, match="the run mine-abc is"):
        annotator.build(config)
    monkeypatch.setattr("finecomb.runs.directory.RunDirectory.state", lambda self: "finished")
    with pytest.raises(ConfigError, match="cannot be asked from here"):
        annotator.build(config)

    def score(run, texts, pairs, *, timeout):
        assert (run.name, pairs, timeout) == ("mine-abc", ["x", "y"], 9.0)
        return annotator.Scores(["bad", "good"], np.array([[0.1, 0.9], [0.2, 0.8]]))

    done = annotator.build(config, score=score)(["a", "b"], pairs=["x", "y"], given=["good", "bad"])
    assert (done.labels, done.origin) == (["good", None], ["run:abc"] * 2)
    assert done.record["accuracy_on_given_labels"] == {"rows": 1, "right": 1, "share": 1.0}


def test_a_tuned_run_labels_a_file_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [f"a {'good good good' if row % 2 else 'bad bad bad'} film,{('bad', 'good')[row % 2]},{row}" for row in range(80)]
    (tmp_path / "a.csv").write_text("text,label,id\n" + "\n".join(lines))
    train = ["dataset=files", "dataset.files.train=a.csv", "cleaner=none", "model=tiny", "logger=none", "optimizer.lr=0.01"]
    assert cli.main(["train", *train, "trainer.max_epochs=3", "batch.size=8"]) == 0
    run = next((tmp_path / "runs").glob("files-*"))
    capsys.readouterr()
    (tmp_path / "raw.txt").write_text("\n".join(f"{'good good' if row % 2 else 'bad bad'} film {row}" for row in range(60)))
    words = ["dataset=files", "dataset.files.train=raw.txt", "dataset.columns.label=null", "annotator=run", f"annotator.run={run}"]
    assert cli.main(["prepare", *words, "annotator.min_confidence=0.5", "--output", "out"]) == 0
    assert "labels by a model, not by people" in capsys.readouterr().out
    rows = parquet.read_table(tmp_path / "out" / "annotations.parquet").to_pylist()
    assert {row["origin"] for row in rows} == {f"run:{run.name.rsplit('-', 1)[-1]}"}
    assert len(rows) == 60
    assert all(0.5 <= row["confidence"] <= 1.0 and row["label"] in ("bad", "good") for row in rows)
