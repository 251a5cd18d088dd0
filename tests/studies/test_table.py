"""A table says what its runs allow and no more: rows, differences, warnings and refusals."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from finecomb import cli
from finecomb.core.errors import ConfigError
from finecomb.studies.report import verify
from finecomb.studies.report.comparison import compare, render
from finecomb.studies.report.render import markdown

NAMES = ["negative", "positive"]


def row_of(comparison, label):
    return next(row for row in comparison.rows if row.label == label)


def problem(error):
    return " ".join(" ".join([each.what, each.where, each.allowed, each.hint]) for each in error.value.problems)


def test_arms_are_runs_that_differ_in_the_seed_alone_and_their_scores_are_means_over_seeds(make_run, runs):
    made = [make_run("full", seed) for seed in (0, 1, 2)] + [make_run("head", seed, accuracy=0.7) for seed in (0, 1, 2)]
    comparison = compare([runs])
    assert [(row.label, row.seeds) for row in comparison.rows] == [("full", [0, 1, 2]), ("head", [0, 1, 2])]
    recorded = [run.result()["metrics"]["test/accuracy"] for run in made[:3]]
    score = row_of(comparison, "full").scores["accuracy"]
    assert score.value == pytest.approx(np.mean(recorded))
    assert score.spread.deviation == pytest.approx(np.std(recorded, ddof=1))
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
    assert row_of(comparison, best).scores["accuracy"].difference is None
    assert comparison.rows[0].label == best
    worse = row_of(comparison, "head").scores["accuracy"]
    assert worse.better is False
    assert worse.difference == pytest.approx(worse.value - row_of(comparison, best).scores["accuracy"].value)
    assert worse.p < 0.05
    close = row_of(comparison, "lora" if best == "full" else "full").scores["accuracy"]
    assert close.better is None
    assert "the choice of the best of 3 rows" in markdown(comparison)


def test_a_single_seed_is_beyond_nothing(make_run, runs):
    make_run("full", accuracy=0.92)
    make_run("head", accuracy=0.6)
    worse = row_of(compare([runs]), "head").scores["accuracy"]
    assert worse.difference_interval.excludes(0.0)
    assert (worse.p, worse.better) == (None, None)


def test_predictions_of_one_class_are_compared_and_noted(make_run, runs, truth):
    for seed in (0, 1, 2):
        make_run("full", seed, accuracy=0.92)
        make_run("head", seed, accuracy=0.6)
    answers = {"id": [f"row-{row}" for row in range(300)], "label": [NAMES[each] for each in truth], "prediction": ["positive"] * 300}
    make_run("head", 3, columns=answers)
    comparison = compare([runs], metrics=["mcc"])
    assert row_of(comparison, "head").scores["mcc"].zero_divisions == 1
    assert comparison.baselines["mcc"] == "full"
    assert row_of(comparison, "head").scores["mcc"].p is not None
    assert "head: mcc of 1 of 4 runs is 0 / 0" in markdown(comparison)


def test_f1_is_that_of_the_predictions(make_run, runs, truth):
    run = make_run("full", accuracy=0.8)
    import pyarrow.parquet as parquet

    columns = parquet.read_table(run.predictions / "test.parquet").to_pydict()
    score = compare([runs]).rows[0].scores["f1_macro"]
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
    assert row_of(compare([runs]), "head").scores["accuracy"].value == 1.0


def test_one_seed_has_no_measured_deviation_and_several_do(make_run, runs):
    make_run("full")
    make_run("head", 0)
    make_run("head", 1)
    comparison = compare([runs])
    assert row_of(comparison, "full").scores["accuracy"].spread.deviation is None
    assert row_of(comparison, "head").scores["accuracy"].spread.deviation is not None
    assert "not measured" in markdown(comparison)
    assert any("different seeds (full: 0; head: 0, 1)" in warning for warning in comparison.warnings)


def test_unfinished_runs_are_shown_and_not_averaged(make_run, runs):
    make_run("full", 0)
    make_run("full", 1, finished=False)
    make_run("head", 0, finished=False)
    comparison = compare([runs])
    assert row_of(comparison, "full").seeds == [0]
    assert row_of(comparison, "head").scores == {}
    told = " ".join(comparison.warnings)
    assert "full: seed 1 is created and not in the numbers" in told
    assert "head: seed 0 is created" in told
    assert "| head | not measured |" in markdown(comparison)


def test_a_run_restarted_in_smaller_pieces_is_reported(make_run, runs):
    make_run("full", 0)
    run = make_run("full", 1)
    run.freeze(run.config, run.record | {"pieces": 4})
    (warning,) = compare([runs]).warnings
    assert warning.startswith(f"full: {run.path.name} was computed in 4 micro-batches instead of 1 after running out of memory")
    assert "with dropout, its steps differ" in warning


def test_nothing_finished_is_the_users_error(make_run, runs):
    make_run("full", finished=False)
    with pytest.raises(ConfigError) as error:
        compare([runs])
    assert "nothing to compare yet" in problem(error)


def test_other_test_examples_or_labels_are_refused(make_run, runs, truth):
    make_run("full")
    columns = {"id": [f"row-{row}" for row in range(300)], "label": [NAMES[1 - each] for each in truth], "prediction": ["positive"] * 300}
    make_run("head", columns=columns)
    with pytest.raises(ConfigError) as error:
        compare([runs])
    assert "not evaluated on the same test examples" in problem(error)
    assert "full: 300 examples" in problem(error)


def test_other_training_data_and_other_code_are_told(make_run, runs):
    make_run("full")
    make_run("full", data="other data", dataset__limit={"train": 100})
    make_run("head", commit="bad5eed")
    comparison = compare([runs])
    told = "\n".join(comparison.warnings)
    assert "trained on different data" in told
    assert "code: c0ffee -> bad5eed" in told or "code: bad5eed -> c0ffee" in told
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


def test_predictions_that_do_not_give_the_recorded_metric_are_told(make_run, runs):
    make_run("full", metrics={"accuracy": 0.123})
    assert "the runs recorded 0.123" in compare([runs]).warnings[0]


def test_without_test_predictions_the_numbers_are_called_validation(make_run, runs):
    make_run("full", split="validation")
    comparison = compare([runs])
    assert comparison.split == "validation"
    assert "validation numbers" in comparison.notes[0]


def test_a_run_without_test_predictions_is_told_beside_those_that_have_them(make_run, runs):
    make_run("full")
    make_run("head", split="validation", evaluate={"test": False})
    assert "head: seed 0 has no test predictions" in compare([runs]).warnings[0]


def test_paths_may_be_runs_folders_or_a_sweeps_record(make_run, runs, tmp_path):
    first, second = make_run("full"), make_run("head")
    make_run("lora")
    assert [row.label for row in compare([str(first.path)]).rows] == ["full"]
    record = Path(runs) / "sweeps" / "a1b2.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"runs": [first.path.name, str(second.path)]}))
    assert {row.label for row in compare([str(record)]).rows} == {"full", "head"}
    assert len(compare([runs, str(first.path)]).rows) == 3


def test_bad_paths_metrics_rows_and_outputs_are_the_users_errors_with_the_nearest_name(make_run, runs, tmp_path):
    run = make_run("full")
    for arguments, words in [
        (([runs + "x"], {}), "did you mean"),
        (([str(tmp_path)], {}), "holds no run directories"),
        (([], {}), "nothing to compare"),
        (([str(run.path)[:-1]], {}), run.path.name),
        (([runs], {"metrics": ["f1_macr"]}), "did you mean f1_macro"),
        (([runs], {"metrics": ["pearson"]}), "accuracy"),
        (([runs], {"baseline": "ful"}), "did you mean full"),
        (([runs], {"references": ["majorty"]}), "did you mean majority"),
        (([runs], {"output": tmp_path / "table.xlsx"}), ".csv"),
        (([runs], {"output": tmp_path / "no" / "table.md"}), "there is no folder"),
    ]:
        with pytest.raises(ConfigError) as error:
            compare(arguments[0], **arguments[1])
        assert words in problem(error)


def test_a_broken_predictions_file_is_named(make_run, runs):
    run = make_run("full")
    (run.predictions / "test.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(ConfigError) as error:
        compare([runs])
    assert "test.parquet" in problem(error)


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
    assert (comparison.baselines["pearson"], row_of(comparison, "head").scores["pearson"].p) == ("full", None)
    assert comparison.metrics == ["pearson", "spearman"]
    assert comparison.rows[0].scores["spearman"].value == pytest.approx(stats.spearmanr(label, answers).statistic)
    assert np.isnan(row_of(comparison, "head").scores["pearson"].value)
    assert "undefined" in markdown(comparison)
    by_error = compare([runs], metrics=["rmse"], baseline="head")
    assert by_error.baselines == {"rmse": "head"}
    assert by_error.rows[0].scores["rmse"].better is True


def test_an_interval_without_width_is_not_sold_as_certainty(make_run, runs):
    make_run("full", accuracy=1.0)
    assert any("full: an interval without width" in note and "1.0%" in note for note in compare([runs]).notes)


def test_a_run_in_the_usual_folder_may_be_named_by_its_fingerprint(make_run, runs, tmp_path, monkeypatch):
    run = make_run("full")
    monkeypatch.chdir(tmp_path)
    assert compare([run.fingerprint]).rows[0].runs[0].path.resolve() == run.path.resolve()


def test_runs_of_different_tasks_are_refused(make_run, runs):
    make_run("full")
    make_run("full", columns={"id": ["a"], "label": [1.0], "prediction": [1.0]}, task={"name": "regression"})
    with pytest.raises(ConfigError) as error:
        compare([runs])
    assert "different tasks" in problem(error)


def test_label_sets_are_scored_by_class(make_run, runs):
    sets = [["a", "b"], ["b"], [], ["a"]] * 10
    guess = [["a"], ["b"], ["a"], ["a"]] * 10
    columns = {"id": [str(row) for row in range(40)], "label": sets, "prediction": guess}
    make_run("full", columns=columns, task={"name": "sequence_classification", "multi_label": True}, label_names=["a", "b"])
    expected = f1_score([[int("a" in s), int("b" in s)] for s in sets], [[int("a" in s), int("b" in s)] for s in guess], average="macro")
    assert compare([runs]).rows[0].scores["f1_macro"].value == pytest.approx(expected)


def test_markdown_and_csv_hold_the_rows_the_model_note_and_where_the_records_lie_and_are_deterministic(make_run, runs, tmp_path):
    made = [make_run("full", 0), make_run("full", 1), make_run("head", 0, accuracy=0.7), make_run("head", 1, accuracy=0.7)]
    for name in ("one.md", "two.md", "one.csv", "two.csv"):
        compare([runs], output=tmp_path / name)
    text = (tmp_path / "one.md").read_text()
    assert text == (tmp_path / "two.md").read_text()
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()
    assert "sentence-tuned before any tuning here" in text
    assert all(str(run.path) in text for run in made)
    assert "22,000,000" in text
    assert "90.0 MiB" in text
    rows = list(csv.DictReader((tmp_path / "one.csv").open()))
    assert [row["row"] for row in rows] == ["full", "head"]
    assert float(rows[0]["accuracy"]) == compare([runs]).rows[0].scores["accuracy"].value
    assert rows[1]["accuracy_distinguishable"] == "True"
    assert float(rows[0]["training_seconds"]) == 40.5
    assert int(rows[0]["peak_memory_bytes"]) == 2**30 + 1
    behind = list(csv.DictReader((tmp_path / "one_runs.csv").open()))
    assert [row["record"] for row in behind] == [str(run.path) for run in made]


@pytest.mark.clock
def test_a_table_of_nine_runs_on_two_thousand_examples_takes_under_two_seconds_and_no_torch(make_run, runs):
    truth = (np.random.default_rng(1).random(2000) < 0.5).astype(int)
    for tuning in ("full", "head", "lora"):
        for seed in range(3):
            guess = np.where(np.random.default_rng(seed).random(2000) < 0.9, truth, 1 - truth)
            columns = {"id": [f"{row}" for row in range(2000)], "label": [NAMES[each] for each in truth]}
            make_run(tuning, seed, columns=columns | {"prediction": [NAMES[each] for each in guess]})
    code = f"""
