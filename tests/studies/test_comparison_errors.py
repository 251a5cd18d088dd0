"""What cannot be compared is refused with a hint."""

import pytest

from finecomb.core.errors import ConfigError
from finecomb.studies.report.comparison import compare

NAMES = ["negative", "positive"]


def first(comparison, metric):
    return comparison.row(comparison.rows[0].label, metric)


def problem(error):
    return " ".join(" ".join([each.what, each.where, each.allowed, each.hint]) for each in error.value.problems)


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


def test_runs_of_different_tasks_are_refused(make_run, runs):
    make_run("full")
    make_run("full", columns={"id": ["a"], "label": [1.0], "prediction": [1.0]}, task={"name": "regression"})
    with pytest.raises(ConfigError) as error:
        compare([runs])
    assert "different tasks" in problem(error)


def test_rows_by_a_key_that_shares_no_setting_or_does_not_exist_are_refused(make_run, runs):
    for rate in (1e-3, 2e-3):
        make_run("full", 0, optimizer__lr=rate)
        make_run("head", 0, optimizer__lr=10 * rate)
    with pytest.raises(ConfigError, match=r"no two values of tuning have runs with the same optimizer\.lr"):
        compare([runs], by="tuning")
    with pytest.raises(ConfigError) as error:
        compare([runs], by="optimiser.lr")
    assert "did you mean optimizer.lr" in problem(error)
