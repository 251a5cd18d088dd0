"""The two wings, composed: what a training needs, built from a resolved config, prepared data and inspected weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.data.prepare import PreparedFolder, open_prepared
from finecomb.learning import loss as losses
from finecomb.learning import model as models
from finecomb.learning import task as tasks
from finecomb.learning import tuning
from finecomb.learning.loss import LossFunction
from finecomb.learning.model import Backbone
from finecomb.learning.task import TaskRunner
from finecomb.learning.tuning import Tuned
from finecomb.training.datamodule import DataModule
from finecomb.training.module import Module

VERSION = "1"


@dataclass
class Parts:
    """What a training consists of."""

    config: Config
    prepared: PreparedFolder
    task: TaskRunner
    backbone: Backbone
    tuned: Tuned
    loss: LossFunction
    data: DataModule

    def module(self, *, to_loggers: bool = True) -> Module:
        """The LightningModule of these parts; see there."""
        return Module(self.config, self.tuned, self.task, self.loss, to_loggers=to_loggers)


def compose(config: Config, data: Path, source: models.ModelSource, *, dtype: torch.dtype = torch.float32) -> Parts:
    """Build every part. Nothing is fetched, and the global random state is left as it is.

    Args:
        config: resolved.
        data: directory of the prepared data.
        source: where the weights are.
        dtype: of the pre-trained weights.
    """
    prepared = open_prepared(data)
    task = tasks.build(
        config.task, label_kind=prepared.label_kind, label_names=prepared.label_names, max_target_length=config.batch.max_target_length
    )
    backbone = models.build(
        config.model,
        source,
        num_outputs=task.num_outputs,
        label_names=task.label_names,
        problem_type=task.problem_type,
        head=task.head,
        seed=config.seed,
        dtype=dtype,
        corpus=models.Corpus(prepared.manifest.hashes["train"], lambda: _texts(prepared)),
    )
    task.bind(backbone.tokenizer, backbone.model.config)
    tuned = tuning.build(config.tuning).apply(backbone, seed=config.seed)
    tuned.check_length(config.batch.max_length)
    loss = losses.build(config.loss, variant(config.task), label_counts=_label_counts(prepared))
    return Parts(config, prepared, task, backbone, tuned, loss, DataModule(config, prepared, backbone.tokenizer, task))


def _texts(prepared: PreparedFolder) -> Iterator[str]:
    """All texts of train: also those that are labels."""
    rows = prepared.load()["train"]
    for name in ("text", "text_pair", "label"):
        if name in rows.column_names:
            yield from (text for text in rows[name] if isinstance(text, str))


def _label_counts(prepared: PreparedFolder) -> list[int] | None:
    """Training rows of each class, by class index."""
    if prepared.label_names is None:
        return None
    counts = prepared.manifest.label_counts["train"]
    return [counts.get(name, 0) for name in prepared.label_names]
