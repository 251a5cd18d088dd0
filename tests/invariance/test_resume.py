"""Law 4: a training that was killed at any moment and started again ends as the one left alone, bit for bit, with dropout on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from harness import prepared, tuning_overrides
from task_cells import cells, data_of, overrides_of
from tiny_runs import make_run, metrics

from finecomb.core import atomic
from finecomb.runs.directory import RunDirectory
from finecomb.training import artifact, callbacks, checkpoint, worker
from finecomb.training.module import Module

# 20 rows in batches of 8: 3 steps an epoch, the last of 4 rows; checkpoints at steps 2, 4, 8 and at the end of epochs 3, 6, 9.
SETTINGS = [
    "trainer.max_epochs=3",
    "batch.micro_batches=2",
    "callbacks.checkpoint.every_n_steps=2",
    "trainer.log_every_n_steps=2",
    "model.dropout=0.2",
    "optimizer=adamw",
    "optimizer.lr=0.01",
    "scheduler=linear",
    "scheduler.warmup=0.2",
]
STEPS = 9


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


def _run(folder: Path, data_folder: Path, *overrides: str, name: str) -> RunDirectory:
    return make_run(folder, prepared(data_folder, "single"), *SETTINGS, *overrides, name=name)


def _attempt(run: RunDirectory) -> int:
    return worker.attempt(run, first=True, started=time.monotonic())


def _everything(run: RunDirectory) -> dict[str, Any]:
    """All that must be equal, bit for bit."""
    last = checkpoint.load(run.checkpoints / "last.ckpt")
    result = run.result()
    assert result is not None
    artifacts = {path.name: path.read_bytes() for path in run.artifact.glob("*.safetensors")}
    predictions = {path.name: pyarrow.parquet.read_table(path).to_pylist() for path in run.predictions.glob("*.parquet")}
    parts = {name: last[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")}
    facts = {name: result[name] for name in ("metrics", "selection", "training")}
    tokens = {name: result["tokens"][name] for name in ("real", "padded", "truncated")}
    return {**parts, "artifact": artifacts, "predictions": predictions, "lines": metrics(run), **facts, "tokens": tokens}


def assert_equal(one: Any, other: Any, where: str = "") -> None:
    """Equal to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for at, (first, second) in enumerate(zip(one, other, strict=True)):
            assert_equal(first, second, f"{where}[{at}]")
    else:
        assert one == other, where


