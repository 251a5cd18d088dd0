"""The record: metrics of training and validation into metrics.jsonl and the loggers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from finecomb.config.schema.train import Config
from finecomb.runs.directory import RunDirectory
from finecomb.runs.metrics import concise
from finecomb.training import memory
from finecomb.training.callbacks.clock import Clock
from finecomb.training.trainer_settings import is_fitting

if TYPE_CHECKING:
    from finecomb.training.module import Module

VERSION = "1"

SECONDS_BETWEEN_PROGRESS = 1.0


class TrainingFailed(RuntimeError):
    """Training cannot go on."""


class Record(pl.Callback):
    """Metrics of training and validation into metrics.jsonl and the loggers; progress for the live table."""

    def __init__(self, run: RunDirectory, clock: Clock, steps: Callable[[], int]) -> None:
        self._run, self._clock, self._steps = run, clock, steps
        self._shown = 0.0
        self.memory_samples: list[int] = []

    def write(self, trainer: pl.Trainer, values: dict[str, float | None]) -> None:
        """Add a line to metrics.jsonl and the loggers, from the first rank."""
        if not trainer.is_global_zero:
            return
        epoch = trainer.global_step / trainer.datamodule.plan.steps_per_epoch
        seconds = round(self._clock.seconds("train"), 3)
        self._run.append_metrics({"step": trainer.global_step, "epoch": epoch, "seconds": seconds, **values})
        for logger in trainer.loggers:
            logger.log_metrics(
                {"epoch": epoch, **{name: value for name, value in concise(values).items() if value is not None}}, trainer.global_step
            )

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Remove what was recorded after the checkpoint from which training resumes."""
        if trainer.is_global_zero:
            self._run.truncate_metrics(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Module, *_: Any) -> None:  # type: ignore[override]
        """Record what the step logged; write progress about once a second."""
        if module.training_metrics is not None:
            self._record(trainer, module, module.training_metrics)
        if trainer.is_global_zero and time.monotonic() - self._shown > SECONDS_BETWEEN_PROGRESS:
            self._shown = time.monotonic()
            self._run.write_progress(step=trainer.global_step, steps=self._steps(), stage="training")

    def on_validation_start(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Record the steps that are left, before validation is."""
        if is_fitting(trainer):
            self._record_rest(trainer, module)
            if trainer.is_global_zero:
                self._run.write_progress(step=trainer.global_step, steps=self._steps(), stage="validation")

    def on_validation_end(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Record validation; metrics that are undefined are null."""
        if is_fitting(trainer) and module.evaluation is not None:
            self.write(trainer, module.evaluation.named("validation"))

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Record what is left of an epoch without validation, so that no step's loss is lost."""
        self._record_rest(trainer, module)

    def _record_rest(self, trainer: pl.Trainer, module: Module) -> None:
        if module.unread_losses:
            self._record(trainer, module, module.take_metrics())

    def _record(self, trainer: pl.Trainer, module: Module, metrics: dict[str, float]) -> None:
        """One line; raises TrainingFailed when a loss since the last line was not a number."""
        loss = metrics["train/loss"]
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the training loss is {loss} at or shortly before step {trainer.global_step}: training has diverged. "
                f"{_against_divergence(module.config)} may help"
            )
        self.memory_samples.append(memory.now(module.device))
        self.write(trainer, {**metrics})

    def state_dict(self) -> dict[str, Any]:
        """Memory seen so far."""
        return {"memory_samples": list(self.memory_samples)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from the memory seen by earlier attempts."""
        self.memory_samples = list(state_dict["memory_samples"])


def _against_divergence(config: Config) -> str:
    """Settings that may keep training from diverging; only those that differ from the run's own."""
    advice = [f"A smaller optimizer.lr (now {config.optimizer.lr})"]
    if (warmup := getattr(config.scheduler, "warmup", None)) is not None:
        advice.append(f"a longer scheduler.warmup (now {warmup})")
    clip = config.trainer.gradient_clip_val
    if clip is None or clip == 0 or clip > 1:
        advice.append(f"trainer.gradient_clip_val=1 (now {clip or 'off'})")
    if config.trainer.precision != "32-true":
        advice.append(f"trainer.precision=32-true (now {config.trainer.precision})")
    return advice[0] if len(advice) == 1 else f"{', '.join(advice[:-1])} or {advice[-1]}"
