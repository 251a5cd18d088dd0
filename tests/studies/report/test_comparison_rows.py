"""A comparison claims what its runs allow and no more: rows, differences and warnings."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from finecomb.studies.analysis.scores import value_range
from finecomb.studies.report.comparison import compare

NAMES = ["negative", "positive"]


def first(comparison, metric):
    return comparison.row(comparison.rows[0].label, metric)


def problem(error):
    return " ".join(" ".join([each.what, each.where, each.allowed, each.hint]) for each in error.value.problems)


def test_arms_are_runs_that_differ_in_the_seed_alone_and_their_scores_are_means_over_seeds(make_run, runs):
    made = [make_run("full", seed) for seed in (0, 1, 2)] + [make_run("head", seed, accuracy=0.7) for seed in (0, 1, 2)]
    comparison = compare([runs])
    assert [(row.label, row.seeds) for row in comparison.rows] == [("full", [0, 1, 2]), ("head", [0, 1, 2])]
    recorded = [run.result()["metrics"]["test/accuracy"] for run in made[:3]]
    score = comparison.row("full", "accuracy")
    assert score.value == pytest.approx(np.mean(recorded))
    assert score.std == pytest.approx(np.std(recorded, ddof=1))
    assert score.interval.low < score.value < score.interval.high
    assert comparison.warnings == []
    assert comparison.examples == 300


def test_the_difference_is_to_the_best_row_and_found_only_where_the_corrected_p_is_small(make_run, runs):
    for seed in (0, 1, 2):
        make_run("full", seed, accuracy=0.92)
        make_run("lora", seed, accuracy=0.91)
        make_run("head", seed, accuracy=0.6)
    comparison = compare([runs])
    best = comparison.baselines["accuracy"]
    assert comparison.row(best, "accuracy").difference is None
    assert comparison.rows[0].label == best
    worse = comparison.row("head", "accuracy")
    assert worse.better is False
    assert worse.difference == pytest.approx(worse.value - comparison.row(best, "accuracy").value)
    assert worse.p < 0.05
    close = comparison.row("lora" if best == "full" else "full", "accuracy")
    assert close.better is None
    assert "the choice of the best of 3 rows" in comparison.to_markdown()


def test_a_single_seed_is_beyond_nothing(make_run, runs):
    make_run("full", accuracy=0.92)
    make_run("head", accuracy=0.6)
    worse = compare([runs]).row("head")
    assert worse.difference_interval.excludes(0.0)
    assert (worse.p, worse.better) == (None, None)


def test_predictions_of_one_class_are_compared_and_noted(make_run, runs, truth):
    for seed in (0, 1, 2):
        make_run("full", seed, accuracy=0.92)
        make_run("head", seed, accuracy=0.6)
    answers = {"id": [f"row-{row}" for row in range(300)], "label": [NAMES[each] for each in truth], "prediction": ["positive"] * 300}
    make_run("head", 3, columns=answers)
    comparison = compare([runs], metrics=["mcc"])
    assert comparison.row("head", "mcc").zero_divisions == 1
    assert comparison.baselines["mcc"] == "full"
    assert comparison.row("head", "mcc").p is not None
    assert "head: mcc of 1 of 4 runs is 0 / 0" in comparison.to_markdown()


def test_f1_is_that_of_the_predictions(make_run, runs, truth):
    run = make_run("full", accuracy=0.8)
    import pyarrow.parquet as parquet

    columns = parquet.read_table(run.predictions / "test.parquet").to_pydict()
    score = first(compare([runs]), "f1_macro")
    assert score.value == pytest.approx(f1_score(columns["label"], columns["prediction"], average="macro"))


def test_rows_of_another_order_of_examples_pair_by_id(make_run, runs, truth):
    make_run("full", accuracy=0.9)
    order = np.random.default_rng(0).permutation(300)
    answers = [truth[row] for row in order]
    columns = {
        "id": [f"row-{row}" for row in order],
        "label": [NAMES[each] for each in answers],
        "prediction": [NAMES[each] for each in answers],
    }
    make_run("head", columns=columns)
    assert compare([runs]).row("head").value == 1.0


def test_one_seed_has_no_measured_deviation_and_several_do(make_run, runs):
    make_run("full")
    make_run("head", 0)
    make_run("head", 1)
    comparison = compare([runs])
    assert comparison.row("full", "accuracy").std is None
    assert comparison.row("head", "accuracy").std is not None
    assert "not measured" in comparison.to_markdown()
    assert any("different seeds: full: 0; head: 0, 1" in warning for warning in comparison.warnings)


def test_unfinished_runs_are_shown_and_not_averaged(make_run, runs):
    make_run("full", 0)
    make_run("full", 1, finished=False)
    make_run("head", 0, finished=False)
    comparison = compare([runs])
    assert comparison.row("full").seeds == [0]
    assert comparison.row("head").value is None
    warnings = " ".join(comparison.warnings)
    assert "full: seeds 1 are missing (seed 1 is created); its numbers are of 1 seeds" in warnings
    assert "head: seeds 0 are missing (seed 0 is created)" in warnings
    assert "| head | not measured |" in comparison.to_markdown()


def test_a_run_restarted_in_smaller_pieces_is_reported(make_run, runs):
    make_run("full", 0)
    run = make_run("full", 1)
    run.freeze(run.config, replace(run.record, pieces=4))
    (warning,) = compare([runs]).warnings
    assert warning.startswith(f"{run.path.name} was computed in 4 micro-batches instead of 1 after running out of memory")
    assert "with dropout, its steps differ" in warning


def test_other_training_data_and_other_code_are_stated(make_run, runs):
    make_run("full")
    make_run("full", data="other data", dataset__limit={"train": 100})
    make_run("head", commit="bad5eed")
    comparison = compare([runs])
    warnings = "\n".join(comparison.warnings)
    assert "trained on different data" in warnings
    assert "different code (c0ffee: 2 runs, bad5eed: 1 runs)" in warnings
    assert {row.label for row in comparison.rows} == {"full dataset.limit.train=100", "full dataset.limit.train=200", "head"}


def test_a_seed_that_was_run_twice_counts_once(make_run, runs, tmp_path):
    make_run("full", folder=tmp_path / "runs")
    time.sleep(0.01)
    later = make_run("full", accuracy=0.5, folder=tmp_path / "later")
    comparison = compare([runs, str(tmp_path / "later")])
    assert [run.path for run in comparison.rows[0].runs] == [later.path]
    assert "run more than once" in comparison.warnings[0]


def test_what_cannot_change_a_result_sets_no_arms_apart_and_what_can_is_in_the_label(make_run, runs):
    make_run("full", 0)
    make_run("full", 1, trainer__num_workers=4, output_dir="elsewhere", name="mine")
    make_run("lora", 0)
    make_run("lora", 0, tuning__r=4)
    comparison = compare([runs])
    assert {(row.label, len(row.runs)) for row in comparison.rows} == {("full", 2), ("lora tuning.r=4", 1), ("lora tuning.r=8", 1)}


def test_predictions_that_do_not_give_the_recorded_metric_are_stated(make_run, runs):
    make_run("full", metrics={"accuracy": 0.123})
    assert "the runs recorded 0.123" in compare([runs]).warnings[0]


def test_without_test_predictions_the_numbers_are_called_validation(make_run, runs):
    make_run("full", split="validation")
    comparison = compare([runs])
    assert comparison.split == "validation"
    assert "validation numbers" in comparison.notes[1]


def test_a_run_without_test_predictions_is_named_beside_those_that_have_them(make_run, runs):
    make_run("full")
    make_run("head", split="validation", evaluate={"test": False})
    assert "head: seeds 0 are missing (seed 0 has no test predictions)" in compare([runs]).warnings[0]


def test_paths_may_be_runs_folders_or_a_sweeps_record(make_run, runs, tmp_path):
    first, second = make_run("full"), make_run("head")
    make_run("lora")
    assert [row.label for row in compare([str(first.path)]).rows] == ["full"]
    record = Path(runs) / "sweeps" / "a1b2.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"runs": [first.path.name, str(second.path)]}))
    assert {row.label for row in compare([str(record)]).rows} == {"full", "head"}
    assert len(compare([runs, str(first.path)]).rows) == 3


def test_regression_is_compared_by_correlation_and_a_constant_is_undefined(make_run, runs):
    generator = np.random.default_rng(0)
    label = np.round(generator.random(100) * 5, 1)
    task = {"task": {"name": "regression"}}
    ids = [f"row-{row}" for row in range(100)]
    answers = label + generator.normal(size=100)
    for seed in (0, 1):
        make_run("full", seed, columns={"id": ids, "label": label, "prediction": answers}, **task)
        make_run("head", seed, columns={"id": ids, "label": label, "prediction": np.full(100, 2.5)}, **task)
    comparison = compare([runs])
    assert (comparison.baselines["pearson"], comparison.row("head", "pearson").p) == ("full", None)
    assert comparison.metrics == ["pearson", "spearman"]
    assert first(comparison, "spearman").value == pytest.approx(stats.spearmanr(label, answers).statistic)
    assert np.isnan(comparison.row("head", "pearson").value)
    assert "undefined" in comparison.to_markdown()
    by_error = compare([runs], metrics=["rmse"], baseline="head")
    assert by_error.baselines == {"rmse": "head"}
    assert first(by_error, "rmse").better is True


def test_an_interval_without_width_is_not_sold_as_certainty(make_run, runs):
    make_run("full", accuracy=1.0)
    assert any("full: an interval without width" in note and "1.0%" in note for note in compare([runs]).notes)


def test_label_sets_are_scored_by_class(make_run, runs):
    sets = [["a", "b"], ["b"], [], ["a"]] * 10
    guess = [["a"], ["b"], ["a"], ["a"]] * 10
    columns = {"id": [str(row) for row in range(40)], "label": sets, "prediction": guess}
    make_run("full", columns=columns, task={"name": "sequence_classification", "multi_label": True}, label_names=["a", "b"])
    expected = f1_score([[int("a" in s), int("b" in s)] for s in sets], [[int("a" in s), int("b" in s)] for s in guess], average="macro")
    assert first(compare([runs]), "f1_macro").value == pytest.approx(expected)


def test_rows_by_a_key_average_over_what_every_row_has_and_leave_the_rest_out(make_run, runs):
    for seed in (0, 1):
        for epochs in (1, 2):
            make_run("full", seed, accuracy=0.9, trainer__max_epochs=epochs)
            make_run("head", seed, accuracy=0.7, trainer__max_epochs=epochs)
    make_run("full", 2, accuracy=0.5, trainer__max_epochs=1)  # no counterpart
    table = compare([runs], by="tuning")
    assert [row.label for row in table.rows] == ["tuning=full", "tuning=head"]
    assert [sorted(run.seed for run in row.runs) for row in table.rows] == [[0, 0, 1, 1]] * 2
    assert first(table, "accuracy").value > 0.85
    assert any("rows are averages over 2 settings of trainer.max_epochs" in line for line in table.warnings)
    assert any("tuning=full: 1 runs have no counterpart" in line for line in table.warnings)
    # The learning rate goes with the method here, and is no reason against a row for each method.
    assert {run.config["optimizer"]["lr"] for row in table.rows for run in row.runs} == {5e-5, 1e-3}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", (0, 1)), ("f1_macro", (0, 1)), ("mcc", (-1, 1)), ("rmse", (0, math.inf)), ("of_a_plugin", (-math.inf, math.inf))],
)
def test_a_metric_has_a_range(metric, expected):
    assert value_range(metric) == expected


def test_an_interval_ends_where_the_metric_does(make_run, runs):
    make_run(columns={"id": list("abcde"), "label": ["negative"] * 3 + ["positive"] * 2, "prediction": ["negative"] * 4 + ["positive"]})
    row = compare([runs], metrics=["accuracy"]).rows[0]
    assert row.value == 0.8
    assert 0 <= row.interval.low < 0.8
    assert row.interval.high == 1
