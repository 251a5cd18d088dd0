"""Steps that take out of texts what stood in the corpus before: spans of sentences, paragraphs or lines, long runs of words.

Of each repeated part the first stays, in the order test, validation, train and of rows; of a row's pair the first text. Parts are compared
by hashes of 64 bits: among a billion the odds that any two are confused are one in forty.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xxhash

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.shingles import hashed
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch
from finecomb.data.cleaner.word_arrays import I64, U64, scan
from finecomb.data.cleaner.words import words

Range = tuple[int, int]
_PART = 1 << 23  # hashes that a plan holds at once
_SHOWN = 10
# A sentence ends with a line, or in a mark with what closes it, before white space; marks of scripts without spaces end it at once.
# Runs of marks and of white space are entered at their beginning only and never given back, or long ones would cost their square.
_CLOSED = "[\"'\u201d\u2019)\\]]*+"
_SENTENCE = re.compile(
    rf"(?:[.!?]++{_CLOSED}(?=\s|$)|\S[^\n]*?(?:(?<![.!?])[.!?]++{_CLOSED}(?=\s|$)"
    r"|[\u3002\uff01\uff1f]+[\u201d\u300d\u300f\uff09]*|(?=\n)|$))\s*"
)
_PARAGRAPH = re.compile(r"\S.*?(?:\n[^\S\n]*(?:\n\s*)+|(?<!\s)\s*+\Z)", re.DOTALL)
_LINE = re.compile(r"(?:\A[^\S\n]*)?\S[^\n]*(?:\n\s*|$)")


class Repeats(CorpusStep):
    """What repeats is found by a hash of each part of each text; what is removed are the characters of those that are not the first."""

    def __init__(self, min_words_left: int) -> None:
        self._least = min_words_left

    @abstractmethod
    def hashes(self, texts: Sequence[str]) -> tuple[U64, I64]:
        """Hashes of the parts of all texts, and where those of each text begin (one more entry than texts)."""

    @abstractmethod
    def ranges(self, text: str) -> list[Range]:
        """The characters of each part that `hashes` has a hash of."""

    def sketch(self, batch: Batch) -> Facts:
        """The hashes of a shard, those of first texts before those of second ones."""
        facts: dict[str, Any] = {}
        for number, texts in enumerate(_columns(batch)):
            facts[f"hashes{number}"], facts[f"offsets{number}"] = self.hashes(texts)
        return facts

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """Hashes that stand more than once, sorted, and the number of the first part of each; and how parts of rows are numbered.

        Hashes are looked at in as many turns as memory asks for, each turn those of one range of values.
        """
        runs = [(sketch, name) for sketch in sketches for name in ("0", "1") if f"hashes{name}" in sketch.facts]
        begins = np.cumsum([0, *(len(sketch.facts[f"hashes{name}"]) for sketch, name in runs)]).tolist()
        bits = max(0, (begins[-1] // _PART).bit_length())
        values: list[U64] = []
        firsts: list[I64] = []
        times = 0
        for turn in range(1 << bits):
            found, at = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.int64)]
            for (sketch, name), begin in zip(runs, begins, strict=False):
                own = sketch.facts[f"hashes{name}"]
                mine = np.flatnonzero(own >> np.uint64(64 - bits) == turn) if bits else np.arange(len(own))
                found.append(own[mine])
                at.append(mine + begin)
            value, first, count = np.unique(np.concatenate(found), return_index=True, return_counts=True)
            values.append(value[count > 1])
            firsts.append(np.concatenate(at)[first[count > 1]])
            times += int((count[count > 1] - 1).sum())
        facts: dict[str, Any] = {"values": np.concatenate(values), "first": np.concatenate(firsts), "again": times}
        for name in {name for _, name in runs}:
            facts[f"before{name}"] = np.concatenate(
                [sketch.facts[f"offsets{name}"][:-1] + begin for (sketch, own), begin in zip(runs, begins, strict=False) if own == name]
            )
        return facts

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Take out what is not the first. The score is the share of a row's characters that stood before."""
        decision = Decision()
        after = [list(texts) for texts in _columns(batch)]
        removed, size = np.zeros(len(batch)), np.ones(len(batch))
        for number, texts in enumerate(_columns(batch)):
            for row, again in self._again(texts, state, f"before{number}", batch.start):
                ranges = self.ranges(texts[row])
                after[number][row], gone = _without(texts[row], [ranges[part] for part in again])
                removed[row] += gone
            size += [len(text) for text in texts]
        for row in np.flatnonzero(removed).tolist():
            if sum(len(words(texts[row])) for texts in after) < self._least:
                decision.drop[row] = "hardly anything that did not stand before"
            else:
                decision.replace[row] = (after[0][row], after[1][row] if len(after) > 1 else None)
        decision.scores["repeated"] = (removed / np.maximum(1, size - 1)).tolist()
        return decision

    def _again(self, texts: Sequence[str], state: Facts, before: str, start: int) -> Iterator[tuple[int, list[int]]]:
        """Rows with parts that are not the first of their kind, and which."""
        values = state["values"]
        hashes, offsets = self.hashes(texts)
        if not len(values) or not len(hashes):
            return
        place = np.minimum(np.searchsorted(values, hashes), len(values) - 1)
        own = np.arange(len(hashes)) + int(state[before][start]) if len(texts) else np.empty(0)
        again = np.flatnonzero((values[place] == hashes) & (state["first"][place] != own))
        rows = np.searchsorted(offsets, again, side="right") - 1
        different, first = np.unique(rows, return_index=True)
        for row, parts in zip(different.tolist(), np.split(again, first[1:]), strict=False):
            yield row, (parts - offsets[row]).tolist()

    def record(self, state: Facts) -> dict[str, Any]:
        """How many different parts stand more than once, and how many are too many."""
        return {"repeated": len(state["values"]), "removed": int(state["again"])}


