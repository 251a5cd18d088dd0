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
class Generate:
    """How a task that writes texts does so: in evaluation, in `predict`, and by `generate` of the artifact."""

    every: int = option("generate in the validation after every n epochs; 0: only at the end", low=0)
    examples: Optional[int] = option("generate for the first k examples of a split; null: all; 0: never", low=0)
    max_new_tokens: Optional[int] = option(
        "most tokens of a text; null: batch.max_target_length, or fewer where the model has no positions for them", low=1
    )
    num_beams: int = option("beams of beam search; 1: the most probable token at each place", low=1)
    length_penalty: float = option("power of the length by which a beam's log-probability is divided")
    no_repeat_ngram_size: int = option("no n-gram of so many tokens is generated twice; 0: no such rule", low=0)
    do_sample: bool = option("draw tokens at random instead of taking the most probable one")
    temperature: float = option("logits are divided by it before a token is drawn", low=1e-3)
    top_p: float = option("tokens are drawn from the most probable ones that together have this probability", low=1e-3, high=1.0)
    seed: int = option("seed of drawn tokens; they also depend on the prompt, and on nothing else", low=0)


# The values of runs from before there was generation.
USUAL_GENERATION = Generate(
    every=0, examples=None, max_new_tokens=None, num_beams=1, length_penalty=1.0, no_repeat_ngram_size=0, do_sample=False,
    temperature=1.0, top_p=1.0, seed=0,
)  # fmt: skip


@dataclass
class Evaluate:
    """What is evaluated."""

    test: bool = option("evaluate on test at the end; searches set this to false")
    generate: Generate = option("how texts are generated", before=USUAL_GENERATION)


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
