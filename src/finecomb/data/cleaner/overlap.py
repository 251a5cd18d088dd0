"""Steps about what texts share in parts: n-grams of the test set in training texts, and lines that a corpus repeats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.shingles import hashed
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch, joined
from finecomb.data.cleaner.words import words

_SHOWN = 20


class Decontaminate(CorpusStep):
    """Drops training and validation rows that share a long n-gram with a row of test (13 words: Brown et al. 2020, appendix C).

    Texts shorter than the n-gram are compared as a whole. N-grams that stand in many test rows are phrases, not contamination.
    """

    SKETCHED_BY = ("ngram",)

    def __init__(self, config: schema.Decontaminate) -> None:
        self._config = config

    def sketch(self, batch: Batch) -> Facts:
        """The n-grams of test, and in how many rows of the shard each stands."""
        if batch.split != "test":
            return {}
        hashes, offsets = hashed(joined(batch), self._config.ngram)
        sets = [np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in range(len(batch))]
        values, counts = np.unique(np.concatenate(sets) if sets else hashes, return_counts=True)
        return {"values": values, "counts": counts}

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The n-grams of test that are to be found nowhere else."""
        mine = [each.facts for each in sketches if each.split == "test"]
        empty = np.empty(0, dtype=np.uint64)
        values, place = np.unique(np.concatenate([empty, *(each["values"] for each in mine)]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([np.empty(0), *(each["counts"] for each in mine)]), len(values))
        few = counts <= self._config.max_matches
        return {"reference": values[few], "phrases": int((~few).sum())}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """The score is the number of a row's n-grams that stand in test."""
        if batch.split == "test":
            return Decision()
        hashes, offsets = hashed(joined(batch), self._config.ngram)
        shared = np.isin(hashes, state["reference"]).astype(np.int64)
        totals = np.concatenate([[0], np.cumsum(shared)])
        found = (totals[offsets[1:]] - totals[offsets[:-1]]).tolist()
        drop = {row: f"shares {self._config.ngram} words with test" for row, count in enumerate(found) if count}
        return Decision(drop, scores={"shared_ngrams": found})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """None may be shared."""
        return {"shared_ngrams": (None, 0)}

    def record(self, state: Facts) -> dict[str, Any]:
        """How many n-grams of test there were to look for."""
        return {"reference_ngrams": len(state["reference"]), "phrases_passed_over": state["phrases"]}


class RepeatedLines(CorpusStep):
    """Removes lines that stand in many texts: navigation, licences, signatures. A text left without words goes."""

    SKETCHED_BY = ("min_words",)

    def __init__(self, config: schema.RepeatedLines) -> None:
        self._config = config

    def sketch(self, batch: Batch) -> Facts:
        """For each line in how many texts of the shard it stands, and the first row that has it."""
        keys: list[int] = []
        rows: list[int] = []
        for row, text in enumerate(joined(batch)):
            mine = {self._key(line) for line in text.split("\n") if self._counts(line)}
            keys += mine
            rows += [row] * len(mine)
        values, first, counts = np.unique(np.array(keys, dtype=np.uint64), return_index=True, return_counts=True)
        return {"values": values, "counts": counts, "first": np.array(rows, dtype=np.int64)[first]}

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The lines that stand in too many training texts (of all splits where there is no train), and the most frequent of them."""
        mine = [each for each in sketches if each.split == "train"] or list(sketches)
        every = np.concatenate([each.facts["values"] for each in mine])
        values, first, place = np.unique(every, return_index=True, return_inverse=True)
        counts = np.bincount(place, np.concatenate([each.facts["counts"] for each in mine]), len(values)).astype(np.int64)
        rows = np.concatenate([each.facts["first"] + each.start for each in mine])[first]
        common = np.flatnonzero(counts > self._config.max_texts)
        shown = []
        for at in common[np.argsort(-counts[common], kind="stable")][:_SHOWN].tolist():
            line = next(
                line for line in corpus.text(int(rows[at])).split("\n") if self._counts(line) and self._key(line) == int(values[at])
            )
            shown.append({"texts": int(counts[at]), "line": line.strip()[:200]})
        return {"common": values[common], "most_frequent": sorted(shown, key=lambda each: (-each["texts"], each["line"]))}

    def _counts(self, line: str) -> bool:
        return len(words(line)) >= self._config.min_words

    @staticmethod
    def _key(line: str) -> int:
        return xxhash.xxh3_64_intdigest(" ".join(line.lower().split()).encode())

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Take the common lines out."""
        common = set(state["common"].tolist())
        decision = Decision()
        for row, text in enumerate(batch.text):
            kept = self._without(text, common)
            pair = None if batch.text_pair is None else self._without(batch.text_pair[row], common)
            if not words(kept) and words(text):
                decision.drop[row] = "nothing but repeated lines"
            elif kept != text or (batch.text_pair is not None and pair != batch.text_pair[row]):
                decision.replace[row] = (kept, pair)
        return decision

    def _without(self, text: str, common: set[int]) -> str:
        lines = text.split("\n")
        kept = [line for line in lines if not self._counts(line) or self._key(line) not in common]
        return text if len(kept) == len(lines) else "\n".join(kept)

    def record(self, state: Facts) -> dict[str, Any]:
        """The most frequent of the lines taken out."""
        return {"lines": len(state["common"]), "most_frequent": state["most_frequent"]}
