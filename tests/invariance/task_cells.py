"""Cells of the invariance suite for every task: made-up rows of each task, and the checks that every cell has to pass.

A task has a module `cells_TASK.py` beside this one, with a `Cell` named CELL.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from harness import PLAIN, check_same, parts_of, train, tuning_overrides, with_split
from tiny_runs import make_run, tiny_config, write_rows

from finecomb.config.schema.train import Config
from finecomb.data.dataset.rows import Rows
from finecomb.training import worker
from finecomb.training.datamodule import EvaluationLoader
from finecomb.training.evaluate import Evaluation, evaluate
from finecomb.training.parts import Parts

# float64; measured: below 1e-13.
TOLERANCE = 1e-9
TUNINGS = ("full", "head", "top_layers", "bitfit", "lora", "prompt")


@dataclass(frozen=True)
class Cell:
    """A task in the suite.

    Attributes:
        kind: Of label.
        rows: Rows of a split by its name, number of rows and random numbers.
        overrides: Of the task.
        architecture: The usual one, on which every tuning method is tried.
        others: Architectures that are tried with `full` and `lora`.
        label_names: Names of the labels by index; None where they have none.
        task: Its name, where the module has another.
        refused: Tuning methods that are refused on an architecture, as (tuning, architecture).
    """

    kind: str
    rows: Callable[[str, int, random.Random], Rows]
    overrides: Sequence[str]
    architecture: str
    others: Sequence[str] = ()
    label_names: list[str] | None = None
    refused: frozenset[tuple[str, str]] = frozenset()
    task: str | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """(tuning, architecture) of every cell that is not refused."""
        every = [(tuning, self.architecture) for tuning in TUNINGS]
        every += [(tuning, architecture) for architecture in self.others for tuning in ("full", "lora")]
        return [pair for pair in every if pair not in self.refused]


def cells() -> dict[str, Cell]:
    """Every task's cell by the name of the task."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("cells_*.py"))
    return {name.removeprefix("cells_"): importlib.import_module(name).CELL for name in names}


def data_of(folder: Path, task: str, cell: Cell) -> Path:
    """The prepared rows of a task; 20 of train, so that batches of 8 leave a tail of 4."""
    target = folder / f"cells-{task}"
    if not target.exists():
        counts = {"train": 20, "validation": 7, "test": 9}
        splits = {name: cell.rows(name, count, random.Random(f"{task} {name}")) for name, count in counts.items()}
        write_rows(target, splits, cell.kind, cell.label_names)
    return target


def overrides_of(task: str, cell: Cell, tuning: str, architecture: str) -> list[str]:
    """The overrides of one cell."""
    return [f"task={cell.task or task}", f"model.architecture={architecture}", *cell.overrides, *tuning_overrides(tuning)]


def config_of(folder: Path, task: str, cell: Cell, tuning: str, architecture: str, *more: str) -> Config:
    """The config of one cell, by SGD without dropout."""
    return tiny_config(data_of(folder, task, cell), *overrides_of(task, cell, tuning, architecture), *PLAIN, *more)


def check_splits(folder: Path, config: Config) -> None:
    """Gradients and trained weights are those of the whole batch, however it is split into micro-batches."""
    whole = train(folder, with_split(config, parts=1))
    for split in ({"parts": 4}, {"parts": 8}, {"tokens": 60}):
        check_same(whole, train(folder, with_split(config, **split)), TOLERANCE)


def evaluation(parts: Parts, size: int) -> Evaluation:
    """Evaluate on test in batches of a size."""
    return evaluate(parts.tuned, parts.task, parts.loss, EvaluationLoader(parts.data.splits["test"], size), device=torch.device("cpu"))


def check_evaluation(config: Config) -> None:
    """Loss, metrics and what is kept of each row are the same alone, beside others, and padded on either side."""
    parts = parts_of(config)
    alone = evaluation(parts, 1)
    for size in (4, 64):
        check_equal(alone, evaluation(parts, size))
    for side in ("left", "right"):
        parts.backbone.tokenizer.padding_side = side
        check_equal(alone, evaluation(parts, 4))


def check_equal(one: Evaluation, other: Evaluation) -> None:
    """Equal but for rounding."""
    assert torch.allclose(one.kept, other.kept, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    assert torch.allclose(one.losses, other.losses, rtol=TOLERANCE, atol=TOLERANCE)
    assert torch.equal(one.weights, other.weights)
    assert one.metrics.keys() == other.metrics.keys()
    for name, value in one.metrics.items():
        assert value == (other.metrics[name] if value is None else pytest.approx(other.metrics[name], abs=1e-7)), name


def check_run(folder: Path, task: str, cell: Cell, tuning: str, architecture: str, *more: str) -> None:
    """A whole run ends well: its saved artifact gives the recorded predictions, which the worker compares."""
    data = data_of(folder, task, cell)
    overrides = [*overrides_of(task, cell, tuning, architecture), "trainer.max_epochs=1", *more]
    run = make_run(folder / "runs", data, *overrides, name=f"{task}-{tuning}-{architecture}")
    assert worker.attempt(run, first=True, started=0.0) == 0
    result = run.result() or {}
    assert result["status"] == "finished"
    assert (run.predictions / "test.parquet").is_file()
