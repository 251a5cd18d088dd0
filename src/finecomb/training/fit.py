"""One training, from a run directory to its result: composes the wings, fits, and finishes with numbers in fp32."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Train
from finecomb.data.prepare import Prepared, open_prepared
from finecomb.learning import loss as losses
from finecomb.learning import model as models
from finecomb.learning import task as tasks
from finecomb.learning import tuning
from finecomb.runs.directory import RunDirectory
from finecomb.training import checkpoint, trainer
from finecomb.training.callbacks import Clock, Record, Stop, Validate
from finecomb.training.callbacks.build import build as build_callbacks
from finecomb.training.datamodule import DataModule
from finecomb.training.evaluate import Evaluation, evaluate
from finecomb.training.interruption import Interruption
from finecomb.training.module import Module

VERSION = "1"

log = logging.getLogger(__name__)


@dataclass
class Parts:
    """The wings, composed: what a training needs, built from the frozen config alone."""

    config: Train
    prepared: Prepared
    task: Any
    backbone: Any
    tuned: Any
    loss: Any
    data: DataModule
    rank: int
    world: int


def compose(config: Train, data: Path, source: models.ModelSource) -> Parts:
    """Build every part. data: the prepared directory. Nothing is fetched."""
    rank, world = trainer.rank_and_world(config.trainer)
    pl.seed_everything(config.seed, verbose=False)
    prepared = open_prepared(data)
    task = tasks.build(config.task, label_kind=prepared.label_kind, label_names=prepared.label_names)
    backbone = models.build(
        config.model,
        source,
        num_outputs=task.num_outputs,
        label_names=prepared.label_names,
        problem_type=task.problem_type,
        seed=config.seed,
    )
    tuned = tuning.build(config.tuning).apply(backbone, seed=config.seed)
    tuned.check_length(config.batch.max_length)
    loss = losses.build(config.loss, variant(config.task), label_counts=_label_counts(prepared))
    module_data = DataModule(config, prepared, backbone.tokenizer, task, rank=rank, world=world)
    return Parts(config, prepared, task, backbone, tuned, loss, module_data, rank, world)


def _label_counts(prepared: Prepared) -> list[int] | None:
    """Training rows of each class, by class index."""
    if prepared.label_names is None:
        return None
    counts = prepared.manifest["label_counts"]["train"]
    return [counts.get(name, 0) for name in prepared.label_names]


class Fit:
    """A training of composed parts in a run directory."""

    def __init__(self, parts: Parts, run: RunDirectory, interruption: Interruption) -> None:
        self.parts, self.run = parts, run
        self.module = Module(parts.config, parts.tuned, parts.loss)
        self.clock = Clock()
        self.record = Record(run, self.clock, self._steps)
        self.validate = Validate(self._validation, parts.config.monitor, self.record)
        self.stop = Stop(
            self._steps,
            self.validate,
            self.clock,
            interruption,
            patience=parts.config.monitor.patience,
            max_time=parts.config.trainer.max_time,
        )
        every = parts.config.callbacks.checkpoint_every_n_steps
        self.checkpoint = checkpoint.Checkpoint(run.checkpoints, every_n_steps=every, validate=self.validate, interruption=interruption)

    def _steps(self) -> int:
        return self.parts.data.total_steps

    def _validation(self) -> Evaluation:
        return self.evaluation("validation")

    def evaluation(self, split: str) -> Evaluation:
        """Evaluate on a split, in the precision of the weights."""
        parts = self.parts
        return evaluate(
            parts.tuned, parts.task, parts.loss, parts.data.splits[split],
            size=parts.config.batch.eval_size, device=self.module.device, rank=parts.rank, world=parts.world,
        )  # fmt: skip

    def callbacks(self) -> list[pl.Callback]:
        """What happens beside the steps, in its order."""
        return [self.clock, self.record, self.validate, *build_callbacks(self.parts.config.callbacks), self.stop, self.checkpoint]

    def train(self, loggers: list[Any]) -> pl.Trainer:
        """Fit, from the last checkpoint where there is one. Returns the Trainer, whose process group the final evaluation still needs."""
        config, last = self.parts.config, self.run.checkpoints / checkpoint.LAST
        built = trainer.build(
            config.trainer, self.run,
            callbacks=self.callbacks(), loggers=loggers, log_every_n_steps=config.callbacks.log_every_n_steps,
        )  # fmt: skip
        if config.trainer.compile:
            # In place, so that no tensor gets another name; below the head, which is called by itself for decoders.
            self.parts.tuned.core.base_model.compile(dynamic=True)
        if last.exists():
            log.info("resuming from %s", last)
        built.fit(self.module, datamodule=self.parts.data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
        self.module.to(built.strategy.root_device)
        return built
