"""Every task x tuning method: the same gradients, metrics and predictions whatever the way of computing them."""

from __future__ import annotations

from pathlib import Path

import pytest
from task_cells import cells, check_evaluation, check_run, check_splits, config_of

CELLS = cells()
PAIRS = [(task, tuning, architecture) for task, cell in CELLS.items() for tuning, architecture in cell.pairs()]


@pytest.mark.parametrize(("task", "tuning", "architecture"), PAIRS)
def test_gradients_do_not_depend_on_how_a_batch_is_split(
    task: str, tuning: str, architecture: str, data_folder: Path, tmp_path: Path
) -> None:
    check_splits(tmp_path, config_of(data_folder, task, CELLS[task], tuning, architecture))


@pytest.mark.parametrize(("task", "tuning", "architecture"), PAIRS)
def test_evaluation_depends_neither_on_company_nor_on_padding(task: str, tuning: str, architecture: str, data_folder: Path) -> None:
    check_evaluation(config_of(data_folder, task, CELLS[task], tuning, architecture))


@pytest.mark.parametrize(("task", "tuning"), [(task, tuning) for task in CELLS for tuning in ("full", "lora")])
def test_a_saved_artifact_gives_the_recorded_predictions(task: str, tuning: str, tmp_path: Path) -> None:
    check_run(tmp_path, task, CELLS[task], tuning, CELLS[task].architecture)
