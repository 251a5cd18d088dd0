"""Law 1 over processes: two ranks give the gradient and the weights that one process gives."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import FAMILIES, TASKS, ZERO_WEIGHTS, Outcome, cell_config, check_same, check_zero_weights, parts_of, plain, prepared
from test_resume import assert_equal
from tiny_runs import metrics
from two_ranks import CELLS, CLIPPED, WEIGHTED

from finecomb.runs.directory import RunDirectory
from finecomb.training import checkpoint

TOLERANCE = 1e-9  # float64; measured: below 1e-15
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def outcomes(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks trained: all cells in one pair of processes, because starting them takes most of the time."""
    for task in TASKS:
        prepared(data_folder, task)
    for family in FAMILIES:
        # transformers writes no config from any rank but the first, so the tiny weights are put into the cache before there are ranks.
        parts_of(cell_config(data_folder, "single", "full", "model=tiny", f"model.architecture={family}"))
    folder = tmp_path_factory.mktemp("ranks")
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
        output, _ = process.communicate(timeout=300)
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


def _check_resumed(outcomes: Path, name: str, folder: str) -> None:
    """Two ranks that were killed and resumed computed the same steps, bit for bit, and left the same checkpoint and record."""
    for rank in range(2):
        alone, resumed = _outcome(outcomes, "alone", rank), _outcome(outcomes, name, rank)
        assert (len(alone.gradients), len(resumed.gradients)) == (9, 4)
        assert_equal(alone.gradients[-4:], resumed.gradients, f"rank {rank}: gradients")
        assert_equal(alone.weights, resumed.weights, f"rank {rank}: weights")
    one, other = RunDirectory(outcomes / "alone"), RunDirectory(outcomes / folder)
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
