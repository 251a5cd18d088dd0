"""Exact duplicates, within a split and across splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch


class Duplicates(CorpusStep):
    """Keeps the first row of each text (of each pair of texts). The order of splits lets test win, then validation.

    Texts are compared by 128-bit hashes (XXH3): among a billion texts the odds of one false match are below 10**-20.
    """

    VERSION = 1
    SKETCHED_BY = ()

    def __init__(self, config: schema.Duplicates) -> None:
        self._across = config.across

    def sketch(self, batch: Batch) -> Facts:
        """A hash of each row's text, and of its label."""
        return {
            "text": _hashes(batch),
            "label": np.array([xxhash.xxh3_64_intdigest(repr(label).encode()) for label in batch.label], dtype=np.uint64),
        }

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The rows that go, by number, and why."""
        text = np.concatenate([each.facts["text"] for each in sketches])
        label = np.concatenate([each.facts["label"] for each in sketches])
        names = sorted({each.split for each in sketches})
        split = np.concatenate([np.full(each.rows, names.index(each.split)) for each in sketches])
        apart = np.zeros(len(text), dtype=np.int64) if self._across else split
        order = np.lexsort((np.arange(len(text)), text["low"], text["high"], apart))
        same = np.zeros(len(text), dtype=bool)
        same[1:] = (text[order[1:]] == text[order[:-1]]) & (apart[order[1:]] == apart[order[:-1]])
        first = order[np.maximum.accumulate(np.where(same, 0, np.arange(len(text))))] if len(text) else order
        rows, kept = order[same], first[same]
        place = np.argsort(rows)
        rows, kept = rows[place], kept[place]
        return {
            "rows": rows,
            "split": np.where(split[rows] == split[kept], -1, split[kept]),
            "other_label": label[rows] != label[kept],
            "names": names,
        }

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Drop what was seen before; the reason tells where, and whether it had another label there."""
        rows = state["rows"]
        low, high = np.searchsorted(rows, [batch.start, batch.start + len(batch)]).tolist()
        drop = {}
        for row, split, other in zip(
            rows[low:high].tolist(), state["split"][low:high].tolist(), state["other_label"][low:high].tolist(), strict=True
        ):
            where = "" if split < 0 else f" of a row in {state['names'][split]}"
            drop[row - batch.start] = f"duplicate{where}" + (" with another label" if other else "")
        return Decision(drop)


def _hashes(batch: Batch) -> NDArray[Any]:
    """[rows] of pairs of 64 bits."""
    digest = xxhash.xxh3_128_digest
    if batch.text_pair is None:
        raw = [digest(text.encode()) for text in batch.text]
    else:
        raw = [
            digest(len(text).to_bytes(8, "little") + text.encode() + pair.encode())
            for text, pair in zip(batch.text, batch.text_pair, strict=True)
        ]
    return np.frombuffer(b"".join(raw), dtype=[("high", ">u8"), ("low", ">u8")]).astype([("high", "<u8"), ("low", "<u8")])
