"""Mirrors of a run: what they say, and that losing one never stops a training."""

import csv
import dataclasses
import json
import logging

import pytest
import wandb

from finecomb.config.schema.logger import Logger, Wandb
from finecomb.runs import directory, wandb_account, wandb_folder
from finecomb.runs.record import RunRecord
from finecomb.training import from_record, logger, tables, wandb_mirror
from finecomb.training.mirrors import CsvMirror, Mirror

WANDB = Wandb(
    name="wandb", project="p", entity=None, mode="auto", group=None, job_type=None, tags=["mine"], notes="why", sample_errors=3,
    system_metrics=False, code=False, console=False,
)  # fmt: skip
RESULT = {
    "metrics": {"test/accuracy": 0.5},
    "training": {"steps": 2},
    "parameters": {"total": 100, "trainable": 10, "trainable_tensors": 2, "stored_bytes": 40},
    "time": {"train_s": 1.5, "total_s": 2.5},
    "memory": {"peak_bytes": 7, "average_bytes": 6, "p99_bytes": 7, "of": "resident set"},
    "tokens": {"real": 30, "padded": 10, "truncated": 0, "real_per_s": None, "padded_share": 0.25},
    "counts": {"rows": {"train": 8, "test": 4}, "label_counts": {"train": {"a": 8}}},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    choices = {"tuning": "lora", "experiment": None, "logger": "wandb"}
    record = RunRecord("0123456789ab", "r", choices=choices, group="sweep-1", job_type="lora")
    return directory.create(tmp_path / "runs", {"seed": 0, "tuning": {"name": "lora", "r": 8}}, record)


def test_a_failed_run_ends_offline_with_its_exit_code_and_what_it_logged(run):
    loggers = logger.build(WANDB, run)
    loggers[0].log_metrics({"train/loss": 0.5}, 10)
    logger.finish(loggers, 1)
    (found,) = wandb_folder.runs(run.path.parent)
    assert (found.exit_code, found.group, found.job_type, found.project) == (1, "sweep-1", "lora", "p")
    assert found.config == {"seed": 0, "tuning.name": "lora", "tuning.r": 8, "fingerprint": "0123456789ab"}
    assert sorted(found.tags) == ["mine", "tuning=lora"]
    assert [(line["trainer/global_step"], line["train/loss"]) for line in found.history] == [(10, 0.5)]
    assert wandb.run is None  # nothing is left for the next run of this process to fall into


def test_the_summary_of_a_finished_run_has_its_costs_under_the_names_of_result_json(run):
    loggers = logger.build(WANDB, run)
    run.write_result(RESULT)
    logger.finish(loggers, 0)
    (found,) = wandb_folder.runs(run.path.parent)
    assert {name: value for name, value in found.summary.items() if "/" in name} == {
        "parameters/total": 100, "parameters/trainable": 10, "parameters/trainable_tensors": 2, "parameters/stored_bytes": 40,
        "time/train_s": 1.5, "time/total_s": 2.5, "memory/peak_bytes": 7, "memory/average_bytes": 6, "memory/p99_bytes": 7,
        "tokens/real": 30, "tokens/padded": 10, "tokens/truncated": 0, "tokens/padded_share": 0.25,
        "counts/rows/train": 8, "counts/rows/test": 4,
    }  # fmt: skip


def test_a_finished_run_is_mirrored_from_its_record(run):
    for step in (1, 2):
        run.append_metrics({"step": step, "epoch": step / 2, "seconds": 1.0, "train/loss": 1 / step, "train/gradient_norm": None})
    run.write_result(RESULT)
    assert from_record.mirror(run, dataclasses.replace(WANDB, code=True, console=True))
    (found,) = wandb_folder.runs(run.path.parent)
    assert (found.exit_code, found.group, found.summary["parameters/trainable"]) == (0, "sweep-1", 10)
    assert [(line["trainer/global_step"], line["train/loss"]) for line in found.history if "train/loss" in line] == [(1, 1.0), (2, 0.5)]
    assert found.last()["test/accuracy"] == 0.5
    (log,) = run.path.glob("wandb/offline-run-*/*.wandb")
    assert b"training/wandb_mirror.py" not in log.read_bytes()  # the code of now is not that of the run


def test_a_run_that_cannot_be_mirrored_from_its_record_is_not_marked(run, monkeypatch):
    run.write_result(RESULT)
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(RuntimeError("no wandb-core")))
    assert not from_record.mirror(run, WANDB)


