"""Steps about what texts share in parts: n-grams of the test set in training texts, and lines that a corpus repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.config.schema.base import option
from finecomb.data.cleaner.among import Among, in_range
from finecomb.data.cleaner.shingles import hashed
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch, joined_arrow
from finecomb.data.cleaner.word_hashes import PRIME
from finecomb.data.cleaner.word_pattern import words
from finecomb.data.texts import Texts

_SHOWN = 20
_PART = 1 << 22  # lines for each task of the plan


@dataclass
class DecontaminateOptions:
    """Training and validation rows that share long n-grams with a held-out split are dropped."""

    ngram: int = option("words in an n-gram", low=2, high=50)
    max_matches: int = option("n-grams in more rows of a held-out split than this are phrases and do not count", low=1)


class Decontaminate(CorpusStep):
    """Drops rows that share a long n-gram with a held-out split (13 words: Brown et al. 2020, appendix C).

    Training and validation rows are compared with test; training rows also with a validation set that was split from train. Where held-out
    splits are split from train, this happens once they exist. Texts shorter than the n-gram are compared as a whole. N-grams in many rows
    of a held-out split are phrases, not contamination.
    """

    VERSION = 2
    SKETCHED_BY = ("ngram",)
    AFTER_SPLIT = True

    def __init__(self, config: DecontaminateOptions) -> None:
        self._config = config

    def sketch(self, batch: Batch) -> Facts:
        """The n-grams of a held-out split, and the number of rows of the shard that hold each."""
        if batch.split == "train":
            return {}
        hashes, offsets = hashed(joined_arrow(batch), self._config.ngram)
        sets = [np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in range(len(batch))]
        values, counts = np.unique(np.concatenate(sets) if sets else hashes, return_counts=True)
        return {"values": values, "counts": counts}

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The n-grams of each held-out split that is protected."""
        protected = ["test", *dict.fromkeys(each.split for each in sketches if each.split == "validation" and not each.given)]
        state: dict[str, Any] = {"phrases": 0, "protected": [name for name in protected if any(each.split == name for each in sketches)]}
        for name in protected:
            state[name], phrases = self._grams([each.facts for each in sketches if each.split == name])
            state["phrases"] += phrases
        return state

    def _grams(self, facts: Sequence[Facts]) -> tuple[NDArray[np.uint64], int]:
        """N-grams in few enough rows, and the number of the others."""
        empty = np.empty(0, dtype=np.uint64)
        values, place = np.unique(np.concatenate([empty, *(each["values"] for each in facts)]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([np.empty(0), *(each["counts"] for each in facts)]), len(values))
        few = counts <= self._config.max_matches
        return values[few], int((~few).sum())

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """The score is the number of a row's n-grams that are in the splits it is compared with."""
        others = {"test": [], "validation": ["test"], "train": ["test", "validation"]}[batch.split]
        if not others:
            return Decision(scores={"shared_ngrams": [0] * len(batch)})
        hashes, offsets = hashed(joined_arrow(batch), self._config.ngram)
        drop: dict[int, str] = {}
        anywhere = np.zeros(len(hashes), dtype=bool)
        for name in [name for name in others if name in state]:
            shared = Among(state[name])(hashes)
            anywhere |= shared
            for row in np.flatnonzero(_sums(shared, offsets)).tolist():
                drop.setdefault(row, f"shares {self._config.ngram} words with {name}")
        return Decision(drop, scores={"shared_ngrams": _sums(anywhere, offsets).tolist()})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """None may be shared."""
        return {"shared_ngrams": (None, 0)}

    def record(self, state: Facts) -> dict[str, Any]:
        """How many n-grams of held-out splits there were to look for."""
        found: dict[str, Any] = {
            "protected": state["protected"],
            "reference_ngrams": sum(len(state[name]) for name in state["protected"]),
            "phrases_passed_over": state["phrases"],
        }
        if not state["protected"]:
            found["warnings"] = [
                "there is no test split, so no row was compared: a validation set that comes with the data is not protected"
            ]
        return found


def _sums(of_hashes: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each row the number of its hashes that are marked."""
    totals = np.concatenate([[0], np.cumsum(of_hashes, dtype=np.int64)])
    return totals[offsets[1:]] - totals[offsets[:-1]]


@dataclass
class RepeatedLinesOptions:
    """Lines that stand in many texts are taken out."""

    max_texts: int = option("a line may stand in so many training texts", low=1)
    min_words: int = option("shorter lines are left alone", low=0)


class RepeatedLines(CorpusStep):
    """Removes lines that stand in many texts: navigation, licenses, signatures. A text left without words goes.

    Lines are the same when their words are: case, punctuation and white space do not count.
    """

    VERSION = 2
    SKETCHED_BY = ("min_words",)

    def __init__(self, config: RepeatedLinesOptions) -> None:
        self._config = config

    def sketch(self, batch: Batch) -> Facts:
        """For each line in how many texts of the shard it stands, and the first row that has it."""
        columns = [_Lines(texts, self._config.min_words) for texts in (batch.text, batch.text_pair) if texts is not None]
        keys = np.concatenate([lines.keys for lines in columns])
        rows = np.concatenate([lines.rows for lines in columns])
        own = np.concatenate([lines.counted for lines in columns])
        # Each line once for a row, whatever its column.
        pairs = np.unique(np.stack([keys[own], rows[own].astype(np.uint64)], axis=1), axis=0)
        values, first, counts = np.unique(pairs[:, 0], return_index=True, return_counts=True)
        return {"values": values, "counts": counts, "first": pairs[first, 1].astype(np.int64)}

    def plan_parts(self, sketches: Sequence[Sketch]) -> int:
        """One for some millions of lines."""
        return max(1, sum(len(each.facts["values"]) for each in _counted(sketches)) // _PART)

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """The lines that are in too many training texts (of all splits where there is no train), and the most frequent of them."""
        return self.join([self.plan_part(sketches, 0, 1)], sketches, corpus)

    def plan_part(self, sketches: Sequence[Sketch], part: int, parts: int) -> Facts:
        """Those whose hash is in one of so many ranges, in order."""
        counted = [(each, in_range(each.facts["values"], part, parts)) for each in _counted(sketches)]
        every = np.concatenate([each.facts["values"][own] for each, own in counted])
        values, first, place = np.unique(every, return_index=True, return_inverse=True)
        counts = np.bincount(place, np.concatenate([each.facts["counts"][own] for each, own in counted]), len(values)).astype(np.int64)
        rows = np.concatenate([each.facts["first"][own] + each.start for each, own in counted])[first]
        common = counts > self._config.max_texts
        return {"values": values[common], "counts": counts[common], "rows": rows[common]}

    def join(self, done: Sequence[Facts], sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """All of them; the text of a line is in the first row that has it."""
        values, counts, rows = (np.concatenate([part[name] for part in done]) for name in ("values", "counts", "rows"))
        shown = []
        for at in np.argsort(-counts, kind="stable")[:_SHOWN].tolist():
            lines = _Lines(Texts.of([corpus.text(int(rows[at]))]), self._config.min_words)
            line = lines.line(int(np.flatnonzero(lines.keys == values[at])[0]))
            shown.append({"texts": int(counts[at]), "line": line.strip()[:200]})
        return {"common": values, "most_frequent": sorted(shown, key=lambda each: (-each["texts"], each["line"]))}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Take the common lines out."""
        texts = _without(batch.text, state["common"], self._config.min_words)
        pairs = {} if batch.text_pair is None else _without(batch.text_pair, state["common"], self._config.min_words)
        decision = Decision()
        for row in sorted(texts.keys() | pairs.keys()):
            kept = texts.get(row, batch.text[row])
            if row in texts and not words(kept) and words(batch.text[row]):
                decision.drop[row] = "nothing but repeated lines"
            else:
                decision.replace[row] = (kept, None if batch.text_pair is None else pairs.get(row, batch.text_pair[row]))
        return decision

    def record(self, state: Facts) -> dict[str, Any]:
        """The most frequent of the lines taken out."""
        return {"lines": len(state["common"]), "most_frequent": state["most_frequent"]}


def _counted(sketches: Sequence[Sketch]) -> Sequence[Sketch]:
    return [each for each in sketches if each.split == "train"] or sketches


class _Lines:
    """The lines of some texts. rows: which text each is of. keys: a hash of the words of each. counted: whether it has words enough."""

    def __init__(self, texts: Texts, min_words: int) -> None:
        import pyarrow.compute as pc

        split = pc.split_pattern(texts.arrow, "\n")
        self._raw = split.flatten()
        self.rows = np.repeat(np.arange(len(texts)), np.diff(split.offsets.to_numpy()))
        of_words, offsets = hashed(self._raw, 1)
        counts = np.diff(offsets)
        self.counted = counts >= max(1, min_words)
        # A polynomial of the words' hashes, so that their order counts.
        place = np.arange(len(of_words)) - np.repeat(offsets[:-1], counts)
        powers = np.full(int(counts.max(initial=0)) + 1, PRIME, dtype=np.uint64)
        powers[0] = 1
        with np.errstate(over="ignore"):
            np.multiply.accumulate(powers, out=powers)
            totals = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(of_words * powers[place], dtype=np.uint64)])
            self.keys = totals[offsets[1:]] - totals[offsets[:-1]]

    def line(self, number: int) -> str:
        """A line as it was written."""
        line: str = self._raw[number].as_py()
        return line

    def of(self, kept: NDArray[np.bool_], row: int) -> str:
        """A text with only those of its lines that are kept."""
        low, high = np.searchsorted(self.rows, [row, row + 1]).tolist()
        mine = self._raw.slice(low, high - low).to_pylist()
        return "\n".join(line for line, stays in zip(mine, kept[low:high].tolist(), strict=True) if stays)


def _without(texts: Texts, common: NDArray[np.uint64], min_words: int) -> dict[int, str]:
    """The texts that have common lines, without them, by row."""
    lines = _Lines(texts, min_words)
    kept = ~(lines.counted & np.isin(lines.keys, common))
    return {row: lines.of(kept, row) for row in np.unique(lines.rows[~kept]).tolist()}


CLEANING_STEPS = {"decontaminate": (DecontaminateOptions, Decontaminate), "repeated_lines": (RepeatedLinesOptions, RepeatedLines)}