import resource, sys
from finecomb.studies.report.comparison import compare, render
print(render(compare([{runs!r}])))
assert not {{"torch", "transformers", "sklearn", "datasets"}} & set(sys.modules), set(sys.modules)
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "| full |" in out
    assert float(out.splitlines()[-1]) < 4, "CPU seconds; about 1.3 on the machine this was written on"


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A prepared data set of 300 sentences, of which one word gives the label away."""
    from finecomb.config.compose import compose as compose_config
    from finecomb.data.prepare import prepare

    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [f"{'good' if row % 3 else 'bad'} film number {row},{NAMES[row % 3 > 0]}" for row in range(300)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    config = compose_config(["dataset=files", f"dataset.files.train={tmp_path / 'train.csv'}"]).config
    return prepare(config.dataset, config.cleaner, task_variant="sequence_classification")


def test_references_are_fitted_on_the_train_split_of_the_runs_and_pair_with_them(make_run, runs, prepared):
    test = prepared.load()["test"]
    label = [NAMES[index] for index in test["label"]]
    columns = {"id": list(test["id"]), "label": label, "prediction": [NAMES[1]] * (len(label) - 1) + [NAMES[0]]}
    make_run("head", columns=columns, directory=prepared.directory, data=prepared.content_hash)
    comparison = compare([runs], references=["majority", "tfidf_logistic"])
    assert comparison.warnings == []
    assert [(row.label, row.kind) for row in comparison.rows] == [
        ("head", "arm"),
        ("tfidf_logistic", "reference"),
        ("majority", "reference"),
    ]
    assert row_of(comparison, "majority").scores["accuracy"].value == pytest.approx(label.count("positive") / len(label))
    assert row_of(comparison, "tfidf_logistic").scores["accuracy"].value == 1.0
    assert comparison.baselines["accuracy"] == "tfidf_logistic"
    assert markdown(comparison) == markdown(compare([runs], references=["majority", "tfidf_logistic"]))


def test_references_without_their_data_are_told_and_the_table_stands(make_run, runs, prepared):
    make_run("head")
    comparison = compare([runs], references=["majority"])
    assert [row.label for row in comparison.rows] == ["head"]
    assert "no reference rows" in comparison.warnings[-1]


def test_references_are_refused_when_their_examples_are_not_those_of_the_runs(make_run, runs, prepared):
    make_run("head", directory=prepared.directory, data=prepared.content_hash)
    comparison = compare([runs], references=["majority"])
    assert [row.label for row in comparison.rows] == ["head"]
    assert "no reference rows" in comparison.warnings[-1]


def test_on_a_terminal_of_100_columns_no_number_is_broken(make_run, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    make_run("full")
    make_run("top_layers", accuracy=0.6)
    comparison = compare([runs])
    text = render(comparison)
    for row in comparison.rows:
        interval = row.scores["accuracy"].interval
        assert f"[{100 * interval.low:.2f}, {100 * interval.high:.2f}]" in text
    assert text == render(comparison)


def test_rows_by_a_key_average_over_what_every_row_has_and_leave_the_rest_out(make_run, runs):
    for seed in (0, 1):
        for epochs in (1, 2):
            make_run("full", seed, accuracy=0.9, trainer__max_epochs=epochs)
            make_run("head", seed, accuracy=0.7, trainer__max_epochs=epochs)
    make_run("full", 2, accuracy=0.5, trainer__max_epochs=1)  # no counterpart
    table = compare([runs], by="tuning")
    assert [row.label for row in table.rows] == ["tuning=full", "tuning=head"]
    assert [sorted(row.seeds) for row in table.rows] == [[0, 0, 1, 1]] * 2
    assert table.rows[0].scores["accuracy"].value > 0.85
    assert any("rows are averages over 2 settings of trainer.max_epochs" in line for line in table.warnings)
    assert any("tuning=full: 1 runs have no counterpart" in line for line in table.warnings)
    # The learning rate goes with the method here, and is no reason against a row for each method.
    assert {run.config["optimizer"]["lr"] for row in table.rows for run in row.runs} == {5e-5, 1e-3}


def test_rows_by_a_key_that_shares_no_setting_or_does_not_exist_are_refused(make_run, runs):
    for rate in (1e-3, 2e-3):
        make_run("full", 0, optimizer__lr=rate)
        make_run("head", 0, optimizer__lr=10 * rate)
    with pytest.raises(ConfigError, match=r"no two values of tuning have runs with the same optimizer\.lr"):
        compare([runs], by="tuning")
    with pytest.raises(ConfigError) as error:
        compare([runs], by="optimiser.lr")
    assert "did you mean optimizer.lr" in problem(error)


@pytest.mark.parametrize("by", [[], ["--by", "tuning"]])
def test_the_report_of_any_runs_holds_what_a_studys_holds(make_run, runs, tmp_path, capsys, by):
    for seed in range(3):
        for epochs in (1, 2):
            make_run("full", seed, accuracy=0.9, trainer__max_epochs=epochs)
            make_run("head", seed, accuracy=0.7, trainer__max_epochs=epochs)
    make_run("lora", 0, finished=False)
    words = ["compare", runs, "--report", str(tmp_path / "report"), *by]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    wanted = {"table.md", "table.tex", "results.csv", "results.parquet", "examples.parquet", "report.html", "reproduce.md", "figures"}
    assert wanted <= names
    table = (tmp_path / "report" / "table.md").read_text()
    row = next(line for line in table.splitlines() if line.startswith("| tuning=head" if by else "| head trainer.max_epochs=1"))
    assert "worse" in row
    assert "finecomb train " in (tmp_path / "report" / "reproduce.md").read_text()
    assert verify.verify_study(tmp_path / "report") == []
    before = (tmp_path / "report" / "report.html").read_bytes()
    assert cli.main(words) == 0
    assert (tmp_path / "report" / "report.html").read_bytes() == before