def test_trials_and_confirmations_of_a_study_have_a_tag(run):
    for role in ("trial", "confirm"):
        run.freeze(run.config, dataclasses.replace(run.record, role=role))
        assert role in wandb_mirror.arguments(run, WANDB)["tags"]


def test_system_metrics_and_console_are_logged_on_request_only():
    usual, wanted = wandb_account.settings(), wandb_account.settings(system_metrics=True, console=True)
    assert (usual.x_disable_stats, usual.console) == (True, "off")
    assert (wanted.x_disable_stats, wanted.console) == (False, "wrap")


@pytest.mark.parametrize("wanted", [False, True])
def test_the_code_is_logged_on_request_only(run, wanted):
    logger.finish(logger.build(dataclasses.replace(WANDB, code=wanted), run), 1)
    (log,) = run.path.glob("wandb/offline-run-*/*.wandb")
    assert (b"training/wandb_mirror.py" in log.read_bytes()) == wanted


def test_wandb_that_breaks_is_told_once_and_the_run_goes_on(run, monkeypatch, caplog):
    monkeypatch.setattr(wandb, "init", lambda **_: (_ for _ in ()).throw(RuntimeError("no wandb-core")))
    with caplog.at_level(logging.WARNING):
        loggers = logger.build(WANDB, run)
        for step in range(3):
            loggers[0].log_metrics({"train/loss": 0.5}, step)
        logger.finish(loggers, 0)
    assert [record.getMessage().count("no wandb-core") for record in caplog.records] == [1]


def test_a_server_out_of_reach_makes_the_run_offline(run, monkeypatch, caplog):
    tried = []
    init = wandb.init

    def unreachable(**arguments):
        tried.append(arguments["mode"])
        if arguments["mode"] == "online":
            raise wandb.errors.CommError("timed out")
        return init(**arguments)

    monkeypatch.setattr(wandb, "init", unreachable)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    logger.finish(logger.build(WANDB, run), 0)
    assert tried == ["online", "offline"]
    assert wandb_folder.runs(run.path.parent)[0].exit_code == 0
    assert "k" * 40 not in caplog.text


@pytest.mark.parametrize(
    ("asked", "environment", "expected"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "x"}, "online"),
        ("auto", {"WANDB_API_KEY": "x", "WANDB_MODE": "disabled"}, "disabled"),
        ("offline", {"WANDB_API_KEY": "x"}, "offline"),
        ("online", {}, "online"),
    ],
)
def test_online_only_with_an_account(asked, environment, expected, tmp_path):
    assert wandb_account.mode(asked, {"NETRC": str(tmp_path / "none"), **environment}) == expected


def test_an_account_in_the_netrc_file_counts_for_its_own_server_only(tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    netrc.chmod(0o600)
    assert wandb_account.has_account({"NETRC": str(netrc)})
    assert not wandb_account.has_account({"NETRC": str(netrc), "WANDB_BASE_URL": "https://wandb.example.org"})


def test_the_id_stays_over_attempts_and_is_new_after_a_clean_start(run, tmp_path):
    first = wandb_mirror.run_id(run)
    assert first.startswith("0123456789ab-")
    run.set_status("running")
    run.set_status("interrupted")
    assert wandb_mirror.run_id(run) == first
    run.set_status("running")
    run.set_status("failed", error="e")
    run.set_aside()
    assert wandb_mirror.run_id(run) == f"{first}-1"


def test_a_sweep_agents_id_is_left_to_wandb(run, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert "id" not in wandb_mirror.arguments(run, WANDB)


def test_csv_has_a_line_for_each_step_and_survives_a_resume(run):
    for step in (10, 20):
        run.append_metrics({"step": step, "train/loss": 1 / step})
    run.append_metrics({"step": 20, "validation/accuracy": 0.5})
    logger.finish(build_and_log(run), 0)
    run.truncate_metrics(10)
    run.append_metrics({"step": 20, "train/loss": 0.25})
    logger.finish(build_and_log(run), 0)
    with (run.path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["step"], row["train/loss"]) for row in rows] == [("10", "0.1"), ("20", "0.25")]


def build_and_log(run):
    loggers = logger.build(Logger(name="csv"), run)
    assert isinstance(loggers[0], CsvMirror)
    loggers[0].log_metrics({"train/loss": 0.0}, 20)
    return loggers


def test_tensorboard_writes_events(run):
    pytest.importorskip("tensorboard")
    loggers = logger.build(Logger(name="tensorboard"), run)
    loggers[0].log_metrics({"train/loss": 0.5}, 1)
    logger.finish(loggers, 0)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 0.5)]


