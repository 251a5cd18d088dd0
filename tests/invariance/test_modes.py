"""Law 3: modes are set by the tuning method at every step, whatever Lightning and validation leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from harness import TUNINGS, cell_config, largest_difference, parts_of, run_in, train

from finecomb.training.fit import Fit
from finecomb.training.interruption import Interruption


class _Modes(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[dict[str, bool]] = []

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        self.seen.append({name: part.training for name, part in module.tuned.model.named_modules()})


def modes_in_training(folder: Path, data_folder: Path, tuning: str, *overrides: str) -> tuple[dict[str, bool], list[dict[str, bool]]]:
    """The modes that the method asks for, and those at each step of two epochs."""
    parts = parts_of(cell_config(data_folder, "single", tuning, "trainer.max_epochs=2", *overrides))
    parts.tuned.train_mode()
    wanted = {name: part.training for name, part in parts.tuned.model.named_modules()}
    parts.tuned.model.eval()
    fit, modes = Fit(parts, run_in(folder, parts.config), Interruption()), _Modes()
    original = fit.callbacks
    fit.callbacks = lambda: [*original(), modes]  # type: ignore[method-assign]
    fit.train([])
    return wanted, modes.seen


def check_dropout(folder: Path, data_folder: Path, tuning: str) -> None:
    """Dropout changes the gradient: training is not done in eval mode."""
    without, with_dropout = (
        train(folder, cell_config(data_folder, "single", tuning, f"model.dropout={rate}", "trainer.max_steps=1")) for rate in (0.0, 0.5)
    )
    assert largest_difference(without.gradients[0], with_dropout.gradients[0]) > 1e-3, "dropout had no effect"


@pytest.mark.parametrize("tuning", TUNINGS)
def test_the_modes_hold_at_every_step(tuning: str, data_folder: Path, tmp_path: Path) -> None:
    wanted, seen = modes_in_training(tmp_path, data_folder, tuning)
    assert len(seen) == 6
    assert all(modes == wanted for modes in seen)
    assert any(wanted.values())


def test_frozen_mode_train_puts_everything_in_train_mode(data_folder: Path, tmp_path: Path) -> None:
    wanted, seen = modes_in_training(tmp_path, data_folder, "head", "tuning.frozen_mode=train")
    assert all(wanted.values())
    assert all(modes == wanted for modes in seen)


def test_dropout_is_on_while_training(data_folder: Path, tmp_path: Path) -> None:
    check_dropout(tmp_path, data_folder, "full")


def test_dropout_differs_between_steps_and_seeds(data_folder: Path, tmp_path: Path) -> None:
    settings = ["model.dropout=0.5", "batch.size=20", "trainer.max_epochs=2", "optimizer.lr=1e-15", "batch.bucket=1"]
    one, again, other = (train(tmp_path, cell_config(data_folder, "single", "full", *settings, f"seed={seed}")) for seed in (1, 1, 2))
    assert all(torch.equal(one.gradients[0][name], again.gradients[0][name]) for name in one.gradients[0])
    # One batch holds all the data and the weights stand still, so only dropout differs.
    assert largest_difference(one.gradients[0], one.gradients[1]) > 1e-3
    assert largest_difference(one.gradients[0], other.gradients[0]) > 1e-3
