"""Exact duplicates, within a split and across splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import Batch, Decision, Step


class Duplicates(Step):
    """Keeps the first row of each text (of each pair of texts). The recipe's order of splits lets test win, then validation."""

    def __init__(self, config: schema.Duplicates) -> None:
        self._across = config.across
        self._first: dict[tuple[str, str | None, str], tuple[str, Any]] = {}

    def decide(self, batch: Batch) -> Decision:
        """Drop what was seen before; the reason tells where, and whether it had another label there."""
        drop = {}
        pairs: Sequence[str | None] = batch.text_pair if batch.text_pair is not None else [None] * len(batch)
        for row, (text, pair, label) in enumerate(zip(batch.text, pairs, batch.label, strict=True)):
            key = (text, pair, "" if self._across else batch.split)
            if key not in self._first:
                self._first[key] = (batch.split, label)
                continue
            split, other = self._first[key]
            where = "" if split == batch.split else f" of a row in {split}"
            drop[row] = f"duplicate{where}" + ("" if other == label else " with another label")
        return Decision(drop)
