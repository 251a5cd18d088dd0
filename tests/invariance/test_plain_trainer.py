"""The laws hold through a plain `pl.Trainer().fit(module, datamodule)` too, with Lightning's own callbacks, loggers and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from harness import Outcome, cell_config, check_same, largest_difference, parts_of, plain, with_split
from plain_trainer import plain_trainer, train_plainly
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from test_resume import Killed, assert_equal

from finecomb.config.schema.train import Config, Monitor
from finecomb.core.errors import ConfigError
from finecomb.training import module
from finecomb.training.callbacks import Best
from finecomb.training.datamodule import EvaluationLoader
from finecomb.training.evaluate import Evaluation, evaluate
from finecomb.training.parts import Parts

TOLERANCE = 1e-9  # float64
# Each task and each tuning method once.
CELLS = [
    ("single", "full"), ("pair", "head"), ("multi_label", "top_layers"), ("regression", "bitfit"), ("pair", "lora"), ("single", "prompt"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "tuning"), CELLS)
def test_a_split_batch_gives_the_plain_gradient(task: str, tuning: str, data_folder: Path) -> None:
    config = cell_config(data_folder, task, tuning)
    check_same(plain(config), train_plainly(with_split(config, parts=4)), TOLERANCE)


def test_clipping_is_by_the_value_of_the_config_and_the_norm_is_logged_before_it(data_folder: Path) -> None:
    config = cell_config(data_folder, "single", "full", "trainer.gradient_clip_val=0.1", "trainer.log_every_n_steps=1")
    expected, seen = plain(config), Seen()
    check_same(expected, train_plainly(with_split(config, parts=4), callbacks=[seen]), TOLERANCE)
    norms = [float(torch.stack([each.norm() for each in step.values()]).norm()) for step in expected.gradients]
    assert min(norms) > 0.1
    assert [step["train/gradient_norm"] for step in seen.steps] == pytest.approx(norms)


class Seen(pl.Callback):
    """A callback of one's own, which sees metrics as every callback does."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.validations: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("validation/")}
        if not trainer.sanity_checking:
            self.validations.append(metrics)


def evaluated(parts: Parts, split: str = "validation", size: int = 4) -> Evaluation:
    """The evaluation that ends a run."""
    return evaluate(parts.tuned, parts.task, parts.loss, EvaluationLoader(parts.data.splits[split], size), device=torch.device("cpu"))


