"""fp16's loss scaling changes no step. There is no GPU, so Lightning's own plugin scales a training that computes in float64.

Scales are powers of two, so scaling and unscaling is exact, and whatever is not undone shows.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from harness import cell_config, check_same, plain, run_in, train, with_split
from pytorch_lightning.plugins import MixedPrecision
from test_resume import assert_equal
from two_ranks import killed_and_resumed

from finecomb.config.schema.train import Config
from finecomb.learning import optimizer
from finecomb.training import checkpoint
from finecomb.training.module import Module

SCALE = 1024.0
CLIPPED = ["trainer.gradient_clip_val=0.1"]


class _Scaled(MixedPrecision):
    """Loss scaling without fp16."""

    def __init__(self) -> None:
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=SCALE, growth_interval=2))

    def autocast_context_manager(self) -> Any:
        return nullcontext()


@contextmanager
def scaling() -> Iterator[list[_Scaled]]:
    """Trainers with loss scaling instead of the precision of the config. Gives the plugin of each Trainer that was built."""
    original, built = pl.Trainer, []

    def trainer(*, precision: str, plugins: list[Any], **how: Any) -> pl.Trainer:
        assert precision == "16-mixed"
        built.append(_Scaled())
        return original(plugins=[*plugins, built[-1]], **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pl, "Trainer", trainer)
        yield built


def in_fp16(config: Config) -> Config:
    """The config with precision=16-mixed, which the command line refuses without a GPU."""
    return dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, precision="16-mixed"))


def check_scaling(data_folder: Path, folder: Path) -> None:
    """Scaled, unscaled and clipped, the steps are those without scaling."""
    config = cell_config(data_folder, "single", "full", *CLIPPED)
    with scaling() as built:
        found = train(folder, with_split(in_fp16(config), parts=4))
    assert built[0].scaler is not None
    assert built[0].scaler.get_scale() == 2 * SCALE, "the test needs a scale that has grown"
    check_same(plain(config), found, 1e-9)


def micro_batches_that_are_not_scaled(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: all micro-batches but the last go around the strategy, and so around the scaler."""
    original, calls = Module._backward, itertools.count(1)

    def backward(self: Any, loss: torch.Tensor) -> None:
        original(self, loss) if next(calls) % 4 == 0 else loss.backward()

    patch.setattr(Module, "_backward", backward)


def a_fused_step(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: the optimizer unscales in its step, after the gradient has been clipped."""
    original = optimizer.build
    patch.setattr(optimizer, "build", lambda config, tuned, *, fused: original(config, tuned, fused=True))


def test_loss_scaling_changes_no_step(data_folder: Path, tmp_path: Path) -> None:
    check_scaling(data_folder, tmp_path)


@pytest.mark.parametrize("defect", [micro_batches_that_are_not_scaled, a_fused_step])
def test_a_planted_defect_turns_the_check_red(defect: Any, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    defect(monkeypatch)
    with pytest.raises((AssertionError, RuntimeError), match=r"gradient of step 0|fused"):
        check_scaling(data_folder, tmp_path)


def test_a_step_whose_gradient_overflows_is_skipped_and_the_scale_halved(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Module._loss

    def overflowing(self: Any, batch: Any, scale: Any) -> torch.Tensor:
        loss = original(self, batch, scale)
        if self.trainer.global_step != 1:
            return loss
        weight = next(parameter for parameter in self.tuned.model.parameters() if parameter.requires_grad)
        return loss + (weight - weight.detach()).sum().sqrt()  # 0, with an infinite slope

    config = cell_config(data_folder, "single", "full", "trainer.max_steps=2")
    once = train(tmp_path, with_split(config, parts=1), run=run_in(tmp_path, config))
    monkeypatch.setattr(Module, "_loss", overflowing)
    with scaling() as built:
        found = train(tmp_path, in_fp16(config))
    assert built[0].scaler is not None
    assert built[0].scaler.get_scale() == SCALE / 2
    assert not all(bool(tensor.isfinite().all()) for tensor in found.gradients[1].values())
    assert all(bool(tensor.isfinite().all()) for tensor in found.weights.values())
    assert_equal(once.gradients[0], found.gradients[0])


def test_the_scale_is_resumed(data_folder: Path, tmp_path: Path) -> None:
    settings = ["trainer.max_epochs=3", "callbacks.checkpoint.every_n_steps=1", "model.dropout=0.2", *CLIPPED]
    config = in_fp16(cell_config(data_folder, "single", "full", *settings))
    alone, killed = run_in(tmp_path, config), run_in(tmp_path, config)
    with scaling():
        expected = train(tmp_path, config, run=alone)
        found = killed_and_resumed(killed, config, step=6)
    assert_equal(expected.gradients[5:], found.gradients)
    last, also_last = (checkpoint.load(run.checkpoints / checkpoint.LAST) for run in (alone, killed))
    [name] = [name for name in last if "Scaled" in name or name == "MixedPrecision"]
    assert last[name]["scale"] > SCALE
    for part in (name, "state_dict", "optimizer_states"):
        assert_equal(last[part], also_last[part], part)
