"""What every task offers to training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from finecomb.learning.task import encoding
from finecomb.learning.task.encoding import Batch

VERSION = "1"


class TaskRunner(Protocol):
    """A task at work.

    num_outputs: columns of the logits. problem_type: as transformers names it. label_names: by index; None for regression.
    """

    num_outputs: int
    problem_type: str
    label_names: list[str] | None

    def encode(self, tokenizer: Any, text: list[str], text_pair: list[str] | None, max_length: int) -> dict[str, list[Any]]:
        """Token ids and masks of each text or pair, without padding, and `truncated`: tokens cut from each."""

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """Labels as the losses and metrics want them: [B] long, [B, K] float, or [B] float."""

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """Encoded rows as one batch, padded to its longest."""

    def metrics(self, logits: Tensor, targets: Tensor) -> dict[str, float | None]:
        """Every metric of the task over all predictions at once; None where a metric is undefined."""

    def decode(self, logits: Tensor) -> list[dict[str, Any]]:
        """What each row of logits says, in words."""


class TextInput:
    """Encoding and collating of single texts and pairs; the same for every task on whole texts."""

    def encode(self, tokenizer: Any, text: list[str], text_pair: list[str] | None, max_length: int) -> dict[str, list[Any]]:
        """See TaskRunner.encode."""
        return encoding.encode(tokenizer, text, text_pair, max_length)

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """See TaskRunner.collate."""
        return encoding.collate(tokenizer, features, None if labels is None else self.targets(labels))

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """See TaskRunner.targets; each task has its own."""
        raise NotImplementedError
