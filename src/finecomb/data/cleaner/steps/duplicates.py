"""Exact duplicates, within a split and across splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import xxhash

from finecomb.config.schema.base import option
from finecomb.data.cleaner.among import in_range, repeated
from finecomb.data.cleaner.shingles import utf8
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch

_PART = 1 << 22  # rows for each task of the plan


@dataclass
class DuplicatesOptions:
    """Exact duplicates go, before any split is carved."""

    across: bool = option("also drop training and validation rows whose text stands in a later split (test wins, then validation)")


class Duplicates(CorpusStep):
    """Keeps the first row of each text (of each pair of texts). The order of splits lets test win, then validation.

    Texts are compared by 128-bit hashes (XXH3): among a billion texts the odds of one false match are below 10**-20.
    """

    VERSION = 2
    SKETCHED_BY = ()

    def __init__(self, config: DuplicatesOptions) -> None:
        self._across = config.across

    def sketch(self, batch: Batch) -> Facts:
        """A hash of each row's text, in two halves, and of its label."""
        halves = np.frombuffer(b"".join(_digests(batch)), dtype=">u8").reshape(-1, 2).T.astype(np.uint64)
        known: dict[str, int] = {}
        labels = [known[name] if name in known else known.setdefault(name, _number(name)) for name in map(repr, batch.label)]
        return {"high": halves[0], "low": halves[1], "label": np.array(labels, dtype=np.uint64)}

    def plan_parts(self, sketches: Sequence[Sketch]) -> int:
        """One for some millions of rows."""
        return max(1, sum(each.rows for each in sketches) // _PART)

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The rows that are dropped, by number, and why."""
        return self.join([self.plan_part(sketches, 0, 1)], sketches, corpus)

    def plan_part(self, sketches: Sequence[Sketch], part: int, parts: int) -> Facts:
        """Those whose hash is in one of so many ranges."""
        names = list(dict.fromkeys(each.split for each in sketches))
        own = [np.flatnonzero(in_range(each.facts["high"], part, parts)) for each in sketches]
        high, low, label = (
            np.concatenate([np.zeros(0, np.uint64), *(each.facts[name][at] for each, at in zip(sketches, own, strict=True))])
            for name in ("high", "low", "label")
        )
        split = np.repeat(np.array([names.index(each.split) for each in sketches], np.int8), [len(at) for at in own])
        row = np.concatenate([np.zeros(0, np.int64), *(at + each.start for each, at in zip(sketches, own, strict=True))])
        # The few rows that share half a hash with another are all that has to be sorted.
        some = repeated(high)
        some = some[np.lexsort((some, split[some] if not self._across else some, low[some], high[some]))]
        new = np.ones(len(some), dtype=bool)
        new[1:] = (high[some[1:]] != high[some[:-1]]) | (low[some[1:]] != low[some[:-1]])
        if not self._across:
            new[1:] |= split[some[1:]] != split[some[:-1]]
        first = some[np.maximum.accumulate(np.where(new, np.arange(len(some)), 0))]
        gone, kept = some[~new], first[~new]
        where = np.where(split[gone] == split[kept], -1, split[kept])
        return {"rows": row[gone], "split": where, "other_label": label[gone] != label[kept]}

    def join(self, done: Sequence[Facts], sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """All of them in the order of rows."""
        every = {name: np.concatenate([part[name] for part in done]) for name in ("rows", "split", "other_label")}
        order = np.argsort(every["rows"])
        return {name: cells[order] for name, cells in every.items()} | {"names": list(dict.fromkeys(each.split for each in sketches))}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Drop what was seen before; the reason tells where, and whether it had another label there."""
        low, high = np.searchsorted(state["rows"], [batch.start, batch.start + len(batch)]).tolist()
        places = [""] + [f" of a row in {name}" for name in state["names"]]
        rows, splits, others = (state[name][low:high].tolist() for name in ("rows", "split", "other_label"))
        return Decision({
            row - batch.start: f"duplicate{places[split + 1]}{' with another label' if other else ''}"
            for row, split, other in zip(rows, splits, others, strict=True)
        })  # fmt: skip


def _number(name: str) -> int:
    return xxhash.xxh3_64_intdigest(name.encode())


def _digests(batch: Batch) -> list[bytes]:
    """128 bits for each row, from the bytes of its texts as they lie in memory."""
    digest = xxhash.xxh3_128_digest
    data, bounds = _bytes(batch.text)
    if batch.text_pair is None:
        return [digest(data[start:end]) for start, end in pairwise(bounds)]
    other, others = _bytes(batch.text_pair)
    return [
        digest(b"".join(((end - start).to_bytes(8, "little"), data[start:end], other[a:b])))
        for (start, end), (a, b) in zip(pairwise(bounds), pairwise(others), strict=True)
    ]


def _bytes(texts: Any) -> tuple[memoryview, list[int]]:
    data, bounds = utf8(texts)
    return data.data, bounds.tolist()


CLEANING_STEPS = {"duplicates": (DuplicatesOptions, Duplicates)}
