"""What a cleaning step is: it sees a batch of rows and says which to drop or replace, and why. The recipe does the rest.

A step that judges or rewrites one text at a time extends `TextFilter` or `TextRewrite` and writes one method. A step that compares rows
implements `Step` itself; a fresh one is made for each recipe run, so it may remember what it saw.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Batch:
    """Rows of one split, as lists of equal length. `label` is as the source wrote it (None where there is none)."""

    split: str
    id: Sequence[str]
    text: Sequence[str]
    text_pair: Sequence[str] | None
    label: Sequence[Any]

    def __len__(self) -> int:
        return len(self.id)


@dataclass
class Decision:
    """What a step decides about the rows of a batch, by their number in it. Rows that are not named are kept as they are.

    drop: row -> reason. replace: row -> (text, text of the pair or None); the reason of every replacement is the step itself.
    scores: name -> a number for each row of the batch, kept so that another threshold can be chosen without computing it again.
    """

    drop: dict[int, str] = field(default_factory=dict)
    replace: dict[int, tuple[str, str | None]] = field(default_factory=dict)
    scores: dict[str, Sequence[float]] = field(default_factory=dict)


class Step(ABC):
    """One step of a recipe. `__init__` takes the step's schema.

    VERSION goes up when the same values decide differently: cached results and run fingerprints hang on it.
    whole: give this step each split as one batch. Splits come in the order test, validation, train.
    """

    VERSION: ClassVar[int] = 1
    whole: ClassVar[bool] = False

    def look(self, splits: Mapping[str, Batch]) -> None:  # noqa: B027 (most steps need no look)
        """See all rows before the first is judged; for steps that decide by the corpus."""

    @abstractmethod
    def decide(self, batch: Batch) -> Decision:
        """Judge one batch."""

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """For each score the least and the most that is kept; None: no such bound."""
        return {}

    def record(self) -> dict[str, Any]:
        """What the step found out about the corpus, as plain JSON values, for the report."""
        return {}


class TextRewrite(Step):
    """A step that rewrites each text by itself, so that it can be done to a new text too.

    learns: it needs what it found in the training data (its `record`), which `recall` gives back to it.
    """

    learns: bool = False

    def recall(self, record: Mapping[str, Any]) -> None:
        """Take up what an earlier run of the step found out."""
        raise NotImplementedError

    @abstractmethod
    def rewrite(self, text: str) -> str:
        """The text as it should be."""

    def decide(self, batch: Batch) -> Decision:
        """Rewrite both texts of each row; only rows that change are named."""
        texts = [self.rewrite(text) for text in batch.text]
        if batch.text_pair is None:
            return Decision(replace={row: (new, None) for row, (old, new) in enumerate(zip(batch.text, texts, strict=True)) if old != new})
        pairs = [self.rewrite(text) for text in batch.text_pair]
        rows = enumerate(zip(batch.text, texts, batch.text_pair, pairs, strict=True))
        return Decision(replace={row: (new, pair) for row, (old, new, old_pair, pair) in rows if old != new or old_pair != pair})


class TextFilter(Step):
    """A step that keeps or drops a row by looking at each of its texts by itself."""

    @abstractmethod
    def reason(self, text: str) -> str | None:
        """Why a row with this text goes, or None when it may stay."""

    def decide(self, batch: Batch) -> Decision:
        """Drop a row when either of its texts gives a reason."""
        drop = {row: reason for row, text in enumerate(batch.text) if (reason := self.reason(text))}
        for row, text in enumerate(batch.text_pair or ()):
            if row not in drop and (reason := self.reason(text)):
                drop[row] = f"{reason} (text_pair)"
        return Decision(drop)
