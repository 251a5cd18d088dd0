"""The composed experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from finecomb.config.schema.annotator import Annotator
from finecomb.config.schema.augmenter import Augmenter
from finecomb.config.schema.base import option
from finecomb.config.schema.callbacks import Callbacks
from finecomb.config.schema.cleaner import Cleaner
from finecomb.config.schema.dataset import Dataset
from finecomb.config.schema.derivation import Derivation
from finecomb.config.schema.logger import Logger
from finecomb.config.schema.loss import Loss
from finecomb.config.schema.model import Model
from finecomb.config.schema.optimizer import Optimizer
from finecomb.config.schema.sampler import Sampler
from finecomb.config.schema.scheduler import Scheduler
from finecomb.config.schema.task import Task
from finecomb.config.schema.trainer import Trainer
from finecomb.config.schema.tuning import Tuning


@dataclass
class Batch:
    """Batch sizes and lengths."""

    size: int = option("examples in one optimizer step, over all devices", low=1)
    eval_size: int = option("examples in one evaluation batch; never changes a metric", low=1, identity=False)
    max_length: int = option("tokens at which a text is truncated; what is cut is counted", low=4)
    max_target_length: int = option("tokens at which a text to be generated is truncated; what is cut is counted", low=2, before=128)
    micro_batches: int = option("pieces into which the batch of each device is split; with dropout, masks depend on it", low=1)
    max_tokens: Optional[int] = option(
        "at most so many tokens, padding included, in a micro-batch; splits further; with dropout, masks depend on it", low=1
    )
    bucket: int = option("batches are formed from texts of like length within windows of so many batches; 1: no bucketing", low=1)


@dataclass
class Monitor:
    """What is best on validation."""

    metric: str = option("what is best on validation: a metric's name without the split, or auto: the task's own")
    mode: str = option("whether more or less is better; auto: by the metric", allowed=("auto", "max", "min"))


@dataclass
class Evaluate:
    """What is evaluated at the end."""

    test: bool = option("evaluate on test at the end; searches set this to false")


@dataclass
class Config:
    """The typed configuration of a run, as `compose` returns it.

    Change a value with `dataclasses.replace`; the result is checked again where it is used.

    Example:
        >>> import dataclasses
        >>> config = finecomb.compose("tuning=lora", "tuning.r=4")
        >>> config.tuning.r, config.tuning.name, config.seed
        (4, 'lora', 0)
        >>> dataclasses.replace(config, seed=1).seed
        1
    """

    seed: int = option("seed of training: initialisation of new tensors, order, dropout", low=0)
    name: Optional[str] = option("a word put before the run directory's name", identity=False)
    output_dir: str = option("where run directories are made", identity=False)
    rerun: Optional[str] = option(
        "failed: run failed runs again; all: finished ones too, from the start", allowed=("failed", "all"), identity=False
    )
    batch: Batch = option("batch sizes and lengths")
    monitor: Monitor = option("what is best")
    evaluate: Evaluate = option("what is evaluated")
    dataset: Dataset = option("group")
    cleaner: Cleaner = option("group")
    annotator: Annotator = option("group", before=Annotator("none"))
    augmenter: Augmenter = option("group", before=Augmenter("none"))
    sampler: Sampler = option("group", before=Sampler("none"))
    task: Task = option("group")
    model: Model = option("group")
    tuning: Tuning = option("group")
    loss: Loss = option("group")
    optimizer: Optimizer = option("group")
    scheduler: Scheduler = option("group")
    trainer: Trainer = option("group")
    logger: Logger = option("group")
    callbacks: Callbacks = option("group")
    derivation: Derivation = field(default_factory=Derivation, repr=False, compare=False, metadata={"omegaconf_ignore": True})


GROUPS = (
    *("dataset", "cleaner", "annotator", "augmenter", "sampler"),
    *("task", "model", "tuning", "loss", "optimizer", "scheduler"),
    *("trainer", "logger", "callbacks"),
)
BUNDLES = ("experiment", "debug")
