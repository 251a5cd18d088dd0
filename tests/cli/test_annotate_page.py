"""The page of `finecomb annotate serve`, used in a browser by keyboard; its answers train a model."""

import csv
import json
import os
import signal
import subprocess
import sys

import pytest
from browser import CHROMIUM, Browser

from finecomb import cli

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
HEBREW = "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u05d8\u05d5\u05d1"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FINECOMB_OFFLINE", "1")
    return tmp_path


class Served:
    """A session in a process of its own, as a person starts it."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "finecomb", "annotate", "serve", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background may have it ignored
        )  # fmt: skip
        self.address = self.process.stdout.readline().strip()

    def __enter__(self):
        assert self.address.startswith("http://127.0.0.1:"), self.process.stderr.read()
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGINT)
        self.out, self.err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_twenty_rows_labeled_by_keys_train_a_model(folder):
    texts = [f"{'a fine' if row % 3 else 'a poor'} film, number {row} \U0001f600" for row in range(20)]
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text"], *([f"r{row}", text] for row, text in enumerate(texts))])
    words = ["rows.csv", "--labels", "poor,fine", "--annotator", "ann", "--output", "labels"]
    with Served(*words) as served, Browser(folder / "profile") as page:
        page.open(served.address)
        for row in range(12):
            page.until(f"document.getElementById('place').textContent === 'row {row + 1} of 20'")
            shown = page.text("text")
            assert shown == texts[row]
            if row == 4:  # skipped by mistake, and taken back
                page.press("s")
                page.until("document.getElementById('place').textContent === 'row 6 of 20'")
                page.press("u")
                page.until("document.getElementById('place').textContent === 'row 5 of 20'")
            page.press("1" if "poor" in shown else "2")
        page.until("document.getElementById('progress').textContent === '12 of 20 answered'")
    assert served.err.splitlines()[-1] == "12 of 20 rows are answered"
    with Served(*words) as served, Browser(folder / "profile2") as page:
        page.open(served.address)
        # It goes on where it was; k goes back, and another answer takes the place of the first.
        page.until("document.getElementById('place').textContent === 'row 13 of 20'")
        page.press("k")
        page.until("document.getElementById('said').textContent === '· answered'")
        page.press("j")
        page.until("document.getElementById('place').textContent === 'row 13 of 20'")
        for row in range(12, 20):
            # As fast as a person can: keys are kept in order while an answer is on its way.
            page.press("1" if "poor" in texts[row] else "2")
        page.until("document.getElementById('progress').textContent === '20 of 20 answered'")
        page.until("document.getElementById('text').textContent.startsWith('Every row is answered')")
        assert page.errors == []
    kept = lines(folder / "labels" / "ann.jsonl")
    assert len(kept) == 22  # twenty answers, a skip, and that it was taken back
    assert [each["answer"] for each in kept[4:7]] == ["ignore", None, "accept"]
    assert cli.main(["annotate", "import", "labels/ann.jsonl", "--format", "jsonl", "--output", "labels.csv"]) == 0
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["text"], row["label"]) for row in rows] == [
        (f"r{row}", text, "poor" if "poor" in text else "fine") for row, text in enumerate(texts)
    ]
    assert {(row["annotator"], row["origin"]) for row in rows} == {("ann", "hand")}
    train = [
        "dataset=files",
        "dataset.files.train=labels.csv",
        "dataset.columns.id=id",
        "model=tiny",
        "trainer.max_steps=2",
        "logger=none",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "finecomb", "train", *train, "trainer=cpu", "batch.size=4"], capture_output=True, text=True, timeout=400,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / done.stdout.splitlines()[-1] / "result.json").read_text())
    assert result["metrics"]["test/accuracy"] is not None
    # The run says which rows to label next, and the queue is what the page takes.
    (folder / "more.csv").write_text("text\n" + "".join(f"another film {row}\n" for row in range(6)))
    run = done.stdout.splitlines()[-1]
    assert cli.main(["annotate", "next", run, "--rows", "more.csv", "--k", "3", "--output", "queue.jsonl"]) == 0
    queue = lines(folder / "queue.jsonl")
    assert len({each["id"] for each in queue}) == 3
    assert all(each["label"] in ("poor", "fine") and each["origin"] in run and "answer" not in each for each in queue)
    assert [each["confidence"] for each in queue] == sorted(each["confidence"] for each in queue)


def test_spans_by_keys_and_mouse_are_code_points_in_any_script(folder):
    texts = ["\U0001f600\U0001f600 Ann met Bob\r\nin Paris", HEBREW, "e\u0301te\u0301 \U0001f468\u200d\U0001f692 fin"]
    (folder / "rows.jsonl").write_text("".join(json.dumps({"id": f"r{row}", "text": text}) + "\n" for row, text in enumerate(texts)))
    with (
        Served("rows.jsonl", "--spans", "PER,LOC", "--annotator", "bob", "--output", "spans") as served,
        Browser(folder / "profile") as page,
    ):
        page.open(served.address)
        page.until("document.getElementById('place').textContent === 'row 1 of 3'")
        assert page.text("text") == texts[0]
        while page.evaluate("document.querySelector('.at')?.textContent") != "Ann":
            page.press("ArrowRight")
        page.press("1")
        page.press("ArrowRight")
        page.press("ArrowRight")
        page.press("1")
        # The mouse takes Paris with the white space before it, and half of nothing.
        page.evaluate(
            """(() => { const last = [...document.querySelectorAll('#text > *')].pop().firstChild, at = last.textContent.indexOf(' Paris');
            getSelection().setBaseAndExtent(last, at, last, last.textContent.length); })()"""
        )
        page.until("!document.querySelector('#spans button').disabled")
        page.press("2")
        page.until("document.querySelectorAll('#marked li').length === 3")
        page.press("Enter")
        page.until("document.getElementById('place').textContent === 'row 2 of 3'")
        # From right to left the left arrow goes on, and Shift takes the next word too.
        assert page.evaluate("getComputedStyle(document.getElementById('text')).direction") == "rtl"
        page.press("ArrowLeft")
        page.press("ArrowLeft")
        page.press("ArrowLeft")
        assert page.evaluate("document.querySelector('.at').textContent") == HEBREW.split()[2]
        page.press("ArrowRight", shift=True)
        page.press("2")
        page.press("1")  # nothing is picked any more: nothing happens
        page.press("Enter")
        page.until("document.getElementById('place').textContent === 'row 3 of 3'")
        page.press("ArrowRight")
        page.press("ArrowRight")
        page.press("1")
        page.press("ArrowLeft")
        page.press("2")
        page.press("x")  # the last of the spans goes again
        page.press("Enter")
        page.until("document.getElementById('progress').textContent === '3 of 3 answered'")
        assert page.errors == []
    answers = lines(folder / "spans" / "bob.jsonl")
    kept = {each["id"]: [(each["text"][span["start"] : span["end"]], span["label"]) for span in each["spans"]] for each in answers}
    assert kept == {
        "r0": [("Ann", "PER"), ("Bob", "PER"), ("Paris", "LOC")],
        "r1": [(HEBREW[5:], "LOC")],
        "r2": [("e\u0301te\u0301", "LOC")],
    }
