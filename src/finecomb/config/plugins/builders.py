"""The signature of the build function of each config group, and the check of a plug-in's function against it.

A plug-in gives one function per choice. finecomb calls it as the class of its group below declares: positional arguments by position, the
others by keyword. `config` is the part of the config that the choice's schema describes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytorch_lightning as pl
    from pytorch_lightning.loggers import Logger as LightningLogger
    from torch.optim import Optimizer as TorchOptimizer
    from torch.optim.lr_scheduler import LambdaLR

    from finecomb.config.plugins.parts import Answers
    from finecomb.config.schema.annotator import Annotator
    from finecomb.config.schema.augmenter import Augmenter
    from finecomb.config.schema.callbacks import Callback
    from finecomb.config.schema.cleaner import Cleaner
    from finecomb.config.schema.dataset import Dataset
    from finecomb.config.schema.logger import Logger
    from finecomb.config.schema.loss import Loss
    from finecomb.config.schema.model import Model
    from finecomb.config.schema.optimizer import Optimizer
    from finecomb.config.schema.sampler import Sampler
    from finecomb.config.schema.scheduler import Scheduler
    from finecomb.config.schema.task import Task
    from finecomb.config.schema.tuning import Tuning
    from finecomb.data.annotator.answers import Annotate
    from finecomb.data.augmenter import Augment
    from finecomb.data.cleaner.recipe import Recipe
    from finecomb.data.dataset.source_protocol import Source
    from finecomb.data.sampler import Sample
    from finecomb.learning.loss import LossFunction
    from finecomb.learning.model.backbone import Backbone
    from finecomb.learning.model.source import ModelSource
    from finecomb.learning.task.runner import TaskRunner
    from finecomb.learning.tuning.tuned import Method, Tuned
    from finecomb.runs.directory import RunDirectory


class BuildDataset(Protocol):
    """Return the source of the rows; nothing is read yet."""

    def __call__(self, config: Dataset, /) -> Source: ...


class BuildCleaner(Protocol):
    """Return the recipe: the ordered cleaning steps."""

    def __call__(self, config: Cleaner, /) -> Recipe: ...


class BuildAnnotator(Protocol):
    """Return the function that labels rows, or None where the labels of the data are kept."""

    def __call__(self, config: Annotator, /) -> Annotate | None: ...


class BuildAugmenter(Protocol):
    """Return the function that makes new training rows, or None."""

    def __call__(self, config: Augmenter, /) -> Augment | None: ...


class BuildSampler(Protocol):
    """Return the function that repeats or weights training rows, or None."""

    def __call__(self, config: Sampler, /) -> Sample | None: ...


class BuildTask(Protocol):
    """Return the task. label_kind: class, classes or number. label_names: by class index, None for regression."""

    def __call__(self, config: Task, /, *, label_kind: str, label_names: list[str] | None) -> TaskRunner: ...


class BuildModel(Protocol):
    """Return the backbone with a head of that kind, drawn from `seed` alone where it is new, and the tokenizer."""

    def __call__(
        self,
        config: Model,
        source: ModelSource,
        /,
        *,
        head: str,
        num_outputs: int,
        label_names: list[str] | None,
        problem_type: str | None,
        seed: int,
    ) -> Backbone: ...


class BuildTuning(Protocol):
    """Return the tuning method, whose `apply(backbone, seed=...)` returns the tuned model."""

    def __call__(self, config: Tuning, /) -> Method: ...


class BuildLoss(Protocol):
    """Return the loss. task_variant: a key of config.schema.task.FACTS. label_counts: training rows by class index, None for regression."""

    def __call__(self, config: Loss, task_variant: str, /, *, label_counts: Sequence[int] | None) -> LossFunction: ...


class BuildOptimizer(Protocol):
    """Return the optimizer; `learning.optimizer.parameter_groups(config, tuned)` gives the trainable tensors in groups."""

    def __call__(self, config: Optimizer, tuned: Tuned, /) -> TorchOptimizer: ...


class BuildScheduler(Protocol):
    """Return the schedule, which is stepped once after each of the `total_steps` optimizer steps."""

    def __call__(self, config: Scheduler, optimizer: TorchOptimizer, total_steps: int, /) -> LambdaLR: ...


class BuildLogger(Protocol):
    """Return the Lightning loggers of the first rank."""

    def __call__(self, config: Logger, run: RunDirectory, /) -> Sequence[LightningLogger]: ...


class BuildCallback(Protocol):
    """Return one Lightning callback; `config` is `callbacks.NAME`."""

    def __call__(self, config: Callback, /) -> pl.Callback: ...


class ComputeMetric(Protocol):
    """Return a metric of all examples: see `Metric`."""

    def __call__(self, targets: Answers, predictions: Answers, /) -> float: ...


BUILDERS: Mapping[str, type] = {
    "metric": ComputeMetric,
    "dataset": BuildDataset,
    "cleaner": BuildCleaner,
    "annotator": BuildAnnotator,
    "augmenter": BuildAugmenter,
    "sampler": BuildSampler,
    "task": BuildTask,
    "model": BuildModel,
    "tuning": BuildTuning,
    "loss": BuildLoss,
    "optimizer": BuildOptimizer,
    "scheduler": BuildScheduler,
    "logger": BuildLogger,
    "callbacks": BuildCallback,
}


def signature_text(group: str) -> str:
    """The expected signature of a group, as a user writes it: `build(config: Optimizer, tuned: Tuned) -> TorchOptimizer`."""
    expected = _expected(group)
    free = [each.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) for each in expected.parameters.values() if _positional(each)]
    named = [each for each in expected.parameters.values() if not _positional(each)]
    written = inspect.Signature([*free, *named])
    return f"{'function' if group == 'metric' else 'build'}{written} -> {expected.return_annotation}".replace("'", "")


def mismatch(group: str, build: Callable[..., object]) -> str | None:
    """Return why finecomb's call of `build` would fail, or None where it fits."""
    if not callable(build):
        return "it is not callable"
    try:
        found = inspect.signature(build)
    except (TypeError, ValueError):
        return "its signature cannot be read"
    expected = _expected(group).parameters.values()
    try:
        found.bind(*(None for each in expected if _positional(each)), **{each.name: None for each in expected if not _positional(each)})
    except TypeError as error:
        return str(error)
    return None


def _expected(group: str) -> inspect.Signature:
    declared = inspect.signature(BUILDERS[group].__call__)  # type: ignore[operator]
    return declared.replace(parameters=[each for each in declared.parameters.values() if each.name != "self"])


def _positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind is inspect.Parameter.POSITIONAL_ONLY
