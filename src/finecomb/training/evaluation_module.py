"""The half of the LightningModule that evaluates and predicts: rows are collected by number and scored at the end, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from finecomb.learning.loss import LossFunction
from finecomb.learning.task import Batch, TaskRunner
from finecomb.learning.tuning import Tuned
from finecomb.training.collector import Collector
from finecomb.training.evaluate import Evaluation, keep_by, score
from finecomb.training.examples import Taken
from finecomb.training.generating import Generation
from finecomb.training.trainer_settings import is_fitting, is_limited, loader_of

VERSION = "1"


class EvaluationModule(pl.LightningModule):
    """A tuned model that Lightning's loops evaluate.

    Each metric is logged through `self.log` as `validation/NAME` or `test/NAME`, equal on every rank. A metric that is undefined is not
    logged; it is None in `evaluation`. A sanity check or a limited evaluation (`limit_val_batches`, `fast_dev_run`) is of the rows it saw.

    Attributes:
        evaluation: the latest validation or test.
        generation: how texts are generated, in tests, in validations by themselves, and in those of a training that are due; or None.
    """

    def __init__(
        self, tuned: Tuned, task: TaskRunner, loss: LossFunction, *, to_loggers: bool, generation: Generation | None = None
    ) -> None:
        super().__init__()
        self.generation = generation
        self.tuned, self.task, self.loss = tuned, task, loss
        self.model = tuned.model  # registered here, so that Lightning moves it and exchanges its gradients
        self.evaluation: Evaluation | None = None
        self._to_loggers = to_loggers
        self._collector: Collector | None = None

    def on_validation_epoch_start(self) -> None:
        """Start to collect rows."""
        self._start()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Collect the rows of a batch."""
        self._collect(batch)

    def on_validation_epoch_end(self) -> None:
        """Score the rows of all ranks. Raises RuntimeError unless each was computed exactly once."""
        self._finish("validation")

    def on_test_epoch_start(self) -> None:
        """Start to collect rows."""
        self._start()

    def test_step(self, batch: Batch, index: int) -> None:
        """Collect the rows of a batch."""
        self._collect(batch)

    def on_test_epoch_end(self) -> None:
        """Score the rows of all ranks. Raises RuntimeError unless each was computed exactly once."""
        self._finish("test")

    def predict_step(self, batch: Batch, index: int) -> dict[str, Any]:
        """Predict a batch.

        Returns:
            `ids` of the rows, their `logits` [B, classes] in float64 on the CPU, and `answers`: what each row's logits stand for
            (`label` and `probabilities`, or `value`).
        """
        split, rows = loader_of(self.trainer).split, batch.index.cpu()
        kept = rows < len(split)  # the others are filler
        logits = keep_by(self.tuned.forward, self.task)(batch).cpu().double()[kept]
        examples = Taken(split.examples, rows[kept].tolist())
        return {"ids": [split.ids[row] for row in rows[kept].tolist()], "logits": logits, "answers": self.task.decode(logits, examples)}

    def _start(self) -> None:
        split = loader_of(self.trainer).split
        self._collector = Collector(len(split), self.task.width(split.longest), self.device)

    def _collect(self, batch: Batch) -> None:
        assert self._collector is not None
        self._collector.add(keep_by(self.tuned.forward, self.task, self.loss), batch)

    def _finish(self, name: str) -> None:
        assert self._collector is not None
        limited, loader = is_limited(self.trainer), loader_of(self.trainer)
        kept, rows = self._collector.gather(self.trainer.world_size, partial=limited)
        self._collector = None
        generated = None
        if self.generation and not limited and self.generation.is_due(self.current_epoch if is_fitting(self.trainer) else None):
            generated = self.generation.of(loader, self.device)
        self.evaluation = score(self.task, self.loss, kept, loader.split, rows, generated, choose=name == "validation")
        self._log({name: value for name, value in self.evaluation.named(name).items() if value is not None}, on_step=False, on_epoch=True)

    def _log(self, values: Mapping[str, float], *, on_step: bool, on_epoch: bool) -> None:
        """Log values that are equal on every rank; their maximum over ranks is therefore exact, which their mean need not be."""
        kind = torch.float32 if self.device.type == "mps" else torch.float64
        tensors: dict[str, Tensor] = {name: torch.tensor(value, dtype=kind, device=self.device) for name, value in values.items()}
        logger = None if self._to_loggers else False
        self.log_dict(tensors, on_step=on_step, on_epoch=on_epoch, logger=logger, reduce_fx="max", sync_dist=on_epoch)
