"""Law 1 over processes: two ranks give the gradient and the weights that one process gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch
from harness import (
    FAMILIES,
    TASKS,
    ZERO_WEIGHTS,
    Outcome,
    cell_config,
    check_same,
    check_zero_weights,
    largest_difference,
    parts_of,
    plain,
    prepared,
)
from test_resume import assert_equal
from tiny_runs import make_run, metrics, tiny_config
from two_ranks import CELLS, CLIPPED, EXPERIMENT, FSDP, PRECISIONS, SHARDED_CELLS, WEIGHTED, whole_run

from finecomb.runs.directory import RunDirectory
from finecomb.training import checkpoint, worker

TOLERANCE = 1e-9  # float64; measured: below 1e-15
HERE = Path(__file__).parent
# A whole run, in fp32, with an adaptive optimizer, clipping and warm-up.
WHOLE = [
    "trainer.max_epochs=2",
    "trainer.gradient_clip_val=1",
    "optimizer.lr=1e-3",
    "model.dropout=0.0",
    "model=tiny",
    "model.architecture=qwen3",
]


@pytest.fixture(scope="module")
def outcomes(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks trained: all cells in one pair of processes, because starting them takes most of the time."""
    for task in TASKS:
        prepared(data_folder, task)
    for family in FAMILIES:
        # transformers writes no config from any rank but the first, so the tiny weights are put into the cache before there are ranks.
        parts_of(cell_config(data_folder, "single", "full", "model=tiny", f"model.architecture={family}"))
    folder = tmp_path_factory.mktemp("ranks")
    for name, overrides in (("two", [*FSDP, "trainer.devices=2"]), ("one", ["trainer=cpu"])):
        make_run(folder / "runs", prepared(data_folder, "single"), *WHOLE, *overrides, name=name)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = []
    for rank in range(2):
        (folder / f"rank{rank}").mkdir()
        names = {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in names.items()} | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "two_ranks.py"), str(data_folder), str(folder)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output[-6000:]
    return folder


def _outcome(outcomes: Path, name: str, rank: int = 0) -> Outcome:
    return Outcome(**torch.load(outcomes / f"rank{rank}" / f"{name}.pt", weights_only=True))


@pytest.mark.parametrize(("task", "tuning", "family"), CELLS)
def test_two_ranks_give_the_plain_gradient(task: str, tuning: str, family: str, outcomes: Path, data_folder: Path) -> None:
    expected = plain(cell_config(data_folder, task, tuning, "model=tiny", f"model.architecture={family}"))
    for rank in range(2):
        check_same(expected, _outcome(outcomes, f"{task}-{tuning}-{family}", rank), TOLERANCE)


def test_a_rank_without_an_example_changes_nothing(outcomes: Path, data_folder: Path) -> None:
    expected = plain(cell_config(data_folder, "single", "full", "batch.size=19"))
    check_same(expected, _outcome(outcomes, "uneven"), TOLERANCE)


def test_class_weights_are_normalized_over_the_batches_of_all_ranks(outcomes: Path, data_folder: Path) -> None:
    expected = plain(cell_config(data_folder, "single", "full", *WEIGHTED))
    check_same(expected, _outcome(outcomes, "weighted"), TOLERANCE)
    with pytest.raises(AssertionError, match="gradient of step 0"):
        check_same(expected, _outcome(outcomes, "weighted, normalized per rank"), TOLERANCE)


def test_the_norm_that_is_clipped_is_that_of_the_gradient_of_all_ranks(outcomes: Path, data_folder: Path) -> None:
    check_same(plain(cell_config(data_folder, "single", "full", *CLIPPED)), _outcome(outcomes, "clipped"), TOLERANCE)


def _check_resumed(outcomes: Path, name: str, folder: str, *, alone: str = "alone") -> None:
    """Two ranks that were killed and resumed computed the same steps, bit for bit, and left the same checkpoint and record."""
    for rank in range(2):
        uninterrupted, resumed = _outcome(outcomes, alone, rank), _outcome(outcomes, name, rank)
        assert (len(uninterrupted.gradients), len(resumed.gradients)) == (9, 4)
        assert_equal(uninterrupted.gradients[-4:], resumed.gradients, f"rank {rank}: gradients")
        assert_equal(uninterrupted.weights, resumed.weights, f"rank {rank}: weights")
    one, other = RunDirectory(outcomes / alone), RunDirectory(outcomes / folder)
    last, also_last = (checkpoint.load(run.checkpoints / checkpoint.LAST) for run in (one, other))
    for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers", "unlogged"):
        assert_equal(last[part], also_last[part], part)
    assert_equal(metrics(one), metrics(other), "metrics")


def test_two_ranks_that_are_killed_resume_bit_for_bit(outcomes: Path) -> None:
    _check_resumed(outcomes, "resumed", "killed")
    with pytest.raises(AssertionError, match="rank 0: gradients"):
        _check_resumed(outcomes, "resumed, not seeded", "defective")


