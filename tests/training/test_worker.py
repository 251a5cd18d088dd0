"""The worker: exit codes, statuses, and an end for every reason to end."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from tiny_runs import make_data, make_run, result, weights

from finecomb.core import atomic
from finecomb.runs.directory import RunDirectory
from finecomb.training import artifact, checkpoint, datamodule, module, worker
from finecomb.training.callbacks.stop import seconds_of
from finecomb.training.interruption import Interrupted, Interruption


def attempt(run: RunDirectory) -> int:
    return worker.attempt(run, first=True, started=time.monotonic())


def test_a_run_finishes_with_its_record(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data, "trainer.max_epochs=1")
    assert attempt(run) == 0
    assert run.state() == "finished"
    found = result(run)
    assert {"validation/accuracy", "validation/loss", "test/accuracy", "test/f1_macro"} <= set(found["metrics"])
    assert found["fingerprint"] == run.fingerprint
    assert found["config"] == run.config
    assert found["parameters"]["trainable"] == found["parameters"]["total"] > 0
    assert found["parameters"]["stored_bytes"] >= 4 * found["parameters"]["trainable"]
    assert 0 < found["time"]["train_s"] < found["time"]["total_s"]
    assert found["memory"]["peak_bytes"] >= found["memory"]["average_bytes"] > 0
    assert found["counts"]["rows"] == {"train": 24, "validation": 11, "test": 13}
    assert found["training"] | {"steps": 3, "epochs": 1.0, "stopped_by": "max_epochs"} == found["training"]
    assert (run.artifact / "README.md").read_text().startswith("---\nbase_model: tiny\n")
    assert attempt(run) == 0, "asked for again, it returns at once"
    assert run.status().attempt == 1


def test_tokens_are_counted_as_they_were_computed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"real": 0, "padded": 0}
    original = datamodule.DataModule.step

    def counting(self: Any, rows: Any) -> Any:
        step = original(self, rows)
        for batch in step.micro_batches:
            mask = batch.inputs["attention_mask"]
            seen["real"] += int(mask.sum())
            seen["padded"] += int((1 - mask).sum())
        return step

    monkeypatch.setattr(datamodule.DataModule, "step", counting)
    run = make_run(tmp_path, data, "trainer.max_steps=5", "batch.micro_batches=2")
    assert attempt(run) == 0
    assert {name: result(run)["tokens"][name] for name in seen} == seen


def test_the_logged_loss_is_the_mean_of_the_steps_losses(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    original = module.Module._loss

    def noting(self: Any, batch: Any, scale: Any) -> Any:
        loss = original(self, batch, scale)
        losses.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(module.Module, "_loss", noting)
    run = make_run(tmp_path, data, "trainer.max_epochs=1", "batch.micro_batches=4", "trainer.log_every_n_steps=2")
    assert attempt(run) == 0
    logged = {line["step"]: line["train/loss"] for line in run.metrics() if "train/loss" in line}
    steps = [sum(losses[at : at + 4]) for at in range(0, len(losses), 4)]
    assert logged == {2: pytest.approx((steps[0] + steps[1]) / 2), 3: pytest.approx(steps[2])}


@pytest.mark.parametrize("clip", ["null", "0.01"])
def test_the_logged_gradient_norm_is_that_of_the_lines_own_step(
    clip: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms: dict[int, float] = {}
    original = module.Module.on_before_optimizer_step

    def noting(self: Any, optimizer: Any) -> None:
        grads = [parameter.grad.flatten() for parameter in self.parameters() if parameter.grad is not None]
        norms[self.trainer.global_step + 1] = float(torch.cat(grads).norm())
        original(self, optimizer)

    monkeypatch.setattr(module.Module, "on_before_optimizer_step", noting)
    # 3 steps an epoch: lines at steps 2 and 4, at the end of the first epoch (3), and at the last step (5).
    settings = ["trainer.log_every_n_steps=2", "trainer.max_steps=5", f"trainer.gradient_clip_val={clip}"]
    run = make_run(tmp_path, data, *settings)
    assert attempt(run) == 0
    logged = {line["step"]: line.get("train/gradient_norm") for line in run.metrics() if "train/loss" in line}
    assert logged == {step: pytest.approx(norms[step], rel=1e-5) for step in (2, 3, 4, 5)}


def test_a_run_restarted_in_smaller_pieces_is_recorded_as_what_it_is(data: Path, tmp_path: Path) -> None:
    settings = ["model.dropout=0.2", "trainer.max_steps=1", "evaluate.test=false"]
    whole, restarted = (make_run(tmp_path, data, *settings, name=name) for name in ("whole", "restarted"))
    planned = make_run(tmp_path, data, *settings, "batch.micro_batches=2", name="planned")
    restarted.freeze(restarted.config, dataclasses.replace(restarted.record, pieces=2))
    assert [attempt(run) for run in (whole, restarted, planned)] == [0, 0, 0]
    assert [result(run)["training"]["micro_batches"] for run in (whole, restarted, planned)] == [1, 2, 2]
    assert result(restarted)["config"]["batch"]["micro_batches"] == 1
    # Dropout draws other masks for another split, so the restarted run is the computation in 2 micro-batches, not the one in 1.
    one, two, explicit = (weights(run) for run in (whole, restarted, planned))
    assert all(torch.equal(two[name], explicit[name]) for name in explicit)
    assert any(not torch.allclose(one[name], two[name], rtol=1e-3, atol=1e-6) for name in one)


def test_a_batch_larger_than_the_data_is_the_users_error(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run(tmp_path, data, "batch.size=100")
    assert attempt(run) == 2
    assert run.state() == "failed"
    error = run.status().error or ""
    assert "batch.size=100" in error
    assert "at most 24" in error
    assert "Traceback" not in error + caplog.text


def test_a_loss_that_is_not_a_number_fails_the_run_with_advice(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data, "optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=null", "scheduler.warmup=0")
    assert attempt(run) == 1
    assert run.state() == "failed"
    error = run.status().error or ""
    assert "the training loss is" in error
    assert "optimizer.lr" in error


def test_an_error_of_ours_keeps_its_traceback(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Module, "training_step", lambda *_: 1 / 0)
    run = make_run(tmp_path, data)
    assert attempt(run) == 1
    assert "ZeroDivisionError" in (run.status().error or "")


def test_a_full_disk_has_an_exit_code_of_its_own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(worker, "train", full)
    run = make_run(tmp_path, data)
    assert worker.main([str(run.path)]) == atomic.DISK_FULL
    assert run.state() == "interrupted"


def test_an_artifact_that_gives_other_predictions_fails_the_run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from finecomb.learning import tuning

    original = tuning.load

    def spoilt(directory: Path) -> Any:
        loaded = original(directory)
        with torch.no_grad():
            for parameter in loaded.model.parameters():
                parameter.mul_(1.01)
        return loaded

    monkeypatch.setattr(tuning, "load", spoilt)
    run = make_run(tmp_path, data)
    assert attempt(run) == 1
    assert run.result() is None
    assert "does not give the recorded predictions" in (run.status().error or "")


def test_a_run_that_another_process_holds_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, data)
    with run.lock():
        assert worker.main([str(run.path)]) == 2
    assert "is held by process" in capsys.readouterr().err
    assert run.state() == "created"


def test_several_devices_without_their_processes_are_the_users_error(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data, "trainer=ddp", "trainer.accelerator=cpu")
    assert attempt(run) == 2
    assert "torchrun" in (run.status().error or "")


def test_a_time_limit_ends_a_run_as_finished(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data, "trainer.max_time=00:00:00:00", "trainer.max_epochs=50")
    assert attempt(run) == 0
    training = result(run)["training"]
    assert (training["stopped_by"], training["steps"]) == ("max_time", 1)


def test_seconds_of_a_time_limit() -> None:
    assert seconds_of("01:02:03:04") == 93784
    assert seconds_of(None) is None


def test_checkpoints_hold_only_what_trains_and_nothing_that_runs(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data, "tuning=head")
    assert attempt(run) == 0
    for name in ("last.ckpt", "best.ckpt"):
        content = checkpoint.load(run.checkpoints / name)
        assert all(key.startswith("classifier.") for key in content["state_dict"])
        assert (run.checkpoints / name).stat().st_size < 20_000
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_the_best_epoch_is_evaluated_or_the_last(data: Path, tmp_path: Path) -> None:
    settings = ["monitor.metric=loss", "optimizer=sgd", "optimizer.lr=2.0", "scheduler=constant"]
    settings += ["trainer.max_epochs=6", "trainer.gradient_clip_val=null"]
    best, last = make_run(tmp_path, data, *settings, name="best"), make_run(tmp_path, data, *settings, "callbacks=last", name="last")
    assert attempt(best) == attempt(last) == 0
    curve = [line["validation/loss"] for line in best.metrics() if "validation/loss" in line]
    assert min(curve) < curve[-1], "the test needs a training that gets worse"
    assert result(best)["metrics"]["validation/loss"] == pytest.approx(min(curve))
    assert result(best)["selection"]["checkpoint"] == "best"
    assert result(last)["metrics"]["validation/loss"] == pytest.approx(curve[-1])


def test_a_best_checkpoint_of_another_step_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = artifact.restore_best

    def swapped(fit: Any) -> Any:
        path = fit.run.checkpoints / "best.ckpt"
        content = checkpoint.load(path)
        torch.save(content | {"global_step": content["global_step"] - 3}, path)
        return original(fit)

    monkeypatch.setattr(artifact, "restore_best", swapped)
    run = make_run(tmp_path, data)
    assert attempt(run) == 1
    assert run.result() is None
    error = run.status().error or ""
    assert "best.ckpt holds the weights of step" in error
    assert "rerun=failed" in error


def test_sigterm_while_training_leaves_a_checkpoint_and_an_interrupted_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.Module.training_step

    def asked_to_end(self: Any, *rest: Any) -> Any:
        if self.trainer.global_step == 3:  # the fourth step, the first of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *rest)

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module.Module, "training_step", asked_to_end)
            run = make_run(tmp_path, data, "callbacks.checkpoint.every_n_steps=null")
            assert attempt(run) == worker.INTERRUPTED
        assert run.state() == "interrupted"
        assert checkpoint.load(run.checkpoints / "last.ckpt")["global_step"] == 4
        assert attempt(run) == 0
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_sigterm_outside_of_training_ends_at_once() -> None:
    interruption = Interruption()
    with pytest.raises(Interrupted):
        interruption._handle(signal.SIGTERM, None)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_the_module_that_is_compiled_is_the_one_that_training_calls(
    family: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: dict[str, Any] = {}
    calls: list[torch.nn.Module] = []

    def counting(self: torch.nn.Module, **how: Any) -> None:
        compiled[type(self).__name__] = how
        original = self._call_impl

        def call(*inputs: Any, **keywords: Any) -> Any:
            calls.append(self)
            return original(*inputs, **keywords)

        self._compiled_call_impl = call

    monkeypatch.setattr(torch.nn.Module, "compile", counting)
    settings = ["model=tiny", f"model.architecture={family}", "tuning=lora", "trainer.max_steps=1"]
    plain, run = make_run(tmp_path, data, *settings, name="plain"), make_run(tmp_path, data, *settings, "trainer.compile=true", name="run")
    assert attempt(plain) == attempt(run) == 0
    assert compiled == {{"bert": "BertModel", "llama": "LlamaModel"}[family]: {"dynamic": True}}
    assert len(calls) >= 3, "one step, and two batches of evaluation"
    one, other = (checkpoint.load(each.checkpoints / "last.ckpt")["state_dict"] for each in (plain, run))
    assert one.keys() == other.keys()


def _start(run: RunDirectory, **more: Any) -> subprocess.Popen[bytes]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | more.pop("environment", {})
    arguments = [sys.executable, "-m", "finecomb.training.worker", str(run.path), *more.pop("arguments", [])]
    return subprocess.Popen(arguments, env=environment, stderr=subprocess.DEVNULL, **more)


@pytest.mark.slow
def test_a_worker_ends_when_its_parents_pipe_closes(data: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path, data, "trainer.max_epochs=100000")
    reading, writing = os.pipe()
    process = _start(run, arguments=["--parent-fd", str(reading)], pass_fds=(reading,))
    os.close(reading)
    deadline = time.monotonic() + 120
    while run.status().state != "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    os.close(writing)
    assert process.wait(30) == worker.INTERRUPTED
    assert run.state() == "interrupted"


@pytest.mark.slow
def test_two_ranks_finish_one_run_with_the_numbers_of_one_process(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data", group=True, train=21)
    settings = ["model.dropout=0.0", "tuning=lora", "optimizer=sgd"]
    alone = make_run(tmp_path, data, *settings, name="alone")
    run = make_run(tmp_path, data, *settings, "trainer=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=2", name="ranks")
    assert attempt(alone) == 0
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        names = {"WORLD_SIZE": 2, "NODE_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": listener.getsockname()[1]}
    ranks = [{name: str(value) for name, value in (names | {"RANK": rank, "LOCAL_RANK": rank}).items()} for rank in range(2)]
    processes = [_start(run, environment=rank) for rank in ranks]
    assert [process.wait(180) for process in processes] == [0, 0]
    one, other = result(alone), result(run)
    assert other["training"]["world_size"] == 2
    for name, value in one["metrics"].items():
        assert (
            other["metrics"][name] == pytest.approx(value, abs=1e-5, nan_ok=True) if value is not None else other["metrics"][name] is None
        )
    tables = [pyarrow.parquet.read_table(each.predictions / "test.parquet") for each in (alone, run)]
    assert tables[0]["id"] == tables[1]["id"]
    assert one["tokens"]["real"] == other["tokens"]["real"]
