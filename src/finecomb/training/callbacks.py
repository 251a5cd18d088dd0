"""What happens beside the training steps: the clock, the record, validation with its best value, and the reasons to stop.

They run in the order Clock, Record, Validate, Stop, Checkpoint. What they must remember is plain values in the checkpoint.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl

from finecomb.config.schema.train import Monitor, Train
from finecomb.runs.directory import RunDirectory
from finecomb.runs.metrics import concise
from finecomb.training import memory
from finecomb.training.evaluate import Evaluation
from finecomb.training.interruption import Interruption, any_rank, time_to_agree

VERSION = "1"

log = logging.getLogger(__name__)
SECONDS_BETWEEN_PROGRESS = 1.0


class TrainingFailed(RuntimeError):
    """Training cannot go on."""


class Clock(pl.Callback):
    """Seconds over all attempts of a run: in training steps alone, and with validation and checkpoints."""

    def __init__(self) -> None:
        self._before = {"train": 0.0, "total": 0.0}
        self._since: dict[str, float | None] = {"train": None, "total": None}
        self._earlier = 0.0

    def this_attempt(self) -> float:
        """Seconds of this attempt between the start and the end of training."""
        return self.seconds("total") - self._earlier

    def seconds(self, kind: str) -> float:
        """`train`: in steps; `total`: since training began."""
        since = self._since[kind]
        return self._before[kind] + (time.monotonic() - since if since is not None else 0.0)

    def _start(self, kind: str) -> None:
        if self._since[kind] is None:
            self._since[kind] = time.monotonic()

    def _stop(self, kind: str) -> None:
        self._before[kind], self._since[kind] = self.seconds(kind), None

    def on_train_start(self, *_: Any) -> None:
        """Start both; an epoch that is resumed has no other start."""
        self._start("train")
        self._start("total")

    def on_train_epoch_start(self, *_: Any) -> None:
        """Steps begin."""
        self._start("train")

    def on_train_epoch_end(self, *_: Any) -> None:
        """Steps have ended; validation and checkpoints follow."""
        self._stop("train")

    def on_train_end(self, *_: Any) -> None:
        """Training has ended."""
        self._stop("train")
        self._stop("total")

    def state_dict(self) -> dict[str, Any]:
        """Seconds so far."""
        return {kind: self.seconds(kind) for kind in self._before}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the seconds of earlier attempts."""
        self._before, self._earlier = dict(state_dict), state_dict["total"]