@pytest.mark.parametrize(("task", "tuning"), CELLS)
def test_validation_test_and_prediction_give_the_numbers_of_a_run_at_any_batch_size(task: str, tuning: str, data_folder: Path) -> None:
    for size in (1, 7, 64):
        parts = parts_of(cell_config(data_folder, task, tuning, f"batch.eval_size={size}"))
        built, trainer = parts.module(), plain_trainer(parts.config)
        for split, run in (("validation", trainer.validate), ("test", trainer.test)):
            expected = {name: value for name, value in evaluated(parts, split).named(split).items() if value is not None}
            [found] = run(built, parts.data, verbose=False)
            assert found == pytest.approx(expected, abs=TOLERANCE)
            assert built.evaluation is not None
            assert built.evaluation.named(split).keys() - found.keys() == {
                name for name, value in built.evaluation.named(split).items() if value is None
            }
        batches: Any = trainer.predict(built, parts.data)
        rows = {name: row for batch in batches for name, row in zip(batch["ids"], batch["logits"], strict=True)}
        ids = parts.data.splits["test"].ids
        assert sorted(rows) == sorted(ids)
        assert torch.allclose(torch.stack([rows[name] for name in ids]), evaluated(parts, "test").kept, atol=TOLERANCE)
        assert sum(len(batch["answers"]) for batch in batches) == len(ids)


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_validation_is_in_the_precision_of_the_weights_whatever_that_of_training(precision: str, data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full"), double=False)
    [found] = plain_trainer(parts.config, precision=precision).validate(parts.module(), parts.data, verbose=False)
    assert found["validation/loss"] == pytest.approx(evaluated(parts).metrics["loss"], rel=1e-6)  # in bf16 they differ by 1e-3


def test_stock_callbacks_and_loggers_see_the_metrics(data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, "single", "full", "trainer.max_epochs=4", "optimizer.lr=1e-12", "trainer.log_every_n_steps=2")
    parts, seen = parts_of(config), Seen()
    best = ModelCheckpoint(tmp_path / "best", monitor="validation/loss", save_last=True)
    callbacks = [EarlyStopping("validation/accuracy", mode="max", patience=1), best, LearningRateMonitor("step"), seen]
    trainer = plain_trainer(config, callbacks, enable_checkpointing=True, logger=CSVLogger(tmp_path))
    trainer.fit(parts.module(), parts.data)
    assert trainer.current_epoch == 2, "nothing is learned, so EarlyStopping ends training after the second epoch"
    assert len(seen.validations) == 2
    assert seen.validations[-1].keys() == {name for name, value in evaluated(parts).named("validation").items() if value is not None}
    assert best.best_model_score is not None
    assert float(best.best_model_score) == min(metrics["validation/loss"] for metrics in seen.validations)
    header = (tmp_path / "lightning_logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    assert {"train/loss", "train/learning_rate", "train/gradient_norm", "validation/accuracy"} <= set(header.split(","))
    assert "lr-SGD" in header


@pytest.mark.parametrize("limits", [{"limit_val_batches": 2}, {"num_sanity_val_steps": 1, "limit_val_batches": 1}, {"fast_dev_run": True}])
def test_a_limited_validation_logs_the_rows_it_saw_and_never_sets_the_best_value(limits: dict[str, Any], data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full", "batch.eval_size=2"))
    best, built = Best(Monitor(metric="loss", mode="min")), parts.module()
    trainer = plain_trainer(parts.config, [best], **limits)
    trainer.fit(built, parts.data)
    assert built.evaluation is not None
    assert len(built.evaluation.kept) == 2 * (limits.get("limit_val_batches", 1))
    assert float(trainer.callback_metrics["validation/loss"]) == built.evaluation.metrics["loss"]
    assert (best.best, best.epochs_without) == (None, 0)
    whole = Best(Monitor(metric="loss", mode="min"))
    plain_trainer(parts.config, [whole]).fit(parts.module(), parts.data)
    assert whole.best is not None


REFUSED = {
    "accumulate_grad_batches": (2, "batch.micro_batches"),
    "gradient_clip_val": (1.0, "trainer.gradient_clip_val"),
    "limit_train_batches": (2, "dataset.limit.train"),
    "overfit_batches": (1, "dataset.limit.train"),
}


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_of_the_trainer_that_would_change_the_steps_is_refused_with_a_hint(setting: str, data_folder: Path) -> None:
    parts, (value, hint) = parts_of(cell_config(data_folder, "single", "full")), REFUSED[setting]
    with pytest.raises(ConfigError) as error:
        plain_trainer(parts.config, **{setting: value}).fit(parts.module(), parts.data)
    [problem] = error.value.problems
    assert setting in problem.where
    assert hint in problem.hint


def test_loaders_that_are_not_the_data_modules_are_refused(data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full"))
    with pytest.raises(ConfigError, match="DataModule"):
        plain_trainer(parts.config).fit(parts.module(), parts.data.train_dataloader())
    with pytest.raises(ConfigError, match="cannot evaluate"):
        plain_trainer(parts.config).validate(parts.module(), [1], verbose=False)
    [found] = plain_trainer(parts.config).validate(parts.module(), parts.data.val_dataloader(), verbose=False)
    assert found["validation/loss"] == pytest.approx(evaluated(parts).metrics["loss"])


def test_a_training_without_any_limit_is_refused(data_folder: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full"))
    with pytest.raises(ConfigError, match="length of training"):
        plain_trainer(parts.config, max_epochs=-1).fit(parts.module(), parts.data)


@pytest.mark.parametrize(
    ("limits", "total"), [({"max_epochs": 4}, 12), ({"max_epochs": 4, "max_steps": 5}, 5), ({"max_epochs": -1, "max_steps": 7}, 7)]
)
def test_the_schedule_ends_with_the_last_step_that_the_trainer_permits(limits: dict[str, int], total: int, data_folder: Path) -> None:
    settings = ["scheduler=linear", "trainer.log_every_n_steps=1"]
    parts, seen = parts_of(cell_config(data_folder, "single", "head", *settings)), Seen()
    trainer = plain_trainer(parts.config, [seen], **limits)
    trainer.fit(parts.module(), parts.data)
    assert trainer.global_step == total
    rates = [step["train/learning_rate"] for step in seen.steps]
    assert rates == pytest.approx([0.1 * (total - step) / total for step in range(total)])


# 20 rows in batches of 8: 3 steps in each of 3 epochs.
RESUMED = ["trainer.max_epochs=3", "model.dropout=0.2", "scheduler=linear", "batch.micro_batches=2"]


class Kill(pl.Callback):
    """Dies in a hook, at a step."""

    def __init__(self, hook: str, step: int) -> None:
        self._hook, self._step = hook, step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die("on_train_batch_end", trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die("on_validation_batch_end", trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self._die("on_train_epoch_start", trainer)

    def _die(self, hook: str, trainer: pl.Trainer) -> None:
        if (hook, trainer.global_step) == (self._hook, self._step):
            raise Killed


def _resumable(data_folder: Path, tuning: str = "full") -> Config:
    return cell_config(data_folder, "single", tuning, *RESUMED)


def _checkpoints(folder: Path, **every: Any) -> ModelCheckpoint:
    return ModelCheckpoint(folder, save_top_k=-1, filename="{step}", **every)


def _killed_and_resumed(config: Config, folder: Path, hook: str, step: int, **every: Any) -> tuple[Outcome, dict[str, float]]:
    torch.manual_seed(0)
    with pytest.raises(Killed):
        train_plainly(config, callbacks=[_checkpoints(folder, **every), Kill(hook, step)], enable_checkpointing=True)
    torch.manual_seed(1)  # a new process would start from another state
    latest = max(folder.glob("*.ckpt"), key=lambda path: int(path.stem.partition("=")[2]))
    seen = Seen()
    outcome = train_plainly(config, ckpt_path=latest, callbacks=[_checkpoints(folder, **every), seen], enable_checkpointing=True)
    return outcome, seen.validations[-1]


def check_resume(data_folder: Path, folder: Path, hook: str, step: int, **every: Any) -> None:
    """A training that is killed and resumes a checkpoint of Lightning's ModelCheckpoint ends as the one left alone, bit for bit."""
    config, seen = _resumable(data_folder), Seen()
    expected = train_plainly(config, callbacks=[seen])
    found, metrics = _killed_and_resumed(config, folder, hook, step, **every)
    assert 0 < len(found.gradients) < len(expected.gradients), "the test needs a training that resumes"
    assert_equal(expected.gradients[-len(found.gradients) :], found.gradients, "gradients")
    assert_equal(expected.weights, found.weights, "weights")
    assert_equal(seen.validations[-1], metrics, "metrics")


@pytest.mark.parametrize(
    ("hook", "step", "every"),
    [
        ("on_train_batch_end", 5, {"every_n_train_steps": 1}),  # within an epoch
        ("on_validation_batch_end", 6, {"every_n_train_steps": 1}),  # after a checkpoint between the last step of an epoch and validation
        ("on_train_epoch_start", 6, {"every_n_epochs": 1}),  # at the end of an epoch
        ("on_validation_batch_end", 6, {"every_n_epochs": 1}),
    ],
)
def test_a_training_resumes_a_stock_checkpoint_bit_for_bit(
    hook: str, step: int, every: dict[str, int], data_folder: Path, tmp_path: Path
) -> None:
    check_resume(data_folder, tmp_path, hook, step, **every)


def test_random_numbers_of_the_process_turn_the_check_red(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "seed_step", lambda *_: None)
    with pytest.raises(AssertionError, match="gradients"):
        check_resume(data_folder, tmp_path, "on_train_batch_end", 5, every_n_train_steps=1)


@pytest.mark.parametrize("tuning", ["head", "lora"])
def test_a_stock_checkpoint_holds_only_what_trains_and_is_read_without_running_code(tuning: str, data_folder: Path, tmp_path: Path) -> None:
    config, parts = _resumable(data_folder, tuning), parts_of(_resumable(data_folder, tuning))
    train_plainly(config, parts=parts, callbacks=[_checkpoints(tmp_path, every_n_epochs=1)], enable_checkpointing=True)
    for path in tmp_path.glob("*.ckpt"):
        assert torch.load(path, weights_only=True)["state_dict"].keys() == set(parts.tuned.trainable)
    other = parts_of(config)
    plain_trainer(config).test(other.module(), other.data, ckpt_path=tmp_path / "step=9.ckpt", verbose=False)
    assert largest_difference(parts.tuned.trainable_state(), other.tuned.trainable_state()) == 0
