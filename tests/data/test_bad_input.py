"""What is wrong with one's files is told on one screen, with the place and the way out; nothing but cache is left behind."""

import dataclasses
import errno
import gzip
import io
import time

import pyarrow
import pyarrow.parquet
import pytest
from data_configs import clean, make_cleaner, make_dataset, rows

from finecomb.config.schema.cleaner import Cleaner
from finecomb.core.errors import ConfigError
from finecomb.data import cleaner
from finecomb.data.cleaner import repeats
from finecomb.data.dataset.rows import Rows
from finecomb.data.prepare import prepare


def csv_of(items):
    return "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in items)


def parquet_of(items):
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(items), buffer)
    return buffer.getvalue()


GOOD = csv_of(rows(40))
REGRESSION = {"task": "regression"}
STRICT = {"strict": True}
MULTI = {"task": "sequence_classification multi_label"}

# name of the file, its content, options, what the message says, and where.
CASES = {
    "wrong column": ("a.csv", GOOD.replace("text,", "sentence,"), {"columns": {"text": "sentense"}}, "no column 'sentense'", "columns"),
    "wrong separator": ("a.csv", GOOD.replace(",", ";"), {}, "its cells seem to be separated by ';'", "a.csv"),
    "tabs in CSV": ("a.csv", GOOD.replace(",", "\t"), {}, "its cells seem to be separated by '\\t'", "a.csv"),
    "no label column named": ("a.csv", GOOD, {"columns": {"label": None}}, "no column is named as the label", "label=null"),
    "text of numbers": ("a.csv", "text,label\n" + "".join(f"{n},a\n" for n in range(9)), {}, "holds numbers, not text", "line 2"),
    "text of numbers in parquet": ("a.parquet", parquet_of([{"text": 1, "label": "a"}]), {}, "holds int, not text", "row 1"),
    "broken JSON": ("a.jsonl", '{"text": "a", "label": "b"}\n{"text": \n', {}, "broken JSON", "a.jsonl, line 2"),
    "JSON that is no object": ("a.jsonl", '{"text": "a", "label": "b"}\n[1]\n', {}, "a JSON object is expected", "line 2"),
    "broken JSON array": ("a.json", '[{"text": "a"},\n{"text" 1}]', {}, "broken JSON", "a.json, line 2"),
    "wrong encoding": ("a.csv", GOOD.encode() + "café,good\n".encode("latin-1"), STRICT, "byte 0xe9 is not utf-8", "line 42"),
    "UTF-16": ("a.csv", GOOD.encode("utf-16"), {}, "looks like utf-16", "line 1"),
    "unknown encoding": ("a.csv", GOOD, {"encoding": "utf-9"}, "unknown encoding", "dataset.encoding"),
    "NUL bytes": ("a.csv", GOOD.encode() + b"x\0y,good\n", STRICT, "a NUL byte", "line 42"),
    "empty file": ("a.csv", "", {}, "a.csv is empty", "a.csv"),
    "header alone": ("a.csv", "text,label\n", {}, "holds no row", "dataset.files.train"),
    "ragged CSV": ("a.csv", GOOD + "one,two,three\n", STRICT, "another number of cells", "line 42"),
    "ragged TSV": ("a.tsv", GOOD.replace(",", "\t") + "one\n", STRICT, "another number of cells", "line 42"),
    "broken quoting": ("a.csv", GOOD + '"open,good\n', STRICT, "broken quoting", "line 42"),
    "no number": ("a.csv", GOOD + "x,3.5\n", REGRESSION, "'bad' is not a number", "line 2"),
    "not finite": ("a.csv", "text,label\n" + "a b,1\nb c,nan\n" * 9, REGRESSION, "'nan' is not a number", "line 3"),
    "missing label": ("a.csv", GOOD + "something,\n", STRICT, "1 of 41 rows: the label is missing", "line 42"),
    "missing number": ("a.jsonl", [{"text": "a b", "label": 1}, {"text": "c"}], REGRESSION, "1 of 2 rows: the label is missing", "line 2"),
    "broken label list": ("a.csv", 'text,label\nabc,"[1,"\n', MULTI, "is not labels separated", "line 2"),
    "one class": ("a.csv", csv_of(rows(9, ("a",))), {}, "the only label in train is 'a'", "a.csv"),
    "unnamed label": ("a.csv", GOOD, {"label_names": ["goood", "bad"]}, "label 'good' is not in dataset.label_names", "20 rows of train"),
    "two columns of one name": ("a.csv", "text,label,text\na,b,c\n", {}, "two columns have the same name: text", "a.csv"),
    "ids twice": ("a.csv", GOOD, {"columns": {"id": "label"}}, "occurs more than once", "line"),
    "id missing": ("a.jsonl", [{"text": "a", "label": "b", "key": None}], {"columns": {"id": "key"}}, "an id is missing", "line 1"),
    "unknown suffix": ("a.xlsx", GOOD, {}, "cannot tell the format", "a.xlsx"),
    "cut short": ("a.csv.gz", gzip.compress(GOOD.encode())[:-20], STRICT, "cannot read a.csv.gz", "a.csv.gz"),
    "no parquet": ("a.parquet", GOOD, {}, "not a readable parquet file", "a.parquet"),
    "no arrow": ("a.arrow", GOOD, {}, "not a readable arrow file", "a.arrow"),
    "text without labels": ("a.txt", "just a line\n", {}, "no column 'label'", "dataset.columns.label"),
    "half a surrogate": ("a.jsonl", '{"text": "\\ud800", "label": "a"}', {}, "half of a surrogate pair", "line 1"),
    "nothing left": ("a.csv", "text,label\n ,a\n  ,b\n", {}, "no row is left in train", "a.csv"),
    "too few rows": ("a.csv", csv_of(rows(3)), {}, "no row would be left for", "shares"),
    "no validation": ("a.csv", GOOD, {"split": {"validation": 0.0}}, "there would be no validation rows", "dataset.split.validation"),
    "too few groups": ("a.csv", GOOD, {"columns": {"group": "label"}}, "in 2 groups", "shares"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_message_names_fault_and_place(prepared, write, cache, case):
    name, content, options, what, where = CASES[case]
    with pytest.raises(ConfigError) as caught:
        prepared(write(name, content), **options)
    problem = caught.value.problems[0]
    assert what in problem.what
    assert where in problem.where
    assert problem.allowed or problem.hint or "empty" in what or "no row" in what or case == "half a surrogate"
    assert not list(cache.glob("prepared/*"))


def test_missing_files_are_told_at_once_with_their_neighbours(prepared, write):
    write("reviews.csv", GOOD)
    path = write("test.csv", GOOD).parent
    with pytest.raises(ConfigError) as caught:
        prepared(path / "review.csv", test=path / "tset.csv")
    assert [problem.where for problem in caught.value.problems] == ["dataset.files.train", "dataset.files.test"]
    assert "reviews.csv" in caught.value.problems[0].allowed
    assert "test.csv" in caught.value.problems[1].allowed


def test_a_label_that_train_lacks_names_file_and_rows(prepared, write):
    test = write("test.csv", csv_of([*rows(6, start=100), {"text": "odd one", "label": "goood"}, {"text": "odd two", "label": "goood"}]))
    with pytest.raises(ConfigError, match="label 'goood' stands in test but not in train") as caught:
        prepared(write("train.csv", GOOD), test=test)
    problem = caught.value.problems[0]
    assert "2 rows of test" in problem.where
    assert "test.csv, line 8" in problem.where
    assert "bad, good" in problem.allowed


def test_problems_of_all_files_come_together(prepared, write):
    with pytest.raises(ConfigError) as caught:
        prepared(write("train.csv", GOOD), test=write("test.csv", "body,label\nabc,good\n"), columns={"text": "txt"})
    assert len(caught.value.problems) == 2


def test_a_test_split_emptied_by_the_cleaner_is_told(prepared, write):
    every = dataclasses.replace(make_cleaner(), keep_given_test=False)
    with pytest.raises(ConfigError, match="no row is left in test"):
        prepared(write("train.csv", GOOD), test=write("test.csv", 'text,label\n" ",good\n'), cleaner=every)


def test_a_full_disk_leaves_nothing_and_says_where(prepared, write, cache, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.OSFile", full)
    with pytest.raises(ConfigError, match=r"the disk is full: about .* needed") as caught:
        prepared(write("a.csv", GOOD))
    assert str(cache) in caught.value.problems[0].where
    assert not list(cache.glob("prepared/*"))
    assert not list(cache.glob("staging/*"))


def test_a_task_the_labels_do_not_serve():
    dataset = make_dataset("movie_reviews")
    with pytest.raises(ConfigError, match="labels of dataset=movie_reviews are of kind 'class'"):
        prepare(dataset, make_cleaner(), task_variant="regression")


def test_a_folder_that_nobody_prepared(tmp_path):
    with pytest.raises(ConfigError, match="is not a prepared dataset"):
        prepare(make_dataset("prepared", path=str(tmp_path)), make_cleaner(), task_variant="regression")
    with pytest.raises(ConfigError, match="needs a folder"):
        prepare(make_dataset("prepared"), make_cleaner(), task_variant="regression")
    with pytest.raises(ConfigError, match="no such file or folder"):
        prepare(make_dataset("prepared", path=str(tmp_path / "nothing")), make_cleaner(), task_variant="regression")


@pytest.mark.parametrize(
    "text",
    [
        "<!--" * 20_000,
        "<script>" * 20_000 + "</script",
        "<a " * 20_000,
        "." * 50_000 + "x",
        " " * 50_000 + "x",
        "a\n " * 20_000,
        "-" * 50_000 + "1",
    ],
    ids=lambda text: repr(text[:8]),
)
def test_no_text_is_slow_to_clean(text):
    """Patterns whose time is the square of a run's length would need minutes here."""
    steps = {
        "html": {}, "controls": {}, "whitespace": {"collapse": True}, "placeholders": {"url": "[URL]", "number": "[NUMBER]"},
        "personal_data": {"email": True, "ip": True, "phone": True, "card": True, "placeholder": "[{kind}]"},
    }  # fmt: skip
    started = time.process_time()
    clean(cleaner.build(Cleaner("own", steps, False)), {"train": Rows(["0"], [text], None, ["x"], None, [1], "file")})
    for pattern in (repeats._SENTENCE, repeats._PARAGRAPH, repeats._LINE):
        assert sum(1 for _ in pattern.finditer(text)) < len(text)
    assert time.process_time() - started < 5
