"""`finecomb annotate`: rows out to labeling tools and labels back, agreement, and queues, from the command line."""

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
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
    words = ["import", "rows.jsonl", "--format", "doccano", "--annotator", "ann", "--output", "labels.csv"]
    # The rows went out with suggestions, which doccano returns whether or not anyone looked at them.
    code, _, err = annotate(capsys, *words)
    assert code == 2
    assert "left out: 2 suggestions that nobody has confirmed" in err
    code, out, err = annotate(capsys, *words, "--approved")
    assert (code, out) == (0, "labels.csv\n")
    assert "left out: 1 not answered (--all keeps them)" in err
    assert list(csv.reader((folder / "labels.csv").open(encoding="utf-8"))) == [
        ["id", "text", "label", "annotator", "origin", "confidence"],
        ["a", "good, Ann", "good", "ann", "doccano", ""],
        ["b", "bad \U0001f600 thing", "bad", "ann", "doccano", ""],
    ]


def test_ids_from_0_on_come_back_and_an_id_that_occurs_twice_is_named(folder, capsys):
    def lines(*ids):
        rows = [{"id": at, "text": f"text {number}", "label": ["x"]} for number, at in enumerate(ids)]
        (folder / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))

    for name in ("doccano", "jsonl"):
        lines(0, 1)
        words = ["import", "all.jsonl", "--format", name, "--output", "labels.jsonl", "--all"]
        assert annotate(capsys, *words)[0] == 0
        assert [json.loads(line)["id"] for line in (folder / "labels.jsonl").read_text().splitlines()] == ["0", "1"]
        lines(0, 0)
        code, _, err = annotate(capsys, *words)
        assert code == 2
        assert "the id '0'" in err


def test_a_table_row_with_an_annotator_and_an_empty_answer_is_not_an_answer(folder, capsys):
    (folder / "said.csv").write_text("id,text,label,annotator,answer\n0,a,x,ann,accept\n1,b,y,ann,\n")
    code, _, _ = annotate(capsys, "export", "said.csv", "--format", "jsonl", "--output", "out.jsonl")
    assert code == 0
    assert [json.loads(line).get("answer") for line in (folder / "out.jsonl").read_text().splitlines()] == ["accept", None]


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


def answers(folder, name, labels):
    rows = [
        {"id": row, "text": f"text {row}", "label": label, "annotator": name, "answer": "accept"} if label
        else {"id": row, "text": f"text {row}", "annotator": name, "answer": "ignore"}
        for row, label in labels.items()
    ]  # fmt: skip
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_agreement_is_told_and_ties_stay_out_of_training(folder, capsys):
    answers(folder, "ann", {"1": "good", "2": "bad", "3": "good", "4": None})
    answers(folder, "bob", {"1": "good", "2": "bad", "3": "bad", "4": "good"})
    words = ["agreement", "ann.jsonl", "bob.jsonl", "--json", "told.json", "--consensus", "agreed.jsonl", "--bootstrap", "50"]
    code, out, err = annotate(capsys, *words)
    assert code == 0
    told = json.loads((folder / "told.json").read_text())["labels"]
    assert (told["rows_with_all"], told["pairs"][0]["cohen_kappa"]) == (3, pytest.approx(0.4))
    assert "ann and bob  3               0.667  0.400" in out
    assert "tie: row 3: bad and good" in err
    assert "3 rows agreed on by majority, 1 ties left open" in err
    code, _, err = annotate(capsys, "import", "agreed.jsonl", "--format", "jsonl", "--output", "train.csv")
    assert code == 0
    assert "left out: 1 not answered" in err
    with (folder / "train.csv").open() as file:
        assert [(row["id"], row["label"]) for row in csv.DictReader(file)] == [("1", "good"), ("2", "bad"), ("4", "good")]
    code, _, err = annotate(capsys, "agreement", "ann.jsonl", "ann.jsonl")
    assert code == 2
    assert "the id '1' occurs twice by ann" in err


def test_tables_that_name_nobody_are_one_annotator_each(folder, capsys):
    (folder / "one.csv").write_text("id,text,label\n1,a,x\n2,b,y\n")
    (folder / "two.csv").write_text("id,text,label\n2,b,y\n1,a,x\n")
    code, out, _ = annotate(capsys, "agreement", "one.csv", "two.csv")
    assert code == 0
    assert "one and two  2               1.000  1.000" in out
    (folder / "two.csv").write_text("id,text,label\n2,b,y\n1,other,x\n")
    code, _, err = annotate(capsys, "agreement", "one.csv", "two.csv")
    assert code == 2
    assert "stands for two texts" in err


def test_rows_of_a_prepared_folder_go_out(folder, capsys):
    (folder / "mine").mkdir()
    table = pyarrow.table({"id": ["a", "b"], "text": ["x\r\ny", "z"], "label": ["good", "bad"], "source": ["s", "s"]})
    pyarrow.parquet.write_table(table, folder / "mine" / "train.parquet")
    code, _, _ = annotate(capsys, "export", "mine", "--format", "label_studio", "--labels", "good,bad,mixed", "--output", "tasks.json")
    assert code == 0
    tasks = json.loads((folder / "tasks.json").read_text())
    assert [task["data"] for task in tasks] == [{"text": "x\r\ny", "example_id": "a"}, {"text": "z", "example_id": "b"}]
    assert tasks[0]["predictions"][0]["result"][0]["value"] == {"choices": ["good"]}
    assert (folder / "tasks.xml").read_text().count("<Choice ") == 3
    code, _, err = annotate(capsys, "export", "mine", "--split", "test", "--format", "label_studio", "--output", "tasks.json")
    assert code == 2
    assert "train.parquet" in err