class Units(Repeats):
    """Parts that are runs of so many sentences, paragraphs or lines, by their words in lower case."""

    def __init__(self, unit: re.Pattern[str], run: int, min_words: int, min_words_left: int) -> None:
        super().__init__(min_words_left)
        self._unit, self._run, self._min_words = unit, run, min_words

    def hashes(self, texts: Sequence[str]) -> tuple[U64, I64]:
        """Of runs with enough words."""
        found: list[int] = []
        offsets = [0]
        for text in texts:
            found += [xxhash.xxh3_64_intdigest(part.encode("utf-8", "replace")) for _, part in self._runs(text)]
            offsets.append(len(found))
        return np.array(found, dtype=np.uint64), np.array(offsets, dtype=np.int64)

    def ranges(self, text: str) -> list[Range]:
        """Where those runs stand."""
        return [where for where, _ in self._runs(text)]

    def _runs(self, text: str) -> Iterator[tuple[Range, str]]:
        units = [(found.span(), " ".join(found[0].lower().split())) for found in self._unit.finditer(text)]
        for first in range(len(units) - self._run + 1):
            run = units[first : first + self._run]
            part = "\n".join(unit for _, unit in run)
            if not self._min_words or len(words(part)) >= self._min_words:
                yield (run[0][0][0], run[-1][0][1]), part


class Sentences(Units):
    """C4's rule: of a span of three sentences that stands more than once in the corpus all but one go (Raffel et al. 2020, section 2.2)."""

    SKETCHED_BY = ("span",)

    def __init__(self, config: schema.Sentences) -> None:
        super().__init__(_SENTENCE, config.span, 0, config.min_words_left)


class Paragraphs(Units):
    """Of a paragraph or line that stands more than once in the corpus all but the first go (as in CCNet: Wenzek et al. 2020)."""

    SKETCHED_BY = ("unit", "min_words")

    def __init__(self, config: schema.Paragraphs) -> None:
        super().__init__(_LINE if config.unit == "line" else _PARAGRAPH, 1, config.min_words, config.min_words_left)


class Substrings(Repeats):
    """Long runs of words that stand more than once in the corpus, wherever they begin and end, go but for the first.

    After ExactSubstr (Lee et al. 2022, arXiv:2107.06499, section 4.1), whose runs of 50 tokens are runs of words here. Every run of exactly
    so many words is hashed, without regard to capitals and punctuation, so that any longer repetition is found whole.
    """

    SKETCHED_BY = ("min_words",)

    def __init__(self, config: schema.Substrings) -> None:
        super().__init__(config.min_words_left)
        self._n = config.min_words

    def hashes(self, texts: Sequence[str]) -> tuple[U64, I64]:
        """Of every run of the length; texts that are shorter have none."""
        found, offsets = hashed(texts, self._n)
        counts = np.diff(offsets)
        short = np.array([row for row in np.flatnonzero(counts == 1).tolist() if len(words(texts[row])) < self._n], dtype=np.int64)
        if len(short):
            found = np.delete(found, offsets[short])
            counts[short] = 0
        return found, np.concatenate([[0], np.cumsum(counts)])

    def ranges(self, text: str) -> list[Range]:
        """From the first character of the first word to that of the word after the last."""
        arrays = scan([text])
        begins, stop = arrays.begins.tolist(), [*arrays.begins.tolist(), len(text)]
        return [(begins[first], stop[first + self._n]) for first in range(len(begins) - self._n + 1)]


def _columns(batch: Batch) -> list[Sequence[str]]:
    return [batch.text] if batch.text_pair is None else [batch.text, batch.text_pair]


def _without(text: str, ranges: Sequence[Range]) -> tuple[str, int]:
    """The text without some ranges, in order of their beginnings, and how many characters went."""
    kept, place = [], 0
    for start, end in ranges:
        if start > place:
            kept.append(text[place:start])
        place = max(place, end)
    left = "".join([*kept, text[place:]]).strip()
    return left, len(text) - len(left)
