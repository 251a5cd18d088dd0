"""`finecomb train`, `predict`, `compare` and `runs verify` on questions, as a user types them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from finecomb import cli

TRAIN = ["train", "debug=tiny", "task=question_answering", "dataset=files", "dataset.files.train=train.json", "cleaner=none",
         "task.stride=8", "batch.max_length=48"]  # fmt: skip


def squad(count: int, *, unanswered: bool, shift: int = 0) -> str:
    draw = random.Random(0)
    paragraphs = []
    for number in range(count):
        words = [draw.choice(["good", "film", "plot", "scene", "time", "story"]) for _ in range(draw.randint(5, 70))]
        context = " ".join(["in", draw.choice(["london", "paris"]), *words, str(number)])
        answer = {"text": context.split()[1], "answer_start": 3 + shift}
        where = {"id": f"{number}", "question": "where?", "answers": [] if unanswered and number % 4 == 0 else [answer]}
        paragraphs.append({"context": context, "qas": [where]})
    return json.dumps({"version": "v2.0", "data": [{"title": f"part {at}", "paragraphs": paragraphs[at::8]} for at in range(8)]})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_questions_are_trained_on_answered_verified_and_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "train.json").write_text(squad(96, unanswered=True))
    assert cli.main([*TRAIN, "task.no_answer=true"]) == 0
    out = capsys.readouterr().out
    run = Path(out.splitlines()[-1])
    assert "no_answer_accuracy" in out
    assert cli.main(["predict", str(run), "--question", "where?", "--context", "in paris"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["answer"] in ("", "in", "paris", "in paris")
    assert cli.main(["runs", "verify", str(run)]) == 0
    capsys.readouterr()
    assert cli.main(["compare", str(run), "--metrics", "f1,exact_match,no_answer_accuracy", "--references", "most_frequent_answer"]) == 0
    printed = capsys.readouterr()
    assert "most_frequent_answer" in printed.out
    assert "no reference rows" not in printed.out + printed.err


def screen(capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    assert cli.main([*TRAIN, *overrides]) == 2
    text = capsys.readouterr().err
    assert len(text.splitlines()) < 20
    assert "Traceback" not in text
    assert not Path("runs").exists()  # a mistake leaves no run directory
    return text


def test_mistakes_are_one_screen_before_anything_trains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "train.json").write_text(squad(96, unanswered=True))
    text = screen(capsys)
    assert "questions of train have no answer, such as 'where?'" in text
    assert "task.no_answer=true" in text
    assert "needs an encoder; gpt2 is a decoder-only model" in screen(capsys, "task.no_answer=true", "model.architecture=gpt2")
    (folder / "train.json").write_text(squad(96, unanswered=False, shift=1))
    text = screen(capsys)
    assert "96 of 96 rows: the answer" in text
    assert "train.json, question 1" in text
    assert "counts characters of the context" in text