TABLE = {"key": "validation/samples", "columns": ["id", "text"], "data": [["a", "one | two\nthree"], ["b", "four"]], "step": 3}


def test_tensorboard_gets_tables_as_text(run):
    pytest.importorskip("tensorboard")
    loggers = logger.build(Logger(name="tensorboard"), run)
    loggers[0].log_table(**TABLE)
    logger.finish(loggers, 0)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    ((step, text),) = [(each.step, each.tensor_proto.string_val[0].decode()) for each in events.Tensors("validation/samples/text_summary")]
    assert step == 3
    assert text.splitlines() == ["| id | text |", "| --- | --- |", "| a | one \\| two three |", "| b | four |"]


def test_wandb_gets_tables(run):
    loggers = logger.build(WANDB, run)
    loggers[0].log_table(**TABLE)
    logger.finish(loggers, 1)
    (file,) = (run.path / "wandb").rglob("samples*.table.json")
    assert json.loads(file.read_text()) | {"columns": TABLE["columns"], "data": TABLE["data"]} == json.loads(file.read_text())


def test_other_loggers_leave_tables_out(run):
    (mirror,) = logger.build(Logger(name="csv"), run)
    mirror.log_table(**TABLE)
    assert not mirror.is_off


def test_none_logs_nowhere(run):
    assert logger.build(Logger(name="none"), run) == []


def test_a_mirror_that_fails_while_writing_goes_dark(run, caplog):
    class Broken(Mirror):
        calls = 0

        def write(self, metrics, step):
            self.calls += 1
            raise OSError("disk")

    mirror = Broken(run)
    mirror.log_metrics({}, 1)
    mirror.log_metrics({}, 2)
    mirror.finish(0)
    assert mirror.calls == 1
    assert len(caplog.records) == 1


PREDICTIONS = [
    {"id": "a", "label": "no", "prediction": "yes", "correct": False, "loss": 2.0},
    {"id": "b", "label": "yes", "prediction": "yes", "correct": True, "loss": 9.0},
    {"id": "c", "label": "yes", "prediction": "no", "correct": False, "loss": 3.0},
    {"id": "d", "label": "no", "prediction": "no", "correct": True, "loss": 0.1},
]


def test_the_confusion_matrix_has_labels_in_rows_and_predictions_in_columns():
    assert tables.confusion([*PREDICTIONS, PREDICTIONS[0]], ["no", "yes"])["counts"] == [[1, 2], [1, 1]]


def test_the_table_of_errors_holds_the_wrong_ones_by_loss_with_their_own_texts():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"id": ["d", "c", "b", "a"], "text": ["td", "tc", "tb", "ta"], "text_pair": ["pd", "pc", "pb", "pa"]})
    columns, rows = tables.errors(PREDICTIONS, data)
    assert columns == ["id", "text", "text_pair", "label", "prediction", "loss"]
    assert rows == [["c", "tc", "pc", "yes", "no", 3.0], ["a", "ta", "pa", "no", "yes", 2.0]]


def test_several_labels_are_joined_and_numbers_are_listed_by_loss():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"id": ["a", "b"], "text": ["ta", "tb"]})
    several = [{"id": "a", "label": ["x", "y"], "prediction": [], "correct": False, "loss": 1.0}]
    assert tables.errors(several, data)[1] == [["a", "ta", "x, y", "", 1.0]]
    numbers = [{"id": "a", "label": 1.0, "prediction": 2.0, "loss": 1.0}, {"id": "b", "label": 1.0, "prediction": 4.0, "loss": 9.0}]
    assert [row[0] for row in tables.errors(numbers, data)[1]] == ["b", "a"]