def test_the_rows_that_predictions_are_least_sure_of_come_first(folder, capsys):
    (folder / "rows.jsonl").write_text("".join(json.dumps({"id": f"r{row}", "text": f"text {row}"}) + "\n" for row in range(4)))
    shares = [[0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [0.99, 0.01]]
    predictions = {"id": [f"r{row}" for row in (3, 2, 1, 0)], "label": ["a"] * 4, "prediction": ["a"] * 4, "probabilities": shares[::-1]}
    pyarrow.parquet.write_table(pyarrow.table(predictions), folder / "test.parquet")
    words = ["next", "test.parquet", "--rows", "rows.jsonl", "--k", "2", "--output", "queue.jsonl"]
    code, out, _ = annotate(capsys, *words)
    assert (code, out) == (0, "queue.jsonl\n")
    queue = [json.loads(line) for line in (folder / "queue.jsonl").read_text().splitlines()]
    assert queue == [
        {"id": "r1", "text": "text 1", "label": "a", "origin": "test", "confidence": 0.5},
        {"id": "r2", "text": "text 2", "label": "a", "origin": "test", "confidence": 0.6},
    ]
    # What is answered does not come again; answers of `finecomb predict` are matched by text.
    answers(folder, "ann", {})
    (folder / "ann.jsonl").write_text(json.dumps({"id": "r1", "text": "text 1", "label": "b", "annotator": "ann"}) + "\n")
    said = [{"text": f"text {row}", "label": "a", "probabilities": {"a": a, "b": b}} for row, (a, b) in enumerate(shares)]
    (folder / "predict.jsonl").write_text("".join(json.dumps(each) + "\n" for each in said))
    code, _, err = annotate(capsys, *["next", "predict.jsonl", *words[2:], "--answered", "ann.jsonl", "--by", "margin"])
    assert code == 0
    assert "2 of 3 rows without an answer, by margin" in err
    assert [json.loads(line)["id"] for line in (folder / "queue.jsonl").read_text().splitlines()] == ["r2", "r0"]
    (folder / "predict.jsonl").write_text(json.dumps(said[0]) + "\n")
    code, _, err = annotate(capsys, "next", "predict.jsonl", *words[2:])
    assert code == 2
    assert "3 of 4 rows have no answer in predict.jsonl, the first 'r1'" in " ".join(err.split())
    code, _, _ = annotate(capsys, "next", "--by", "farthest", *words[2:])
    assert code == 0


def test_lines_of_a_person_that_were_taken_back_are_not_exported(folder, capsys):
    lines = [
        {"id": "a", "text": "one", "label": "x", "annotator": "ann", "answer": "accept"},
        {"id": "a", "text": "one", "label": "y", "annotator": "ann", "answer": "accept"},
        {"id": "b", "text": "two", "label": "x", "annotator": "ann", "answer": "accept"},
        {"id": "b", "text": "two", "annotator": "ann", "answer": None},
    ]
    (folder / "ann.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert annotate(capsys, "export", "ann.jsonl", "--format", "prodigy", "--output", "out.jsonl")[0] == 0
    tasks = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [(task["meta"]["id"], task.get("label"), task.get("answer")) for task in tasks] == [("a", "y", "accept"), ("b", None, None)]


def test_rules_mark_spans_that_the_page_and_conll_take(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("news.csv").write_text("id,text\na,Ms. Smith left New York\nb,nothing here\n")
    Path("rules.yaml").write_text("cities: {label: PLACE, words: [New York]}\ntitles: {label: PERSON, pattern: '(?:Ms|Mr)\\. [A-Z]\\w+'}\n")
    assert cli.main(["annotate", "mark", "news.csv", "--rules", "rules.yaml", "--output", "spans.jsonl"]) == 0
    assert "2 spans in 1 of 2 rows, by 2 rules" in capsys.readouterr().err
    first, second = map(json.loads, Path("spans.jsonl").read_text().splitlines())
    assert [(span["text"], span["label"]) for span in first["spans"]] == [("Ms. Smith", "PERSON"), ("New York", "PLACE")]
    assert (first["origin"], second["spans"]) == ("cities, titles", [])
    assert cli.main(["annotate", "export", "spans.jsonl", "--format", "conll", "--output", "tags.conll"]) == 0
    assert "B-PERSON" in Path("tags.conll").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cities: [Paris]\n", "a label and one of words"),
        ("- a\n", "holds no rules"),
        ("a: {label: [", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_rules_that_cannot_be_used_are_one_screen(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("news.csv").write_text("id,text\na,Paris\n")
    if text is not None:
        Path("rules.yaml").write_text(text)
    assert cli.main(["annotate", "mark", "news.csv", "--rules", "rules.yaml", "--output", "spans.jsonl"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("spans.jsonl").exists()
