"""A recipe runs its steps in order over all splits, counts every row in and out with its reason, and keeps examples."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar

from finecomb.data.cleaner.step import Batch, Decision, Step

# The order in which splits are cleaned: a text that stands in several of them stays in the first.
PRECEDENCE = ("test", "validation", "train")
BATCH = 10_000
EXAMPLES = 5
_SHOWN = 200


class Cleanable(Protocol):
    """What a recipe needs of the rows of a split; `Self` is what it gives back."""

    @property
    def id(self) -> list[str]:
        """Unique names."""

    @property
    def text(self) -> list[str]:
        """The texts."""

    @property
    def text_pair(self) -> list[str] | None:
        """The second texts of pairs."""

    @property
    def label(self) -> list[Any]:
        """Labels as the source wrote them."""

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int]) -> Self:
        """These rows, in this order."""

    def with_texts(self, text: list[str], text_pair: list[str] | None) -> Self:
        """The same rows with other texts."""


R = TypeVar("R", bound=Cleanable)


@dataclass
class Cleaned(Generic[R]):
    """The splits after the recipe, and its record.

    funnel: for each step and split {"step", "split", "rows_in", "rows_out", "bytes_in", "bytes_out", "changed", "reasons": {reason: rows
    dropped}}; bytes are of texts in UTF-8.
    examples: for each step and reason at most five rows {"step", "reason", "split", "id", "before", "after"}; after is None when dropped.
    """

    splits: dict[str, R]
    funnel: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    # Every row that went: {"step", "reason", "split", "id", "text", "text_pair", "label"}, as the step saw it.
    dropped: list[dict[str, Any]] = field(default_factory=list)
    # For each score of a step {"step", "score", "low", "high", "split", "id": [...], "value": [...]}.
    scores: list[dict[str, Any]] = field(default_factory=list)
    # What steps found out about the corpus, and how long each took.
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Named steps in order. `make` builds a fresh step, since a step may remember what it saw."""

    steps: tuple[tuple[str, Callable[[], Step]], ...]
    # Kind, values and VERSION of each step: what a cached result depends on.
    identity: tuple[Any, ...]

    def run(self, splits: dict[str, R]) -> Cleaned[R]:
        """Clean all splits. Ids never change."""
        cleaned = Cleaned(dict(splits))
        for name, make in self.steps:
            step, samples, started = make(), _Samples(name), time.perf_counter()
            step.look({split: _batch(split, rows, slice(None)) for split, rows in cleaned.splits.items()})
            entries = {}
            for split in (split for split in PRECEDENCE if split in splits):
                cleaned.splits[split], entries[split] = _apply(step, name, split, cleaned, samples)
            cleaned.funnel += [entries[split] for split in reversed(PRECEDENCE) if split in entries]
            cleaned.examples += samples.chosen()
            if found := step.record():
                cleaned.records[name] = found
            cleaned.seconds[name] = time.perf_counter() - started
        return cleaned


def _batch(split: str, rows: Cleanable, part: slice) -> Batch:
    return Batch(split, rows.id[part], rows.text[part], None if rows.text_pair is None else rows.text_pair[part], rows.label[part])


def _bytes(*columns: Sequence[str] | None) -> int:
    return sum(len(text) if text.isascii() else len(text.encode()) for column in columns if column is not None for text in column)


def _apply(step: Step, name: str, split: str, cleaned: Cleaned[R], samples: _Samples) -> tuple[R, dict[str, Any]]:
    """One step over one split."""
    rows = cleaned.splits[split]
    scores: dict[str, list[float]] = {}
    text, pair = list(rows.text), None if rows.text_pair is None else list(rows.text_pair)
    kept: list[int] = []
    reasons: Counter[str] = Counter()
    changed = 0
    size = max(1, len(rows)) if step.whole else BATCH
    for start in range(0, len(rows), size):
        batch = _batch(split, rows, slice(start, start + size))
        decision = step.decide(batch)
        for score, values in decision.scores.items():
            scores.setdefault(score, []).extend(map(float, values))
        cleaned.dropped += [_dropped(name, reason, batch, row) for row, reason in sorted(decision.drop.items())]
        for row, (new, new_pair) in decision.replace.items():
            text[start + row] = new
            if pair is not None and new_pair is not None:
                pair[start + row] = new_pair
        kept += [start + row for row in range(len(batch)) if row not in decision.drop]
        reasons.update(decision.drop.values())
        changed += len(decision.replace.keys() - decision.drop.keys())
        samples.add(batch, decision)
    for score, values in scores.items():
        low, high = step.thresholds().get(score, (None, None))
        cleaned.scores.append({"step": name, "score": score, "low": low, "high": high, "split": split, "id": rows.id, "value": values})
    after = rows.with_texts(text, pair).take(kept)
    entry = {"step": name, "split": split, "rows_in": len(rows), "rows_out": len(kept), "changed": changed}
    entry |= {"bytes_in": _bytes(rows.text, rows.text_pair), "bytes_out": _bytes(after.text, after.text_pair)}
    return after, entry | {"reasons": dict(sorted(reasons.items()))}


def _dropped(step: str, reason: str, batch: Batch, row: int) -> dict[str, Any]:
    pair = None if batch.text_pair is None else batch.text_pair[row]
    where = {"step": step, "reason": reason, "split": batch.split, "id": batch.id[row]}
    return where | {"text": batch.text[row], "text_pair": pair, "label": batch.label[row]}


class _Samples:
    """Five rows for each reason, chosen by their ids alone: the same whatever the batches."""

    def __init__(self, step: str) -> None:
        self._step = step
        self._kept: dict[str, list[tuple[bytes, str, dict[str, Any]]]] = {}

    def add(self, batch: Batch, decision: Decision) -> None:
        for row, reason in decision.drop.items():
            self._offer(batch, row, reason, None)
        for row, after in decision.replace.items():
            if row not in decision.drop:
                self._offer(batch, row, "changed", after)

    def _offer(self, batch: Batch, row: int, reason: str, after: tuple[str, str | None] | None) -> None:
        chosen = self._kept.setdefault(reason, [])
        order = (hashlib.sha256(batch.id[row].encode()).digest(), batch.split)
        if len(chosen) == EXAMPLES and order >= chosen[-1][:2]:
            return
        before = (batch.text[row], None if batch.text_pair is None else batch.text_pair[row])
        example: dict[str, Any] = {"step": self._step, "reason": reason, "split": batch.split, "id": batch.id[row]}
        example |= {"before": _cut(before), "after": None if after is None else _cut(after)}
        chosen.append((*order, example))
        chosen.sort(key=lambda entry: entry[:2])
        del chosen[EXAMPLES:]

    def chosen(self) -> list[dict[str, Any]]:
        return [example for reason in sorted(self._kept) for _, _, example in self._kept[reason]]


def _cut(texts: tuple[str, str | None]) -> str:
    return " | ".join(text if len(text) <= _SHOWN else text[:_SHOWN] + " ..." for text in texts if text is not None)
