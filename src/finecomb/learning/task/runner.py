"""What every task offers to training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import torch
from torch import Tensor

from finecomb.learning.task import encoding
from finecomb.learning.task.encoding import Batch

VERSION = "1"

Columns = Mapping[str, Sequence[Any]]
"""Columns of a data set by name, of equal length."""
Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""A LossFunction: logits and targets of items to their values and weights."""


@dataclass(frozen=True)
class Items:
    """What a loss judges in a batch: its sequences, tokens or pairs.

    logits: [N, K]. targets: [N] or [N, K], as the task makes them. rows: [N], the example in the batch that each belongs to.
    """

    logits: Tensor
    targets: Tensor
    rows: Tensor


class TaskRunner(Protocol):
    """A task at work.

    Attributes:
        head: The kind of head, a key of `finecomb.learning.heads.HEADS`.
        num_outputs: Columns of the logits.
        problem_type: As transformers names it; None where it has no name.
        label_names: By index; None where there are no classes.
        encoding: Every setting beside the tokenizer and the length that decides what `encode` gives.
    """

    head: str
    num_outputs: int
    problem_type: str | None
    label_names: list[str] | None
    encoding: tuple[str, ...]

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Take what the task needs of the tokenizer and of the model's own config. Raises ConfigError where they do not serve it."""

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Token ids and masks of each example, without padding, and `truncated`: tokens cut from each.

        columns: of the data; `label` is among them but where a finished run predicts.
        """

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """Labels as the losses and metrics want them: [B] long, [B, K] float, or [B] float."""

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """Encoded rows as one batch, padded to its longest."""

    def item_targets(self, batch: Batch) -> Tensor:
        """The targets of the items of a batch, which need no forward pass."""

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """What the loss judges. outputs: what the head gives for the batch."""

    def width(self, longest: int) -> int:
        """Columns that `reduce` keeps of each example. longest: tokens of the longest one."""

    def reduce(self, outputs: Tensor, batch: Batch, loss: Loss | None) -> Tensor:
        """[B, width] what evaluation keeps of each example: all that losses, metrics and answers are computed from.

        loss: None where only answers are wanted.
        """

    def losses(self, kept: Tensor, examples: Columns, loss: Loss) -> tuple[Tensor, Tensor]:
        """Loss [N] of each example (the mean over its items) and how much it counts [N], from what was kept."""

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """Every metric of the task over all predictions at once; None where a metric is undefined."""

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """What is kept of each row, in words. examples: their texts, for tasks whose answers are parts of them."""

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """What a finished run says of each row that it is given, for users: plain values, lists and dictionaries by name."""

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """Columns of the file of predictions, `label` and `prediction` among them.

        Those named `sum.NAME` are what the metrics of `runs.sum_metrics` sum over rows.
        """

    def compared(self, kept: Tensor) -> Tensor:
        """The part of `kept` in which rounding shows as rounding; a saved model must give it again."""


class TextWriter(Protocol):
    """What a task that writes texts offers besides; see `TextGeneration` for what is usual.

    Attributes:
        generates: True.
        generation_metrics: Names of the metrics of `runs.sum_metrics` that judge generated texts; `TaskFacts.generated` has the same.
    """

    generates: bool
    generation_metrics: tuple[str, ...]

    def longest(self, max_length: int) -> int:
        """Positions of the model that an example may take in training, where batch.max_length is `max_length`."""

    def prompts(self, tokenizer: Any, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Inputs [B, L] of the model from which generation starts, padded on either side.

        features: encoded rows, with or without what belongs to the label.
        """

    def stops(self) -> tuple[int, ...]:
        """Tokens that end a text, beside those by which the weights' own generation config ends it."""

    def text(self, tokens: list[int]) -> str:
        """The text that generated tokens stand for; the token that ended it is not among them."""

    def generation_sums(self, texts: Sequence[str], examples: Columns) -> dict[str, list[float]]:
        """What each text adds to the sums of the metrics, by name with the prefix `sum.`, given the labels of `examples`.

        `sum.generated` (1 for each text, 0 for an example without one) is there already.
        """


def writes_text(task: TaskRunner) -> TypeGuard[TextWriter]:
    """Whether a task generates texts."""
    return bool(getattr(task, "generates", False))


class Choosing(Protocol):
    """A task with values that validation decides and that no gradient learns, such as a threshold.

    Attributes:
        chosen: The values by name; an artifact keeps them, and what reads one sets them.
    """

    chosen: dict[str, float]

    def choose(self, kept: Tensor, examples: Columns) -> None:
        """Set `chosen` by what was kept of the validation rows."""


def chooses(task: TaskRunner) -> TypeGuard[Choosing]:
    """Whether validation decides values of a task."""
    return hasattr(task, "choose")


def chosen_by(task: TaskRunner) -> dict[str, dict[str, float]]:
    """`chosen` of a task that has such values, as records hold them."""
    return {"chosen": task.chosen} if chooses(task) and task.chosen else {}


class TextInput:
    """Encoding, collating and reading of single texts and pairs; the same for every task with one output a text."""

    head = "sequence_classification"
    num_outputs: int
    encoding: tuple[str, ...] = ()

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Nothing is needed of them."""

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """See TaskRunner.encode. columns: text and, for pairs, text_pair."""
        pairs = columns.get("text_pair")
        return encoding.encode(tokenizer, list(columns["text"]), None if pairs is None else list(pairs), max_length)

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """See TaskRunner.collate."""
        return encoding.collate(tokenizer, features, None if labels is None else self.targets(labels))

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """See TaskRunner.targets; each task has its own."""
        raise NotImplementedError

    def item_targets(self, batch: Batch) -> Tensor:
        """One item an example."""
        assert batch.targets is not None
        return batch.targets

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """One item an example."""
        return Items(outputs, self.item_targets(batch), torch.arange(len(outputs), device=outputs.device))

    def width(self, longest: int) -> int:
        """The logits."""
        return self.num_outputs

    def reduce(self, outputs: Tensor, batch: Batch, loss: Loss | None) -> Tensor:
        """The logits."""
        return outputs

    def losses(self, kept: Tensor, examples: Columns, loss: Loss) -> tuple[Tensor, Tensor]:
        """From the logits, in float64."""
        return loss(kept, self.targets(examples["label"]))

    def compared(self, kept: Tensor) -> Tensor:
        """The logits."""
        return kept
