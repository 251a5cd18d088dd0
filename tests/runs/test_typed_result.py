"""What is read of result.json is typed, whatever an earlier version left out."""

import pytest

from finecomb.core import atomic
from finecomb.runs.directory import RunDirectory
from finecomb.runs.result import RunResult, typed

WRITTEN = {
    "metrics": {"test/accuracy": 0.5, "test/mcc": None},
    "config": {"monitor": {"metric": "accuracy"}, "batch": {"max_length": 16}},
    "training": {"steps": 7},
    "counts": {"rows": {"train": 9}, "label_counts": {"train": {"a": 4, "b": 5}}, "encoded": {}},
    "parameters": {"total": 10, "trainable": 3, "stored_bytes": 12},
    "time": {"train_s": 1.5, "total_s": 2.5},
    "memory": {"peak_bytes": 100},
    "tokens": {"real_per_s": 20.0},
}


def test_each_value_is_found_where_it_was_written():
    result = typed(WRITTEN)
    assert (result.monitored, result.steps, result.max_length) == ("validation/accuracy", 7, 16)
    assert (result.rows, list(result.label_counts["train"])) == ({"train": 9}, ["a", "b"])
    assert (result.total, result.trainable, result.stored_bytes) == (10, 3, 12)
    assert (result.train_s, result.total_s, result.peak_bytes, result.tokens_per_s) == (1.5, 2.5, 100, 20.0)


def test_an_undefined_metric_and_one_that_was_not_measured_are_none():
    result = typed(WRITTEN)
    assert [result.metric(name) for name in ("test/accuracy", "test/mcc", "test/f1_macro")] == [0.5, None, None]


@pytest.mark.parametrize("written", [{}, {"metrics": None, "counts": {}, "config": None, "time": 3}])
def test_what_is_missing_is_none_or_empty(written):
    assert typed(written) == RunResult()


def test_an_unfinished_run_has_no_outcome(tmp_path):
    run = RunDirectory(tmp_path / "it-abc")
    run.path.mkdir()
    assert run.outcome() is None
    atomic.write_json(run.path / "result.json", WRITTEN)
    assert run.outcome() == typed(WRITTEN)
