"""Law 4 with callbacks on: a killed and resumed training ends as the one left alone, bit for bit; and the averaged weights are the ones
that are evaluated and saved."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import tuning_overrides
from test_resume import STEPS, _attempt, _everything, _kill_at, _killed_and_resumed, _run, assert_equal

from finecomb.runs.directory import RunDirectory
from finecomb.training import artifact, checkpoint, worker
from finecomb.training.callbacks.weight_averaging import WeightAveraging

DECAY = 0.6
ALL = [
    "callbacks.weight_averaging.decay=0.6",
    "callbacks.gradient_statistics.every_n_steps=2",
    "callbacks.sample_predictions.num_examples=3",
    "callbacks.learning_rate_monitor.logging_interval=step",
    "callbacks.early_stopping.patience=3",
    "callbacks.early_stopping.min_delta=0.2",
]
TUNING = tuning_overrides("lora")


def _with_samples(run: RunDirectory) -> dict[str, Any]:
    samples = {path.name: path.read_text() for path in sorted((run.predictions / "samples").iterdir())}
    averages = checkpoint.load(run.checkpoints / "last.ckpt")["current_model_state"]
    return {**_everything(run), "samples": samples, "current_model_state": averages}


@pytest.fixture(scope="module")
def whole(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    run = _run(tmp_path_factory.mktemp("whole"), data_folder, *TUNING, *ALL, name="alone")
    assert _attempt(run) == 0
    return run


@pytest.mark.parametrize("step", [3, 5, 6, 8])
def test_every_callback_resumes_bit_for_bit(data_folder: Path, tmp_path: Path, whole: RunDirectory, step: int) -> None:
    from finecomb.training.module import Module

    run = _run(tmp_path, data_folder, *TUNING, *ALL, name="alone")
    _killed_and_resumed(run, lambda patch: _kill_at(patch, Module, "training_step", lambda self, *_: self.trainer.global_step == step))
    assert_equal(_with_samples(run), _with_samples(whole))


@pytest.mark.parametrize("keep_best", ["true", "false"])
def test_a_kill_after_the_last_checkpoint_leaves_the_averaged_weights(data_folder: Path, tmp_path: Path, keep_best: str) -> None:
    more = [*TUNING, *ALL[:1], f"callbacks.checkpoint.keep_best={keep_best}"]
    alone, killed = (_run(tmp_path / name, data_folder, *more, name="alone") for name in ("alone", "killed"))
    assert _attempt(alone) == 0
    _killed_and_resumed(killed, lambda patch: _kill_at(patch, artifact, "restore_best", lambda *_: True))
    assert_equal(_everything(killed), _everything(alone))


def test_the_averaged_weights_are_evaluated_and_saved(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    original = WeightAveraging.on_train_batch_end

    def keeping(self: Any, trainer: Any, module: Any, *arguments: Any) -> None:
        kept.append({name: tensor.clone() for name, tensor in module.state_dict().items()})
        original(self, trainer, module, *arguments)

    monkeypatch.setattr(WeightAveraging, "on_train_batch_end", keeping)
    run = _run(tmp_path, data_folder, *TUNING, *ALL[:1], name="averaged")
    assert _attempt(run) == 0
    averages = [kept[0]]
    for weights in kept[1:]:
        averages.append({name: DECAY * averages[-1][name] + (1 - DECAY) * weights[name] for name in weights})
    assert len(kept) == STEPS
    result = run.result()
    assert result is not None
    best, last = (checkpoint.load(run.checkpoints / name)["state_dict"] for name in ("best.ckpt", "last.ckpt"))
    for found, step in ((best, result["selection"]["best_step"]), (last, STEPS)):
        for name, wanted in averages[step - 1].items():
            torch.testing.assert_close(found[name], wanted, rtol=1e-5, atol=1e-7)
    # The best value is that of the averaged weights: the final evaluation of best.ckpt gives it again.
    assert result["metrics"][result["selection"]["metric"]] == result["selection"]["best_value"]


def test_norms_are_recorded_and_samples_are_written(whole: RunDirectory) -> None:
    lines = [json.loads(line) for line in (whole.path / "metrics.jsonl").read_text().splitlines()]
    groups = [(line["step"], [value for name, value in line.items() if name.startswith("gradient_norm/")]) for line in lines]
    logged = {line["step"]: line["train/gradient_norm"] for line in lines if "train/gradient_norm" in line}
    found = {step: sum(value**2 for value in norms) ** 0.5 for step, norms in groups if norms}
    assert found.keys() == {2, 4, 6, 8}
    assert found == pytest.approx({step: logged[step] for step in found}, rel=1e-5), "the whole gradient, before clipping"
    files = sorted((whole.predictions / "samples").iterdir())
    assert [file.name for file in files] == ["step-000003.csv", "step-000006.csv", "step-000009.csv"]
    columns, *rows = csv.reader(files[0].open())
    assert columns == ["id", "text", "label", "prediction", "loss"]
    assert [row[0] for row in rows] == ["validation-0", "validation-5", "validation-10"]


def test_min_delta_ends_a_training_that_improves_too_little(data_folder: Path, tmp_path: Path) -> None:
    settings = ["optimizer.lr=1e-3", "trainer.max_epochs=4", "monitor.metric=loss", "callbacks.early_stopping.patience=1"]
    run = _run(tmp_path, data_folder, *TUNING, *settings, "callbacks.early_stopping.min_delta=0.5", name="delta")
    assert worker.attempt(run, first=True, started=0.0) == 0
    result = run.result()
    assert result is not None
    assert result["training"] | {"stopped_by": "patience", "epochs": 2.0} == result["training"]
