"""Steps about what texts share in parts: n-grams of the test set in training texts, and lines that a corpus repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import xxhash

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.near import _joined
from finecomb.data.cleaner.shingles import hashed
from finecomb.data.cleaner.step import Batch, Decision, Step
from finecomb.data.cleaner.word_hashes import U64
from finecomb.data.cleaner.words import words


class Decontaminate(Step):
    """Drops training and validation rows that share a long n-gram with a row of test (13 words: Brown et al. 2020, appendix C).

    Texts shorter than the n-gram are compared as a whole. N-grams that stand in many test rows are phrases, not contamination.
    """

    whole = True

    def __init__(self, config: schema.Decontaminate) -> None:
        self._config = config
        self._reference: U64 = np.empty(0, dtype=np.uint64)
        self._phrases = 0

    def decide(self, batch: Batch) -> Decision:
        """Learn the n-grams of test; count them in the others. The score is the number of a row's n-grams that stand in test."""
        hashes, offsets = hashed(_joined(batch), self._config.ngram)
        if batch.split == "test":
            sets = [np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in range(len(batch))]
            values, counts = np.unique(np.concatenate(sets) if sets else hashes, return_counts=True)
            self._phrases = int((counts > self._config.max_matches).sum())
            self._reference = values[counts <= self._config.max_matches]
            return Decision()
        shared = np.isin(hashes, self._reference).astype(np.int64)
        totals = np.concatenate([[0], np.cumsum(shared)])
        found = (totals[offsets[1:]] - totals[offsets[:-1]]).tolist()
        drop = {row: f"shares {self._config.ngram} words with test" for row, count in enumerate(found) if count}
        return Decision(drop, scores={"shared_ngrams": found})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """None may be shared."""
        return {"shared_ngrams": (None, 0)}

    def record(self) -> dict[str, Any]:
        """How many n-grams of test there were to look for."""
        return {"reference_ngrams": len(self._reference), "phrases_passed_over": self._phrases}


class RepeatedLines(Step):
    """Removes lines that stand in many texts: navigation, licences, signatures. A text left without words goes."""

    def __init__(self, config: schema.RepeatedLines) -> None:
        self._config = config
        self._common: set[bytes] = set()
        self._examples: list[tuple[int, str]] = []

    def look(self, splits: Mapping[str, Batch]) -> None:
        """Count in how many training texts each line stands (all splits where there is no train)."""
        tally: Counter[bytes] = Counter()
        shown: dict[bytes, str] = {}
        seen = [splits["train"]] if "train" in splits else list(splits.values())
        for batch in seen:
            for text in _joined(batch):
                for key, line in {self._key(line): line for line in text.split("\n") if self._counts(line)}.items():
                    tally[key] += 1
                    shown.setdefault(key, line.strip()[:200])
        self._common = {key for key, count in tally.items() if count > self._config.max_texts}
        most = sorted(((tally[key], shown[key]) for key in self._common), key=lambda each: (-each[0], each[1]))
        self._examples = most[:20]

    def _counts(self, line: str) -> bool:
        return len(words(line)) >= self._config.min_words

    @staticmethod
    def _key(line: str) -> bytes:
        return xxhash.xxh3_128_digest(" ".join(line.lower().split()).encode())

    def decide(self, batch: Batch) -> Decision:
        """Take the common lines out."""
        decision = Decision()
        for row, text in enumerate(batch.text):
            kept = self._without(text)
            pair = None if batch.text_pair is None else self._without(batch.text_pair[row])
            if not words(kept) and words(text):
                decision.drop[row] = "nothing but repeated lines"
            elif kept != text or (batch.text_pair is not None and pair != batch.text_pair[row]):
                decision.replace[row] = (kept, pair)
        return decision

    def _without(self, text: str) -> str:
        lines = text.split("\n")
        kept = [line for line in lines if not self._counts(line) or self._key(line) not in self._common]
        return text if len(kept) == len(lines) else "\n".join(kept)

    def record(self) -> dict[str, Any]:
        """The most frequent of the lines taken out."""
        return {"lines": len(self._common), "most_frequent": [{"texts": count, "line": line} for count, line in self._examples]}
