"""`finecomb annotate`: rows out to labelling tools and labels back, agreement, and queues, from the command line."""

import csv
import json

import pytest

from finecomb import cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text('id,review,stars\na,"good, Ann",good\nb,bad \U0001f600 thing,bad\nc,so so,\n', encoding="utf-8")
    return tmp_path


def annotate(capsys, *words):
    code = cli.main(["annotate", *words])
    told = capsys.readouterr()
    return code, told.out, told.err


OUT = ["--text-column", "review", "--label-column", "stars"]


def test_labels_of_doccano_become_a_table_that_training_reads(folder, capsys):
    code, out, _ = annotate(capsys, "export", "rows.csv", *OUT, "--format", "doccano", "--output", "rows.jsonl")
    assert (code, out) == (0, "rows.jsonl\n")
    code, out, err = annotate(capsys, "import", "rows.jsonl", "--format", "doccano", "--annotator", "ann", "--output", "labels.csv")
    assert (code, out) == (0, "labels.csv\n")
    assert "left out: 1 not answered (--all keeps them)" in err
    assert list(csv.reader((folder / "labels.csv").open(encoding="utf-8"))) == [
        ["id", "text", "label", "annotator", "origin", "confidence"],
        ["a", "good, Ann", "good", "ann", "doccano", ""],
        ["b", "bad \U0001f600 thing", "bad", "ann", "doccano", ""],
    ]


def test_what_fails_on_import_is_listed_with_its_line_and_nothing_is_written(folder, capsys):
    lines = [{"text": "fine", "label": ["x"]}, {"text": "fine", "label": [[0, 9, "X"]]}, {"label": ["x"]}]
    (folder / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ["import", "all.jsonl", "--format", "doccano", "--output", "labels.jsonl"]
    code, _, err = annotate(capsys, *words)
    assert code == 2
    assert "all.jsonl, line 2" in err
    assert "all.jsonl, line 3" in err
    assert "--skip-bad" in err
    assert not (folder / "labels.jsonl").exists()
    code, _, err = annotate(capsys, *words, "--skip-bad")
    assert code == 0
    assert "left out: all.jsonl, line 2: the span 0..9 (X) is not inside the text, which has 4 characters" in err
    assert [json.loads(line)["label"] for line in (folder / "labels.jsonl").read_text().splitlines()] == ["x"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["exprt"], "did you mean finecomb annotate export?"),
        (["export", "none.csv", "--format", "doccano", "--output", "x"], "no such file or folder: none.csv"),
        (["export", "rows.csv", "--format", "doccano", "--output", "x"], "no column 'text' in"),
        (["export", "rows.csv", *OUT, "--format", "doccano", "--output", "rows.csv"], "would be overwritten"),
        (["export", "rows.csv", *OUT, "--format", "conll", "--output", "x"], "CoNLL has no place for the class of a text"),
        (["import", "rows.csv", "--format", "doccano", "--output", "x.xlsx"], "neither .csv nor .jsonl"),
        (["serve", "rows.csv", *OUT, "--annotator", "ann", "--output", "d"], "nothing is asked of the rows"),
        (["serve", "rows.csv", *OUT, "--labels", "a,b", "--annotator", "../x", "--output", "d"], "cannot name an annotator's file"),
        (["agreement", "rows.csv", *OUT], "there is one annotator, rows"),
        (["next", "--rows", "rows.csv", *OUT, "--output", "q"], "needs a run or a file of predictions"),
        (["next", "nothing", "--rows", "rows.csv", *OUT, "--output", "q"], "nothing"),
    ],
)  # fmt: skip
def test_mistakes_are_one_screen(folder, capsys, words, told):
    code, _, err = annotate(capsys, *words)
    assert code == 2
    assert told in " ".join(err.split())
    assert "Traceback" not in err


@pytest.mark.parametrize("action", ["export", "import", "serve", "agreement", "next"])
def test_every_action_shows_examples(capsys, action):
    with pytest.raises(SystemExit) as ended:
        cli.main(["annotate", action, "--help"])
    assert ended.value.code == 0
    assert f"  finecomb annotate {action} " in capsys.readouterr().out
