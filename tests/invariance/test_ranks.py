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
from two_ranks import CELLS

TOLERANCE = 1e-9  # float64; measured: below 1e-15
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def outcomes(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks trained: all cells in one pair of processes, because starting them takes most of the time."""
    for task in TASKS:
        prepared(data_folder, task)
    for family in FAMILIES:
        # transformers writes no config from any rank but the first, so the tiny weights are put into the cache before there are ranks.
        parts_of(cell_config(data_folder, "single", "full", f"model=tiny_{family}"))
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


@pytest.mark.parametrize(("task", "tuning", "family"), CELLS)
def test_two_ranks_give_the_plain_gradient(task: str, tuning: str, family: str, outcomes: Path, data_folder: Path) -> None:
    expected = plain(cell_config(data_folder, task, tuning, f"model=tiny_{family}"))
    for rank in range(2):
        found = Outcome(**torch.load(outcomes / f"rank{rank}" / f"{task}-{tuning}-{family}.pt", weights_only=True))
        check_same(expected, found, TOLERANCE)


def test_a_rank_without_an_example_changes_nothing(outcomes: Path, data_folder: Path) -> None:
    expected = plain(cell_config(data_folder, "single", "full", "batch.size=19"))
    found = Outcome(**torch.load(outcomes / "rank0" / "uneven.pt", weights_only=True))
    check_same(expected, found, TOLERANCE)


def test_a_batch_in_which_no_example_of_any_rank_counts_has_gradient_zero(outcomes: Path, data_folder: Path) -> None:
    config = cell_config(data_folder, "single", "full", *ZERO_WEIGHTS)
    for rank in range(2):
        check_zero_weights(config, Outcome(**torch.load(outcomes / f"rank{rank}" / "zero.pt", weights_only=True)))
