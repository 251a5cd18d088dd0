"""Callbacks that any pl.Trainer can use, on a module and data that know nothing of finecomb."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from harness import parts_of
from pytorch_lightning.loggers import CSVLogger
from tiny_runs import tiny_config
from torch import Tensor, nn
from torch.utils.data import DataLoader

from finecomb.training.callbacks.build import build
from finecomb.training.callbacks.gradient_statistics import GradientStatistics, group_of
from finecomb.training.callbacks.learning_rate_monitor import LearningRateMonitor
from finecomb.training.callbacks.weight_averaging import WeightAveraging

INPUTS = torch.linspace(-1, 1, 24).reshape(8, 3)


class Plain(pl.LightningModule):
    """A frozen and a trained linear map; state_dict holds what trains, as finecomb's module has it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen, self.layer, self.head = nn.Linear(3, 3), nn.ModuleList([nn.Linear(3, 3)]), nn.Linear(3, 1)
        self.frozen.requires_grad_(False)
        self.history: list[Tensor] = []
        self.validated: list[Tensor] = []

    def loss(self, batch: Tensor) -> Tensor:
        return (self.head(self.layer[0](self.frozen(batch)).tanh()) - batch[:, :1]).square().mean()

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return self.loss(batch)

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.validated.append(self.head.weight.detach().clone())
        self.log("validation/loss", self.loss(batch))

    def on_train_batch_end(self, *_: Any) -> None:
        self.history.append(self.head.weight.detach().clone())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW([each for each in self.parameters() if each.requires_grad], lr=0.05)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": torch.optim.lr_scheduler.LinearLR(optimizer), "interval": "step"}}

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        return {name: each.detach() for name, each in self.named_parameters() if each.requires_grad}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        with torch.no_grad():
            for name, each in self.named_parameters():
                if each.requires_grad:
                    each.copy_(state_dict[name])


def fit(folder: Path, *callbacks: pl.Callback, epochs: int = 2, resume: Path | None = None, **more: Any) -> tuple[Plain, pl.Trainer]:
    module = Plain()
    trainer = pl.Trainer(
        default_root_dir=folder, max_epochs=epochs, accelerator="cpu", callbacks=[*callbacks], enable_progress_bar=False,
        enable_model_summary=False, log_every_n_steps=1, num_sanity_val_steps=1, **{"logger": False, "enable_checkpointing": False} | more,
    )  # fmt: skip
    # Four equal batches: Lightning starts an epoch's data again when it resumes within it.
    trainer.fit(module, DataLoader(INPUTS.repeat(4, 1), 8), DataLoader(INPUTS, 4), ckpt_path=resume, weights_only=True)
    return module, trainer


def averages(history: list[Tensor], decay: float) -> list[Tensor]:
    """By the definition; the first update takes the weights themselves, as torch's AveragedModel does."""
    found = [history[0]]
    for weights in history[1:]:
        found.append(decay * found[-1] + (1 - decay) * weights)
    return found


def test_the_averaged_weights_are_validated_and_left_in_the_module(tmp_path: Path) -> None:
    module, _ = fit(tmp_path, WeightAveraging(0.7))
    expected = averages(module.history, 0.7)
    # One batch of the sanity check, then two at the end of each of two epochs of four steps.
    for validated, wanted in zip(module.validated[1:], [expected[3]] * 2 + [expected[7]] * 2, strict=True):
        torch.testing.assert_close(validated, wanted)
    torch.testing.assert_close(module.head.weight, expected[-1])


def test_training_is_the_same_with_and_without_an_average(tmp_path: Path) -> None:
    averaged, plain = fit(tmp_path, WeightAveraging(0.7))[0], fit(tmp_path)[0]
    assert all(torch.equal(*pair) for pair in zip(averaged.history, plain.history, strict=True))
    assert not torch.equal(averaged.head.weight, plain.head.weight)


def test_a_checkpoint_holds_the_average_and_the_current_weights_of_what_trains_alone(tmp_path: Path) -> None:
    saved = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=3)
    module, _ = fit(tmp_path, WeightAveraging(0.7), saved, enable_checkpointing=True, epochs=1)
    content = torch.load(tmp_path / "step=3.ckpt", weights_only=True)
    torch.testing.assert_close(content["state_dict"]["head.weight"], averages(module.history, 0.7)[2])
    assert torch.equal(content["current_model_state"]["head.weight"], module.history[2])
    assert content["state_dict"].keys() == content["current_model_state"].keys()
    assert not any(name.startswith("frozen") for name in content["state_dict"])


