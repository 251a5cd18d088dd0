"""What a cleaning step is: it sees a batch of rows and says which to drop or replace, and why. The engine does the rest.

A step that judges or rewrites one text at a time extends `TextFilter`, `TextRewrite` or `Scorer` and writes one or two methods. A step that
compares rows extends `CorpusStep`: a sketch of each shard, one plan for all, and then each shard by the plan. Shards are worked on in any
order by several processes, so `decide` depends on nothing but the step's values, the batch and, for a `CorpusStep`, the plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from finecomb.data.texts import Texts

# Arrays and plain JSON values by name, as they are kept on disk between the parts of a step.
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Batch:
    """Rows of one split, as columns of equal length. `label` is as the source wrote it (None where there is none).

    text has the texts as Python strings and, in `text.arrow`, as a pyarrow array. start: the number of the first row among all rows of all
    splits, test first, then validation, then train. provenance: columns of `Rows.provenance`. scores: what earlier steps measured, by
    "step.score".
    """

    split: str
    id: Sequence[str]
    text: Texts
    text_pair: Texts | None
    label: Sequence[Any]
    start: int = 0
    provenance: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)

    def columns(self) -> list[Sequence[str]]:
        """The texts, and those of pairs."""
        return [self.text] if self.text_pair is None else [self.text, self.text_pair]


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

    VERSION goes up when the same values decide differently: cached results hang on it.
    LIBRARIES: distributions whose version may change what the step decides; cached results hang on these too.
    language: ISO 639-1 code of the language that the step's rules were written for; texts that are mostly in another are refused.
    groups_by: one of the step's scores: rows with the same value are carved to the same split.
    """

    VERSION: ClassVar[int] = 1
    LIBRARIES: ClassVar[tuple[str, ...]] = ()
    language: str | None = None
    groups_by: str | None = None

    @abstractmethod
    def decide(self, batch: Batch) -> Decision:
        """Judge one batch."""

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """For each score the least and the most that is kept; None: no such bound."""
        return {}


class Scorer(Step):
    """A step that measures texts and then judges by what it measured. Measures are cached: another threshold computes nothing again.

    MEASURED_BY: the fields of the step's schema that `measure` depends on.
    """

    MEASURED_BY: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """Arrays with an entry for each row."""

    @abstractmethod
    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """The decision, given what `measure` found."""

    def decide(self, batch: Batch) -> Decision:
        """Measure and judge."""
        return self.judge(batch, self.measure(batch))


class Corpus(Protocol):
    """All rows at the point of the recipe where a plan is made, by their number; one at a time, for what a report shows."""

    def text(self, row: int) -> str:
        """The text, with that of its pair behind a line end."""

    def id(self, row: int) -> str:
        """The id."""

    def label(self, row: int) -> Any:
        """The label as the source wrote it."""

    def split(self, row: int) -> str:
        """The split."""


@dataclass(frozen=True)
class Sketch:
    """What a step noted of one shard. facts: its arrays (mapped from disk, read-only) and plain values. start: number of its first row.

    given: the split came with the data; False: it was split from train. whole: none of its rows is dropped, whatever is decided.
    """

    split: str
    start: int
    rows: int
    facts: Facts
    given: bool = True
    whole: bool = False


class CorpusStep(Step):
    """A step that decides by the whole corpus.

    SKETCHED_BY: the fields of the step's schema that `sketch` depends on, so that another value of the others sketches nothing again; None:
    all of them.
    AFTER_SPLIT: the step compares train with the held-out splits; where some are split from train, it runs once they exist.
    """

    SKETCHED_BY: ClassVar[tuple[str, ...] | None] = None
    AFTER_SPLIT: ClassVar[bool] = False

    @abstractmethod
    def sketch(self, batch: Batch) -> Facts:
        """What the plan has to know of a shard."""

    @abstractmethod
    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """What follows from all shards; they come in the order test, validation, train. Rows are numbered in that order."""

    def plan_parts(self, sketches: Sequence[Sketch]) -> int:
        """How many tasks share the work of the plan; it follows from the sketches alone. 1: `plan` does it all."""
        return 1

    def plan_part(self, sketches: Sequence[Sketch], part: int, parts: int) -> Facts:
        """A task's share of the plan."""
        raise NotImplementedError

    def join(self, done: Sequence[Facts], sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The plan, of the shares of all tasks in order: the same, however many there are."""
        raise NotImplementedError

    @abstractmethod
    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Judge one batch by the plan."""

    def decide(self, batch: Batch) -> Decision:
        """A batch that is the whole corpus."""
        return self.carry_out(batch, self.plan([Sketch(batch.split, 0, len(batch), self.sketch(batch))], _Alone(batch)))

    def record(self, state: Facts) -> dict[str, Any]:
        """What the step found out about the corpus, as plain JSON values, for the report."""
        return {}


class _Alone:
    """The corpus of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def text(self, row: int) -> str:
        pair = self._batch.text_pair
        return self._batch.text[row] if pair is None else f"{self._batch.text[row]}\n{pair[row]}"

    def id(self, row: int) -> str:
        return self._batch.id[row]

    def label(self, row: int) -> Any:
        return self._batch.label[row]

    def split(self, row: int) -> str:
        return self._batch.split


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


def joined(batch: Batch) -> list[str]:
    """The texts of a batch; of pairs both, with a line end between."""
    if batch.text_pair is None:
        return list(batch.text)
    return [f"{text}\n{pair}" for text, pair in zip(batch.text, batch.text_pair, strict=True)]


def joined_arrow(batch: Batch) -> Any:
    """The texts of a batch as an Arrow array; of pairs both, with a line end between."""
    import pyarrow
    import pyarrow.compute as pc

    if batch.text_pair is None:
        return batch.text.arrow
    return pc.binary_join_element_wise(batch.text.arrow, batch.text_pair.arrow, pyarrow.scalar("\n", pyarrow.large_string()))