class Record(pl.Callback):
    """Training loss, learning rate and gradient norm into metrics.jsonl and the loggers; progress for the live table."""

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
        """Forget what was recorded after the checkpoint that training goes on from."""
        if trainer.is_global_zero:
            self._run.truncate_metrics(trainer.global_step)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        """Record when due; say where training is about once a second."""
        if trainer.global_step % trainer.log_every_n_steps == 0:
            self._record(trainer, module)
        if trainer.is_global_zero and time.monotonic() - self._shown > SECONDS_BETWEEN_PROGRESS:
            self._shown = time.monotonic()
            self._run.write_progress(step=trainer.global_step, steps=self._steps(), stage="training")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Record what is left, so that no step's loss goes unseen."""
        if module.unread_losses:
            self._record(trainer, module)
        if trainer.is_global_zero:
            self._run.write_progress(step=trainer.global_step, steps=self._steps(), stage="validation")

    def _record(self, trainer: pl.Trainer, module: Any) -> None:
        """One line; raises TrainingFailed when a loss since the last line was not a number."""
        loss = module.take_loss()
        if not math.isfinite(loss):
            raise TrainingFailed(
                f"the training loss is {loss} at or shortly before step {trainer.global_step}: training has diverged. "
                f"{_against_divergence(module.config)} may help"
            )
        self.memory_samples.append(memory.now(module.device))
        values = {"train/loss": loss, "train/learning_rate": module.learning_rate}
        if module.gradient_norm is not None:
            values["train/gradient_norm"] = float(module.gradient_norm)
        self.write(trainer, values)

    def state_dict(self) -> dict[str, Any]:
        """Memory seen so far."""
        return {"memory_samples": list(self.memory_samples)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the memory seen by earlier attempts."""
        self.memory_samples = list(state_dict["memory_samples"])


def _against_divergence(config: Train) -> str:
    """Settings that may keep training from diverging; only those that differ from the run's own."""
    advice = [f"A smaller optimizer.lr (now {config.optimizer.lr})"]
    if (warmup := getattr(config.scheduler, "warmup", None)) is not None:
        advice.append(f"a longer scheduler.warmup (now {warmup})")
    clip = config.trainer.gradient_clip_val
    if clip is None or clip == 0 or clip > 1:
        advice.append(f"trainer.gradient_clip_val=1 (now {clip or 'off'})")
    if str(config.trainer.precision) != "32":
        advice.append(f"trainer.precision=32 (now {config.trainer.precision})")
    return advice[0] if len(advice) == 1 else f"{', '.join(advice[:-1])} or {advice[-1]}"


class Validate(pl.Callback):
    """Validation at the end of each epoch, and the best value of the monitored metric so far."""

    def __init__(self, evaluate: Callable[[], Evaluation], monitor: Monitor, record: Record) -> None:
        self._evaluate, self._monitor, self._record = evaluate, monitor, record
        self.improved = False
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_step: int | None = None
        self.epochs_without = 0

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Evaluate, record, compare with the best. Every rank sees the same numbers and so comes to the same answer."""
        metrics = self._evaluate().named("validation")
        module.tuned.train_mode()
        self._record.write(trainer, metrics)
        value = metrics[f"validation/{self._monitor.metric}"]
        self.improved = value is not None and math.isfinite(value) and self._better(value)
        self.epochs_without = 0 if self.improved else self.epochs_without + 1
        if self.improved:
            self.best, self.best_epoch, self.best_step = value, trainer.current_epoch, trainer.global_step
        said = {name: metrics[f"validation/{name}"] for name in dict.fromkeys(["loss", self._monitor.metric])}
        log.info("epoch %d, step %d, validation: %s", trainer.current_epoch + 1, trainer.global_step, _in_words(said))

    def _better(self, value: float) -> bool:
        if self.best is None:
            return True
        return value > self.best if self._monitor.mode == "max" else value < self.best

    def state_dict(self) -> dict[str, Any]:
        """The best value, when it was reached, and how many epochs have brought nothing better."""
        return {name: getattr(self, name) for name in ("best", "best_epoch", "best_step", "epochs_without")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value of earlier attempts."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def _in_words(metrics: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {'undefined' if value is None else format(value, '.4f')}" for name, value in metrics.items())


class Stop(pl.Callback):
    """Ends training at the last step, after too many epochs without a better value, or when time is up.

    Every end has a reason, which is stored in the checkpoint: a run killed after its last checkpoint takes no further step when resumed.
    """

    def __init__(
        self,
        steps: Callable[[], int],
        validate: Validate,
        clock: Clock,
        interruption: Interruption,
        *,
        patience: int | None,
        max_time: str | None,
    ) -> None:
        self._steps, self._validate, self._clock, self._interruption = steps, validate, clock, interruption
        self._patience, self._limit = patience, seconds_of(max_time)
        self.reason: str | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """A training that had stopped before its checkpoint was taken up again stays stopped."""
        self._interruption.install()
        self._interruption.training = True
        trainer.should_stop = self.reason is not None

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the steps and at the clock."""
        if trainer.global_step >= self._steps():
            every_epoch = trainer.max_epochs * trainer.datamodule.plan.steps_per_epoch
            self._stop(trainer, "max_steps" if self._steps() < every_epoch else "max_epochs")
        elif self._limit is not None and time_to_agree(trainer) and any_rank(self._clock.seconds("total") >= self._limit, trainer):
            self._stop(trainer, "max_time")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Look at the epochs without a better value."""
        if self._patience is not None and self._validate.epochs_without >= self._patience:
            self._stop(trainer, "patience")

    def _stop(self, trainer: pl.Trainer, reason: str) -> None:
        trainer.should_stop = True
        self.reason = self.reason or reason

    def on_train_end(self, *_: Any) -> None:
        """From here on there is nothing to save before leaving."""
        self._interruption.training = False

    def state_dict(self) -> dict[str, Any]:
        """Why training stopped, if it did."""
        return {"reason": self.reason}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember why an earlier attempt stopped."""
        self.reason = state_dict["reason"]


def seconds_of(max_time: str | None) -> float | None:
    """Seconds of DD:HH:MM:SS; None for no limit."""
    if max_time is None:
        return None
    days, hours, minutes, seconds = (int(part) for part in max_time.split(":"))
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