@pytest.fixture(scope="module")
def undisturbed(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What runs that are left alone end with, by tuning method; made when first asked for."""
    found: dict[str, dict[str, Any]] = {}

    class Made(dict):  # type: ignore[type-arg]
        def __missing__(self, tuning: str) -> dict[str, Any]:
            run = _run(tmp_path_factory.mktemp("undisturbed"), data_folder, *tuning_overrides(tuning), name="alone")
            assert _attempt(run) == 0
            self[tuning] = _everything(run)
            return self[tuning]

    return Made(found)


def _kill_at(patch: pytest.MonkeyPatch, where: Any, name: str, when: Callable[..., bool], *, after: bool = False) -> None:
    """Die on the way into (or out of) a function, the first time `when` says so."""
    original = getattr(where, name)

    def dying(*arguments: Any, **keywords: Any) -> Any:
        if not after and when(*arguments):
            raise Killed
        answer = original(*arguments, **keywords)
        if after and when(*arguments):
            raise Killed
        return answer

    patch.setattr(where, name, dying)


def _killed_and_resumed(run: RunDirectory, patch: Callable[[pytest.MonkeyPatch], None]) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as context:
        patch(context)
        with pytest.raises(Killed):
            _attempt(run)
    assert run.result() is None
    torch.manual_seed(int(time.time()))  # a new process would start from another state
    assert _attempt(run) == 0
    return _everything(run)


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("after_checkpoint", [False, True])
def test_killed_at_any_step(step: int, after_checkpoint: bool, undisturbed: Any, data_folder: Path, tmp_path: Path) -> None:
    run = _run(tmp_path, data_folder, *tuning_overrides("full"), name="killed")
    place = checkpoint.Checkpoint if after_checkpoint else callbacks.Record

    def patch(context: pytest.MonkeyPatch) -> None:
        _kill_at(context, place, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == step, after=after_checkpoint)

    assert_equal(undisturbed["full"], _killed_and_resumed(run, patch))


def test_questions_of_several_windows_resume(data_folder: Path, tmp_path: Path) -> None:
    """Also the threshold that validation chose."""
    cell = cells()["question_answering"]
    overrides = [*overrides_of("question_answering", cell, "full", cell.architecture), *SETTINGS]
    data = data_of(data_folder, "question_answering", cell)
    alone = make_run(tmp_path / "alone", data, *overrides, name="alone")
    assert _attempt(alone) == 0

    def patch(context: pytest.MonkeyPatch) -> None:
        _kill_at(context, callbacks.Record, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == 5)

    expected = _everything(alone)
    assert "no_answer_threshold" in expected["selection"]["chosen"]
    assert_equal(expected, _killed_and_resumed(make_run(tmp_path / "killed", data, *overrides, name="killed"), patch))


@pytest.mark.parametrize("tuning", ["head", "top_layers", "bitfit", "lora", "prompt"])
def test_every_method_resumes(tuning: str, undisturbed: Any, data_folder: Path, tmp_path: Path) -> None:
    run = _run(tmp_path, data_folder, *tuning_overrides(tuning), name="killed")

    def patch(context: pytest.MonkeyPatch) -> None:
        _kill_at(context, callbacks.Record, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == 5)

    assert_equal(undisturbed[tuning], _killed_and_resumed(run, patch))


_MOMENTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before validation": lambda patch: _kill_at(
        patch, callbacks.Record, "on_validation_start", lambda self, trainer, *_: trainer.current_epoch == 1
    ),
    "in validation": lambda patch: _kill_at(patch, Module, "validation_step", lambda self, *_: self.trainer.current_epoch == 1),
    "after validation, before best": lambda patch: _kill_at(
        patch, callbacks.Best, "on_validation_end", lambda self, trainer, *_: trainer.current_epoch == 1, after=True
    ),
    "after validation, before last": lambda patch: _kill_at(
        patch, checkpoint.Checkpoint, "on_train_epoch_end", lambda self, trainer, *_: trainer.current_epoch == 1
    ),
    "after the checkpoint of an epoch": lambda patch: _kill_at(
        patch, checkpoint.Checkpoint, "on_train_epoch_end", lambda self, trainer, *_: trainer.current_epoch == 1, after=True
    ),
    "between best and last": lambda patch: _kill_at(
        patch, checkpoint.AtomicCheckpointIO, "save_checkpoint", lambda self, content, path, *_: Path(path).name == "best.ckpt", after=True
    ),
    "while a checkpoint is written": lambda patch: _kill_at(
        patch, atomic, "replace", lambda source, target: target.exists() and target.name == "last.ckpt"
    ),
    "after the last epoch": lambda patch: _kill_at(patch, artifact, "restore_best", lambda *_: True),
    "while predictions are written": lambda patch: _kill_at(patch, artifact, "write_predictions", lambda *_: True),
    "while the artifact is written": lambda patch: _kill_at(patch, artifact, "write_text", lambda *_: True),
    "before the result": lambda patch: _kill_at(patch, RunDirectory, "write_result", lambda *_: True),
}


@pytest.mark.parametrize("moment", _MOMENTS)
def test_killed_at_any_moment(moment: str, undisturbed: Any, data_folder: Path, tmp_path: Path) -> None:
    run = _run(tmp_path, data_folder, *tuning_overrides("full"), name="killed")
    assert_equal(undisturbed["full"], _killed_and_resumed(run, _MOMENTS[moment]))


def test_a_training_stopped_early_stays_stopped(data_folder: Path, tmp_path: Path) -> None:
    # No epoch is better than the first when nothing is learnt.
    settings = ["optimizer.lr=1e-12", "callbacks.early_stopping.patience=1", "trainer.max_epochs=5", "model.dropout=0.0"]
    alone, killed = (_run(tmp_path, data_folder, *settings, name=name) for name in ("alone", "killed"))
    assert _attempt(alone) == 0
    expected = _everything(alone)
    assert expected["training"]["stopped_by"] == "patience"
    assert expected["training"]["epochs"] == 2
    found = _killed_and_resumed(killed, _MOMENTS["after the last epoch"])
    assert_equal(expected, found)


def check_patience(folder: Path, data_folder: Path) -> None:
    """Epochs without improvement before a kill count after it: patience=2 ends training after epoch 3, not a full patience later."""
    settings = ["optimizer.lr=1e-12", "callbacks.early_stopping.patience=2", "trainer.max_epochs=6", "model.dropout=0.0"]
    run = _run(folder, data_folder, *settings, name="killed")

    def patch(context: pytest.MonkeyPatch) -> None:
        # In epoch 3, after one epoch without improvement.
        _kill_at(context, callbacks.Record, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == 7)

    training = _killed_and_resumed(run, patch)["training"]
    assert (training["epochs"], training["stopped_by"]) == (3, "patience"), "epochs until patience ran out"


def test_patience_is_counted_across_a_resume(data_folder: Path, tmp_path: Path) -> None:
    check_patience(tmp_path, data_folder)


# Every way in which a training ends: settings, steps, and the recorded reason. 3 steps an epoch.
_ENDS: dict[str, tuple[list[str], int, str]] = {
    "max_steps within an epoch": (["trainer.max_steps=5"], 5, "max_steps"),
    "max_steps at the end of an epoch": (["trainer.max_steps=6"], 6, "max_steps"),
    "max_steps at the last step of max_epochs": (["trainer.max_steps=9"], 9, "max_epochs"),
    "max_steps above max_epochs": (["trainer.max_epochs=1", "trainer.max_steps=50"], 3, "max_epochs"),
    "max_time": (["trainer.max_time=00:00:00:00"], 1, "max_time"),
}


@pytest.mark.parametrize("end", _ENDS)
def test_a_training_that_has_ended_takes_no_further_step_when_resumed(end: str, data_folder: Path, tmp_path: Path) -> None:
    settings, steps, reason = _ENDS[end]
    alone, killed = (_run(tmp_path, data_folder, *settings, name=name) for name in ("alone", "killed"))
    assert _attempt(alone) == 0
    expected = _everything(alone)
    assert (expected["training"]["steps"], expected["training"]["stopped_by"]) == (steps, reason)
    assert_equal(expected, _killed_and_resumed(killed, _MOMENTS["after the last epoch"]))


@pytest.mark.parametrize("moment", ["in validation", "before the result"])
def test_max_steps_at_the_end_of_an_epoch_holds_whenever_the_run_is_killed(moment: str, data_folder: Path, tmp_path: Path) -> None:
    alone, killed = (_run(tmp_path, data_folder, "trainer.max_steps=6", name=name) for name in ("alone", "killed"))
    assert _attempt(alone) == 0
    assert_equal(_everything(alone), _killed_and_resumed(killed, _MOMENTS[moment]))


def test_the_cadence_of_validation_logs_and_checkpoints_changes_nothing(undisturbed: Any, data_folder: Path, tmp_path: Path) -> None:
    run = _run(
        tmp_path, data_folder, "callbacks.checkpoint.every_n_steps=1", "trainer.log_every_n_steps=1", "batch.eval_size=3", name="other"
    )
    assert _attempt(run) == 0
    assert_equal(undisturbed["full"]["state_dict"], _everything(run)["state_dict"])


@pytest.mark.slow
def test_a_worker_killed_by_sigkill_resumes(undisturbed: Any, data_folder: Path, tmp_path: Path) -> None:
    run = _run(tmp_path, data_folder, *tuning_overrides("full"), name="killed")
    command = [sys.executable, "-m", "finecomb.training.worker", str(run.path)]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run.checkpoints / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert run.state() == "interrupted"
    assert subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode == 0
    assert run.status().attempt == 2
    assert_equal(undisturbed["full"], _everything(run))
