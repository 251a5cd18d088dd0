"""What large models need, at the size of tests: weights in bfloat16, checkpointed layers, and the experiments that use them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from tiny_runs import make_run, result, weights

from finecomb.runs.directory import RunDirectory
from finecomb.training import worker

BF16 = torch.bfloat16


def attempt(run: RunDirectory) -> int:
    return worker.attempt(run, first=True, started=time.monotonic())


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_bf16_true_trains_evaluates_and_saves_in_bfloat16_with_an_fp32_head(data: Path, tmp_path: Path, tuning: str) -> None:
    common = [f"tuning={tuning}", "trainer.max_epochs=1", "batch.micro_batches=2", "model.gradient_checkpointing=true"]
    run = make_run(tmp_path, data, *common, "trainer.precision=bf16-true", "model=tiny", "model.architecture=qwen3")
    assert attempt(run) == 0, run.status().error
    kinds = {name: tensor.dtype for name, tensor in weights(run).items()}
    new = {name for name in kinds if "score" in name or ".lora_" in name}
    assert {kinds[name] for name in new} == {torch.float32}
    assert {kind for name, kind in kinds.items() if name not in new} == ({BF16} if tuning == "full" else set())
    assert json.loads((run.artifact / "finecomb.json").read_text())["precision"] == "bfloat16"
    found = result(run)
    assert found["training"]["precision"] == "bf16-true"
    assert found["reloaded"]["largest_difference"] <= found["reloaded"]["tolerance"]
    assert "bfloat16 weights and an fp32 head" in (run.artifact / "README.md").read_text()
    # Evaluated in bfloat16, and near the same training in fp32.
    exact = make_run(tmp_path, data, *common, "model=tiny", "model.architecture=qwen3", name="exact")
    assert attempt(exact) == 0
    logits = [torch.tensor(pyarrow.parquet.read_table(each.predictions / "test.parquet")["logits"].to_pylist()) for each in (run, exact)]
    difference = float((logits[0] - logits[1]).abs().max())
    assert 1e-4 < difference < 0.2, difference


def test_the_lora_experiment_takes_a_step_on_a_tiny_model_of_its_architecture(data: Path, tmp_path: Path) -> None:
    """The dry run that its file describes: only the model, the device and the length are other ones."""
    run = make_run(tmp_path, data, "experiment=lora_7b_one_gpu", "trainer=cpu", "trainer.precision=bf16-true", "model=tiny",
                   "model.architecture=qwen3", "batch.max_length=64", "trainer.max_steps=1", "evaluate.test=false")  # fmt: skip
    assert run.config["model"]["gradient_checkpointing"]
    assert run.config["tuning"]["target_modules"] == "all-linear"
    assert attempt(run) == 0, run.status().error
    assert {tensor.dtype for tensor in weights(run).values()} == {torch.float32}
    assert result(run)["training"]["steps"] == 1