def test_a_batch_in_which_no_example_of_any_rank_counts_has_gradient_zero(outcomes: Path, data_folder: Path) -> None:
    config = cell_config(data_folder, "single", "full", *ZERO_WEIGHTS)
    for rank in range(2):
        check_zero_weights(config, _outcome(outcomes, "zero", rank))


@pytest.mark.parametrize("name", SHARDED_CELLS)
def test_a_model_divided_between_two_ranks_gives_the_plain_gradient(name: str, outcomes: Path, data_folder: Path) -> None:
    task, tuning, overrides = SHARDED_CELLS[name]
    expected = plain(cell_config(data_folder, task, tuning, *overrides))
    for rank in range(2):
        check_same(expected, _outcome(outcomes, f"sharded {name}", rank), TOLERANCE)


@pytest.mark.parametrize("name", ["sharded", "sharded adamw"])
def test_a_divided_model_that_is_killed_resumes_bit_for_bit(name: str, outcomes: Path) -> None:
    _check_resumed(outcomes, f"{name} resumed", f"{name} killed", alone=f"{name} alone")


def test_the_checkpoint_of_a_divided_model_has_the_form_of_any_other(outcomes: Path) -> None:
    last = checkpoint.load(outcomes / "sharded alone" / "checkpoints" / checkpoint.LAST)
    by_ddp = checkpoint.load(outcomes / "alone" / "checkpoints" / checkpoint.LAST)
    for part in ("state_dict", "optimizer_states"):
        assert _shapes(last[part]) == _shapes(by_ddp[part]), part


def _shapes(content: Any) -> Any:
    """The structure of a checkpoint, with shapes and types in place of tensors."""
    if isinstance(content, dict):
        return {name: _shapes(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_shapes(value) for value in content]
    return (type(content), content.shape, content.dtype) if isinstance(content, torch.Tensor) else type(content)


def test_a_run_with_a_divided_model_leaves_what_one_process_leaves(outcomes: Path) -> None:
    one, whole = (whole_run(outcomes, name) for name in ("one", "two"))
    assert worker.attempt(one, True, time.monotonic()) == 0, one.status().error
    assert one.state() == whole.state() == "finished"
    for name in (checkpoint.LAST, checkpoint.BEST):
        first, second = (checkpoint.load(run.checkpoints / name) for run in (one, whole))
        assert _shapes(first["state_dict"]) == _shapes(second["state_dict"])
        for key, tensor in first["state_dict"].items():
            torch.testing.assert_close(second["state_dict"][key], tensor, rtol=1e-3, atol=1e-4)
    files = [{str(path.relative_to(run.artifact)) for path in run.artifact.rglob("*") if path.is_file()} for run in (one, whole)]
    assert files[0] == files[1]
    predictions = [pyarrow.parquet.read_table(run.predictions / "test.parquet") for run in (one, whole)]
    assert predictions[0]["id"].to_pylist() == predictions[1]["id"].to_pylist()
    logits = [torch.tensor(table["logits"].to_pylist()) for table in predictions]
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-3, atol=1e-3)
    lines = [[line["train/gradient_norm"] for line in run.metrics() if "train/gradient_norm" in line] for run in (one, whole)]
    assert lines[1] == pytest.approx(lines[0], rel=1e-3)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_experiment_with_full_tuning_trains_a_tiny_model_of_its_architecture(precision: str, outcomes: Path, data_folder: Path) -> None:
    one = [each for each in EXPERIMENT if each != "trainer.devices=2"]
    config = tiny_config(prepared(data_folder, "single"), *one, "trainer=cpu", "trainer.strategy=auto", "trainer.devices=1")
    assert config.model.gradient_checkpointing
    parts = parts_of(config, double=False)
    parts.data.setup("fit")
    before = {name: tensor.clone() for name, tensor in parts.tuned.trainable_state().items()}
    found = _outcome(outcomes, f"sharded experiment in {precision}")
    assert len(found.gradients) == 2
    batch = parts.data.splits["train"].batch(parts.data.plan.epoch(0)[0])
    parts.tuned.train_mode()
    torch.nn.functional.cross_entropy(parts.tuned.forward(batch.inputs), batch.targets).backward()
    gradients = {name: parts.tuned.model.get_parameter(name).grad for name in before}
    computed = {name: gradient.float() for name, gradient in found.gradients[0].items()}
    assert largest_difference(gradients, computed) < 0.05  # bfloat16 against fp32
    # In bfloat16 a step of 1e-5 is rounded away.
    exact = [name for name, tensor in found.weights.items() if tensor.dtype == torch.float32]
    assert len(exact) == (len(before) if precision == "bf16-mixed" else 1)
    assert all(not torch.equal(found.weights[name], before[name]) for name in exact)
