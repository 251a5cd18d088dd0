"""`finecomb train`, `predict`, `compare` and `runs verify` on tags of tokens, and the saved model in plain transformers."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from transformers import pipeline

from finecomb import cli
from finecomb.data.spans import Span
from finecomb.labeling.documents import Document
from finecomb.labeling.storage import write

TRAIN = ["train", "debug=tiny", "task=token_classification", "dataset=files", "cleaner=none", "dataset.files.train=train.jsonl"]
TEXT = "london has a good film-plot , in paris !"


def documents(count: int) -> list[Document]:
    """Texts as annotators leave them: a town in each."""
    draw, rows = random.Random(0), []
    for number in range(count):
        before = " ".join(draw.choice(["good", "film", "plot", "scene"]) for _ in range(draw.randint(0, 5)))
        town = draw.choice(["london", "paris"])
        start = len(before) + bool(before)
        text = f"{before} {town}, day {number}.".lstrip()
        rows.append(Document(str(number), text, spans=(Span(start, start + len(town), "TOWN"),), annotator="ann", answer="accept"))
    return rows


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_spans_are_trained_on_predicted_verified_compared_and_served_by_transformers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "train.jsonl").write_text(write(documents(96)))
    assert cli.main(TRAIN) == 0
    out = capsys.readouterr().out
    run = Path(out.splitlines()[-1])
    assert "entity_f1@type=TOWN" in out

    assert cli.main(["predict", str(run), TEXT]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["tokens"] == TEXT.split()
    assert len(answer["tags"]) == len(answer["tokens"])
    assert all(TEXT[each["start"] : each["end"]] == each["text"] for each in answer["entities"])

    assert cli.main(["runs", "verify", str(run)]) == 0
    capsys.readouterr()
    assert cli.main(["compare", str(run), "--references", "most_frequent_tag"]) == 0
    printed = capsys.readouterr()
    # In these texts a token always has the same tag.
    assert [line for line in printed.out.splitlines() if "most_frequent_tag" in line and "100" in line]
    assert "no reference rows" not in printed.out + printed.err

    card = (run / "artifact" / "README.md").read_text()
    assert "pipeline_tag: token-classification" in card
    assert "O, B-TOWN, I-TOWN" in card
    shutil.move(str(run / "artifact"), folder / "elsewhere")
    (folder / "cache").rename(folder / "gone")
    tag = pipeline("token-classification", model=str(folder / "elsewhere"))
    by_place = {piece["start"]: piece["entity"] for piece in tag(TEXT, ignore_labels=[])}
    starts = [sum(len(token) + 1 for token in answer["tokens"][:number]) for number in range(len(answer["tokens"]))]
    assert [by_place[start] for start in starts] == answer["tags"]
    # Grouped by their first sub-words, words are those of a list of words; neighbors of one type are merged.
    [grouped] = tag([TEXT.split()], is_split_into_words=True, aggregation_strategy="first", ignore_labels=["O"])
    groups = [(each["start"], each["end"]) for each in grouped]
    covered = {start for start, tag in zip(starts, answer["tags"], strict=True) if tag != "O"}
    assert covered == {start for start in starts if any(first <= start < last for first, last in groups)}


def test_mistakes_are_one_screen_before_anything_trains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"tokens": ["in", "Rome", f"{number}"], "tags": ["O", "B-LOC", "O" if number != 7 else "I-LOCATION"]} for number in range(40)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert cli.main(TRAIN) == 2
    text = capsys.readouterr().err
    assert len(text.splitlines()) < 20
    assert "Traceback" not in text
    assert "tag 3, 'I-LOCATION' after 'B-LOC', breaks the scheme bio" in text
    assert "train.jsonl, line 8" in text
    assert "dataset.tag_scheme=" in text
    assert not Path("runs").exists()
