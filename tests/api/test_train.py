"""`finecomb.train`, `multirun`, `Run`, `compare`: real runs, once; then failures, threads, interruptions with a worker without torch."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import finecomb
from finecomb.launch import workers

WORDS = ["debug=tiny", "dataset=files", "dataset.files.train=reviews.csv", "callbacks.progress.enabled=false"]
WORKER = (sys.executable, str(Path(__file__).with_name("worker.py")))


@pytest.fixture
def runs() -> list[finecomb.Run]:
    return finecomb.multirun([*WORDS, "seed=0,1"], slots=2)


@pytest.mark.slow
def test_a_run_gives_its_config_metrics_predictions_history_and_model(runs: list[finecomb.Run], shared: Path) -> None:
    config = dataclasses.replace(finecomb.compose(*WORDS), seed=1)
    run = finecomb.train(config)
    assert run == runs[1]
    assert run.reused
    assert run.path.name.endswith("-seed1-" + run.fingerprint)
    assert (run.status, run.config.seed, run.error) == ("finished", 1, None)
    assert run.config.optimizer.lr > 0
    assert run.metrics["test/accuracy"] == json.loads((run.path / "result.json").read_text())["metrics"]["test/accuracy"]
    predictions = run.predictions("test")
    assert (predictions.label == predictions.prediction).mean() == pytest.approx(run.metrics["test/accuracy"])
    assert run.history().step.max() == run.result["training"]["steps"]
    model, tokenizer = run.load_model()
    assert not model.training
    logits = model(**tokenizer([_text(predictions.id[0], config)], return_tensors="pt")).logits[0]
    assert logits.tolist() == pytest.approx(predictions.logits[0].tolist(), abs=1e-4)
    with pytest.raises(finecomb.ConfigError, match="no predictions on train"):
        run.predictions("train")


def _text(row: str, config: finecomb.Config) -> str:
    data = finecomb.prepare(config).to_pandas()
    return str(data.text[data.id == row].item())


def test_prepared_rows_are_a_frame_with_classes_by_name_and_a_folder_that_trains(shared: Path) -> None:
    data = finecomb.prepare(finecomb.compose(*WORDS, "cleaner=basic"))
    frame = data.to_pandas()
    assert set(frame.label) == set(data.label_names or ()) == {"down", "up"}
    assert frame.split.value_counts().to_dict() == data.report["rows"] == {name: len(rows) for name, rows in data.splits.items()}
    folder = data.write()
    assert folder.name == f"files-basic-{data.content_hash[:8]}"
    assert finecomb.prepare(finecomb.compose("dataset=prepared", f"dataset.path={folder}")).content_hash == data.content_hash


@pytest.mark.slow
def test_a_multirun_leaves_the_sweep_record_of_the_command(runs: list[finecomb.Run], shared: Path) -> None:
    record = json.loads((shared / "runs" / "sweeps" / "latest.json").read_text())
    assert record["runs"] == [run.name for run in runs]
    again = finecomb.multirun({**dict(word.split("=") for word in WORDS), "callbacks.progress.enabled": False, "seed": range(2)})
    assert again == runs
    assert all(run.reused for run in again)


@pytest.mark.slow
def test_a_comparison_is_a_frame_markdown_latex_and_a_figure(runs: list[finecomb.Run]) -> None:
    by_path = finecomb.compare("runs/*seed1-*", metrics=["accuracy"])
    assert [run.path.name for row in by_path.rows for run in row.runs] == [runs[1].name]
    table = finecomb.compare(runs, metrics=["accuracy"], references=["majority"])
    frame = table.to_frame()
    assert list(frame.index) == ["full", "majority"]
    assert frame.accuracy["full"] == pytest.approx(sum(run.metrics["test/accuracy"] or 0 for run in runs) / 2)
    assert "| full |" in table._repr_markdown_() == table.to_markdown()
    assert r"\toprule" in table.to_latex()
    assert "majority" in table.to_latex()
    assert "<svg" in table.plot("intervals")._repr_svg_()
    with pytest.raises(finecomb.ConfigError, match="there is no figure pie"):
        table.plot("pie")
    assert finecomb.compare("runs", where={"seed": 1, "tuning": "full"}).rows[0].seeds == [1]


def test_a_pattern_without_runs_is_the_users_error() -> None:
    with pytest.raises(finecomb.ConfigError, match=r"no run directory matches nothing/\*"):
        finecomb.compare("nothing/*")


def test_opening_no_run_is_the_users_error() -> None:
    with pytest.raises(finecomb.ConfigError, match="there is no run absent"):
        finecomb.Run("absent")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(workers, "WORKER", WORKER)
    monkeypatch.setenv("FAKE_WORKER", "finish")
    return monkeypatch


def config(*words: str) -> finecomb.Config:
    return finecomb.compose(*WORDS, "output_dir=faked", *words)


def test_a_failure_raises_the_run_and_the_end_of_its_log(worker: pytest.MonkeyPatch) -> None:
    worker.setenv("FAKE_WORKER", "fail")
    with pytest.raises(finecomb.RunFailed, match="ValueError: no luck") as raised:
        finecomb.train(config("seed=10"))
    failed = raised.value
    assert (failed.run.status, failed.status, failed.exit_code, failed.user_error) == ("failed", "failed", 1, False)
    assert "the worker has begun" in str(failed)
    assert failed.run.error is not None
    worker.setenv("FAKE_WORKER", "finish")
    with pytest.raises(finecomb.RunFailed):
        finecomb.train(config("seed=10"))
    assert finecomb.train(config("seed=10", "rerun=failed")).metrics == {"test/accuracy": 0.5}


def test_a_failed_job_of_a_multirun_raises_all_runs(worker: pytest.MonkeyPatch) -> None:
    worker.setenv("FAKE_WORKER", "fail")
    with pytest.raises(finecomb.RunFailed, match="and 1 more of 2") as raised:
        finecomb.multirun([*WORDS, "output_dir=faked", "seed=11,12"])
    assert [run.status for run in raised.value.runs] == ["failed", "failed"]


def test_an_interrupt_leaves_a_run_that_the_next_call_resumes(worker: pytest.MonkeyPatch) -> None:
    worker.setenv("FAKE_WORKER", "wait")
    threading.Thread(target=_interrupt_when_running, args=("faked",), daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        finecomb.train(config("seed=13"))
    (path,) = Path("faked").glob("*seed13-*")
    assert finecomb.Run(path).status == "interrupted"
    worker.setenv("FAKE_WORKER", "finish")
    run = finecomb.train(config("seed=13"))
    assert (run.status, run.notes[0]) == ("finished", "resumed")


def _interrupt_when_running(folder: str) -> None:
    while not any("the worker has begun" in path.read_text() for path in Path(folder).glob("*seed13-*/logs/rank0.log")):
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_training_works_in_a_thread(worker: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def work() -> None:
        try:
            found.append(finecomb.train(config("seed=14")).status)
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert found == ["finished"]


def test_data_that_changed_between_two_calls_are_read_again(worker: pytest.MonkeyPatch, shared: Path) -> None:
    (shared / "changing.csv").write_bytes((shared / "reviews.csv").read_bytes())
    first = finecomb.train(config("dataset.files.train=changing.csv"))
    with (shared / "changing.csv").open("a") as file:
        file.write("one more bad film,down\n")
    assert finecomb.train(config("dataset.files.train=changing.csv")) != first


def test_settings_of_hydra_reach_its_launcher_and_wrong_ones_are_refused() -> None:
    with pytest.raises(finecomb.ConfigError) as raised:
        finecomb.multirun([*WORDS, "seed=0,1", "hydra.launcher.slot=2", "hydra/launcher=joblib"])
    told = " ".join(f"{problem.what} {problem.hint}" for problem in raised.value.problems)
    assert "joblib" in told
    assert "hydra.launcher.slots=N" in told


def test_a_search_returns_the_runs_of_its_trials(worker: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    search = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "optimizer.lr=interval(0.001,0.01)"]
    runs = finecomb.multirun([*WORDS, "output_dir=searched", *search])
    assert len({run.config.optimizer.lr for run in runs}) == 2
    assert capsys.readouterr().out == ""