@pytest.mark.parametrize("step", [3, 4, 6, 8])
def test_an_average_resumes_bit_for_bit(tmp_path: Path, step: int) -> None:
    saved = pl.callbacks.ModelCheckpoint(tmp_path, filename="{step}", save_top_k=-1, every_n_train_steps=1)
    whole, _ = fit(tmp_path, WeightAveraging(0.7), saved, enable_checkpointing=True)
    resumed, trainer = fit(tmp_path, WeightAveraging(0.7), resume=tmp_path / f"step={step}.ckpt")
    assert trainer.global_step == 8
    assert all(torch.equal(tensor, resumed.state_dict()[name]) for name, tensor in whole.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(whole.history[step:], resumed.history, strict=True))


class _Scaled(pl.Callback):
    """Keeps the gradients of each step."""

    def __init__(self) -> None:
        self.norms: list[dict[str, float]] = []

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:
        self.norms.append({name: float(each.grad.norm()) for name, each in module.named_parameters() if each.grad is not None})


def test_gradient_norms_of_groups_are_those_before_clipping_when_due(tmp_path: Path) -> None:
    kept, written = _Scaled(), []
    statistics = GradientStatistics(3, lambda trainer, values: written.append((trainer.global_step, values)))
    fit(tmp_path, statistics, kept, gradient_clip_val=1e-3)
    assert [step for step, _ in written] == [3, 6]
    for step, values in written:
        norms = kept.norms[step - 1]
        assert values["gradient_norm/layer.0"] == pytest.approx((norms["layer.0.weight"] ** 2 + norms["layer.0.bias"] ** 2) ** 0.5)
        assert values.keys() == {"gradient_norm/layer.0", "gradient_norm/head"}
        assert values["gradient_norm/head"] > 1e-2


def test_groups_are_layers_or_the_modules_that_hold_a_tensor() -> None:
    assert group_of("model.bert.encoder.layer.3.attention.self.query.weight") == "model.bert.encoder.layer.3"
    assert group_of("model.bert.embeddings.word_embeddings.weight") == "model.bert.embeddings.word_embeddings"
    assert group_of("prompt") == "prompt"


def test_loggers_get_norms_and_learning_rates_and_none_is_needed(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="log", version=0)
    fit(tmp_path, GradientStatistics(2), LearningRateMonitor(logging_interval="step"), logger=logger)
    text = (tmp_path / "log" / "version_0" / "metrics.csv").read_text()
    assert "gradient_norm/head" in text
    assert "lr-AdamW" in text
    fit(tmp_path, GradientStatistics(2), LearningRateMonitor(logging_interval="step"))


def test_the_callbacks_of_a_config_work_with_a_plain_trainer_on_finecombs_modules(data: Path, tmp_path: Path) -> None:
    settings = [
        "callbacks.sample_predictions.num_examples=4",
        "callbacks.gradient_statistics.every_n_steps=1",
        "callbacks.learning_rate_monitor.logging_interval=step",
        "callbacks.weight_averaging.decay=0.5",
    ]
    config = tiny_config(data, "tuning=lora", *settings)
    parts, logger = parts_of(config, double=False), CSVLogger(tmp_path, name="log", version=0)
    trainer = pl.Trainer(
        default_root_dir=tmp_path, max_epochs=2, accelerator="cpu", callbacks=build(config.callbacks), logger=logger, log_every_n_steps=1,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    module = parts.module()
    trainer.fit(module, datamodule=parts.data)
    at_the_end = trainer.callback_metrics["validation/loss"]
    assert [path.name for path in sorted((tmp_path / "samples").iterdir())] == ["step-000003.csv", "step-000006.csv"]
    rows = list(csv.DictReader((tmp_path / "samples" / "step-000006.csv").open()))
    assert [row["id"] for row in rows] == ["validation-0", "validation-3", "validation-6", "validation-10"]
    assert {row["label"] for row in rows} <= set(parts.prepared.label_names or ())
    header = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().partition("\n")[0]
    assert "gradient_norm/" in header
    assert "lr-AdamW" in header
    # The weights left in the module are those that were validated at the end of the last epoch.
    (metrics,) = trainer.validate(module, datamodule=parts.data, verbose=False)
    assert metrics["validation/loss"] == pytest.approx(float(at_the_end))
