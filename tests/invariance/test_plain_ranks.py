"""Two ranks under a plain Trainer train and evaluate as one process does, each row exactly once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import Outcome, cell_config, check_same, parts_of, plain
from plain_trainer import plain_trainer
from two_ranks_plainly import SIZES

TOLERANCE = 1e-9  # float64
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def ranks(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two ranks found."""
    parts_of(cell_config(data_folder, "single", "full"))  # the tiny weights are put into the cache before there are ranks
    folder = tmp_path_factory.mktemp("plain_ranks")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    processes = []
    for rank in range(2):
        names = {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in names.items()} | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "two_ranks_plainly.py"), str(data_folder), str(folder)]
        processes.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output[-6000:]
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_ranks_give_the_plain_gradient(ranks: list[dict[str, Any]], data_folder: Path) -> None:
    expected = plain(cell_config(data_folder, "single", "full"))
    for rank in ranks:
        check_same(expected, Outcome(rank["gradients"], rank["weights"], rank["frozen"]), TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
def test_two_ranks_validate_and_test_as_one_process(size: int, ranks: list[dict[str, Any]], data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full"))
    trainer, module = plain_trainer(parts.config), parts.module()
    for split, run in (("validation", trainer.validate), ("test", trainer.test)):
        [alone] = run(module, parts.data, verbose=False)
        for rank in ranks:
            assert rank[f"size {size}"][split] == pytest.approx(alone, abs=TOLERANCE)
    assert ranks[0][f"size {size}"] == ranks[1][f"size {size}"], "every rank logs the same values, to the last bit"


def test_every_rank_logs_the_same_validation_while_training(ranks: list[dict[str, Any]]) -> None:
    one, other = (rank["validations"] for rank in ranks)
    assert len(one) == 1
    assert "validation/accuracy" in one[0]
    assert one == other


def test_a_validation_that_repeats_a_row_on_two_ranks_is_an_error(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "0 of 11 examples never and 1 more than once" in rank["repeated"]
