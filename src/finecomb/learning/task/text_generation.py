"""What tasks that write texts mostly do alike; the contract is `runner.TextWriter`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from finecomb.learning.task import encoding
from finecomb.learning.task.runner import Columns
from finecomb.runs.text_statistics import statistics

VERSION = "1"


class TextGeneration:
    """Texts compared with the labels of the data, for a task that keeps its tokenizer when it is bound.

    Attributes:
        generation_metrics: See `runner.TextWriter`; each is one of `text_statistics`.
        tokenizer: Of the model.
    """

    generates = True
    generation_metrics: tuple[str, ...] = ()
    tokenizer: Any = None

    def longest(self, max_length: int) -> int:
        """An example has at most `max_length` tokens."""
        return max_length

    def prompts(self, tokenizer: Any, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """The rows as they were encoded: right for rows without labels in them, and for sources of an encoder-decoder."""
        return encoding.collate(tokenizer, features, None).inputs

    def stops(self) -> tuple[int, ...]:
        """The tokenizer's own end of a text."""
        return () if self.tokenizer.eos_token_id is None else (int(self.tokenizer.eos_token_id),)

    def text(self, tokens: list[int]) -> str:
        """The tokens' text without special tokens and without white space around it."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    def references(self, examples: Columns) -> list[str]:
        """What a text of each example is compared with."""
        return list(examples["label"])

    def generation_sums(self, texts: Sequence[str], examples: Columns) -> dict[str, list[float]]:
        """See `text_statistics.statistics`."""
        return statistics(texts, self.references(examples), self.generation_metrics)
