"""The live table: validation metric and time left of running jobs, as far as they are known."""

import io
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from jobs import job

from finecomb.launch import progress
from finecomb.launch.attempt import Attempt
from finecomb.launch.outcome import Outcome
from finecomb.launch.progress import LiveTable, Pace, progress_text


class Waiting:
    """A worker of which the backend reports that it waits."""

    def __init__(self):
        self.started = time.monotonic()

    def note(self):
        return "PENDING (Priority)"


@pytest.fixture
def attempt(tmp_path):
    return Attempt(0, job(tmp_path), Waiting(), [])


def test_the_last_validation_is_shown_after_further_training_steps(attempt):
    run = attempt.job.run
    assert attempt.progress() == "PENDING (Priority)"
    run.write_progress(step=10, steps=200, stage="training")
    run.append_metrics({"step": 10, "train/loss": 0.5})
    attempt.new_lines()
    assert attempt.progress() == "training  step 10 of 200  train/loss 0.5"
    run.append_metrics({"step": 20, "validation/accuracy": 0.75, "validation/loss": 0.4})
    run.append_metrics({"step": 30, "train/loss": 0.3})
    attempt.new_lines()
    run.write_progress(step=30, steps=200, stage="training")
    assert attempt.progress() == "training  step 30 of 200  validation/accuracy 0.75"
    run.append_metrics({"step": 40, "validation/accuracy": None})  # undefined: no number is made up
    run.append_metrics({"step": 40, "train/loss": 0.2})
    attempt.new_lines()
    assert "validation" not in attempt.progress()


def test_the_time_left_follows_from_the_steps_of_this_attempt():
    pace = Pace()
    assert pace.left(1000, 2000, 50.0) is None  # a resumed run: nothing is known of its speed yet
    assert pace.left(1000, 2000, 60.0) is None
    assert pace.left(1001, 2000, 52.0) is None  # too little to judge by
    assert pace.left(1100, 2000, 70.0) == pytest.approx(900 * 20 / 100)
    assert pace.left(1100, 2000, 75.0) == pytest.approx(900 * 20 / 100)


def test_no_time_is_shown_where_the_steps_are_unknown_or_done(attempt):
    run, pace = attempt.job.run, Pace()
    pace.left(10, 200, time.monotonic() - 40)
    for values in ({"step": 110, "stage": "training"}, {"step": 200, "steps": 200, "stage": "evaluation"}, {"stage": "training"}, {}):
        run.write_progress(**values)
        assert "left" not in progress_text(run, pace, "validation/accuracy", 0.5)
    run.write_progress(step=110, steps=200, stage="training")
    assert progress_text(run, pace, "validation/accuracy", 0.5).endswith("validation/accuracy 0.5  about 36.0 s left")


def test_the_table_shows_what_runs_and_counts_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "REDRAW", 0.0)
    output = io.StringIO()
    frozen = job(tmp_path)
    with LiveTable(3, show=True, console=Console(file=output, force_terminal=True, width=120, highlight=False)) as table:
        table.started(0, "lr=0.1", [])
        table.started(1, "lr=0.2", ["resumed", "another machine"])
        table.refresh([(0, lambda: "step 5 of 10  validation/accuracy 0.75"), (1, lambda: "")])
        shown = output.getvalue()
        table.ended(0, "lr=0.1", Outcome(frozen.run, "failed", error="no luck"))
    for text in ("0 of 3 finished", "step 5 of 10  validation/accuracy 0.75", "resumed", "1 more", "another machine"):
        assert text in shown
    assert "1/3 lr=0.1: failed no luck" in output.getvalue()


def test_without_a_terminal_only_lines_are_printed():
    output = io.StringIO()
    with LiveTable(1, show=True, console=Console(file=output)) as table:
        table.started(0, "lr=0.1", [])
        table.refresh([(0, lambda: pytest.fail("nobody sees it"))])
        table.note(0, "lr=0.1", "out of memory: again")
    assert output.getvalue() == "… lr=0.1: out of memory: again\n"
