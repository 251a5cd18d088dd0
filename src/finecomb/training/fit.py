"""One training in a run directory: the modules, finecomb's callbacks, and a Trainer that resumes the last checkpoint."""

from __future__ import annotations

import logging

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from finecomb.runs.directory import RunDirectory
from finecomb.training import checkpoint, trainer
from finecomb.training.callbacks import Best, Clock, Record, Stop
from finecomb.training.callbacks.build import build as build_callbacks
from finecomb.training.callbacks.generated_texts import GeneratedTexts
from finecomb.training.evaluate import Evaluation, evaluate
from finecomb.training.interruption import Interruption
from finecomb.training.parts import Parts

VERSION = "1"

log = logging.getLogger(__name__)


class Fit:
    """A training of composed parts in a run directory."""

    def __init__(self, parts: Parts, run: RunDirectory, interruption: Interruption) -> None:
        self.parts, self.run = parts, run
        config = parts.config
        # Stop ends training at max_steps, so that validation follows; with Lightning's own max_steps a resumed epoch would end twice.
        parts.data.limits = config.trainer
        self.module = parts.module(to_loggers=False)
        self.clock = Clock()
        self.record = Record(run, self.clock, self._steps)
        self.best = Best(config.monitor, min_delta=config.callbacks.early_stopping.min_delta)
        self.stop = Stop(
            self._steps,
            self.best,
            self.clock,
            interruption,
            patience=config.callbacks.early_stopping.patience,
            max_time=config.trainer.max_time,
        )
        every = config.callbacks.checkpoint.every_n_steps
        self.checkpoint = checkpoint.Checkpoint(run.checkpoints, every_n_steps=every, best=self.best, interruption=interruption)

    def _steps(self) -> int:
        return self.parts.data.total_steps

    def callbacks(self) -> list[pl.Callback]:
        """The callbacks of a run in their order: finecomb's, those of the config, and last Checkpoint, which stores the state of all."""
        more = build_callbacks(self.parts.config.callbacks, directory=self.run.predictions, write=self.record.write)
        texts = [GeneratedTexts(self.run.predictions)] if self.module.generation else []
        return [self.clock, self.record, self.best, *texts, *more, self.stop, self.checkpoint]

    def train(self, loggers: list[Logger]) -> pl.Trainer:
        """Fit, from the last checkpoint where there is one. Returns the Trainer, whose process group the final evaluation still needs."""
        config, last = self.parts.config, self.run.checkpoints / checkpoint.LAST
        pl.seed_everything(config.seed, verbose=False)
        built = trainer.build(
            config.trainer, self.run,
            callbacks=self.callbacks(), loggers=loggers, log_every_n_steps=config.trainer.log_every_n_steps,
        )  # fmt: skip
        if config.trainer.compile:
            # In place, so that no tensor gets another name; below the head, which is called by itself for decoders.
            self.parts.tuned.core.base_model.compile(dynamic=True)
        if last.exists():
            log.info("resuming from %s", last)
        built.fit(self.module, datamodule=self.parts.data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
        self.module.to(built.strategy.root_device)
        return built

    def evaluation(self, split: str) -> Evaluation:
        """Evaluate on a split, in the precision of the weights."""
        parts, module = self.parts, self.module
        generation = module.generation if module.generation and module.generation.is_due() else None
        loader = parts.data.evaluation_loader(split)
        return evaluate(
            parts.tuned, parts.task, parts.loss, loader,
            device=module.device, generation=generation, choose=split == "validation",
        )  # fmt: skip
