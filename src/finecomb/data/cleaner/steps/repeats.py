"""Steps that take out of texts what stood in the corpus before: spans of sentences, paragraphs or lines, long runs of words.

Of each repeated part the first stays, in the order test, validation, train and of rows; of a row's pair the first text. Parts are compared
by hashes of 64 bits: among a billion the odds that any two are confused are one in forty.
"""

from __future__ import annotations

import heapq
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.config.schema.base import option
from finecomb.data.cleaner.shingles import hashed
from finecomb.data.cleaner.step import Batch, Corpus, CorpusStep, Decision, Facts, Sketch
from finecomb.data.cleaner.word_arrays import scan
from finecomb.data.cleaner.word_hashes import I64, U64
from finecomb.data.cleaner.word_pattern import words

Range = tuple[int, int]
_PART = 1 << 23  # hashes that a plan holds at once
# A sentence ends with a line, or in a mark with what closes it, before white space; marks of scripts without spaces end it at once.
# Runs of marks and of white space are entered at their beginning only and never given back, or long ones would cost their square.
_CLOSED = "[\"'\u201d\u2019)\\]]*+"
_SENTENCE = re.compile(
    rf"(?:[.!?]++{_CLOSED}(?=\s|$)|\S[^\n]*?(?:(?<![.!?])[.!?]++{_CLOSED}(?=\s|$)"
    r"|[\u3002\uff01\uff1f]+[\u201d\u300d\u300f\uff09]*|(?=\n)|$))\s*"
)
_PARAGRAPH = re.compile(r"\S.*?(?:\n[^\S\n]*(?:\n\s*)+|(?<!\s)\s*+\Z)", re.DOTALL)
_LINE = re.compile(r"(?:\A[^\S\n]*)?\S[^\n]*(?:\n\s*|$)")


@dataclass(frozen=True)
class Parts:
    """The parts of some rows, row after row, and in a row those of the first text before those of the second.

    hashes: one for each part. offsets: number of the first part of each row, and one more entry. starts, ends: the words of a part, counted
    over both texts of its row. words: of each row. first_text: parts of the first text of each row.
    """

    hashes: U64
    offsets: I64
    starts: I64
    ends: I64
    words: I64
    first_text: I64

    def joined(self, other: Parts) -> Parts:
        """With the parts of the second texts of the same rows."""
        rows = np.concatenate([np.repeat(np.arange(len(each.words)), np.diff(each.offsets)) for each in (self, other)])
        order = np.argsort(rows, kind="stable")
        shift = np.concatenate([np.zeros(len(self.hashes), dtype=np.int64), np.repeat(self.words, np.diff(other.offsets))])
        hashes, starts, ends = (np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("hashes", "starts", "ends"))
        words_ = self.words + other.words
        return Parts(hashes[order], self.offsets + other.offsets, (starts + shift)[order], (ends + shift)[order], words_, self.first_text)

    def words_without(self, gone: NDArray[np.bool_]) -> I64:
        """Words of each row without some parts."""
        parts = np.flatnonzero(gone)
        rows = np.searchsorted(self.offsets, parts, side="right") - 1
        ends = self.ends[parts]
        before = np.where(np.diff(rows, prepend=-1) == 0, np.roll(ends, 1), 0)
        return self.words - np.bincount(rows, ends - np.maximum(self.starts[parts], before), len(self.words)).astype(np.int64)


class Repeats(CorpusStep):
    """Finds repeated parts by a hash of each part of each text; removes the characters of those that are not the first.

    A row with too few words left is dropped. The parts of which it holds the first copy then stay where the next copy is; a row that holds
    the last copy of a repeated part stays.
    """

    VERSION = 2

    def __init__(self, min_words_left: int) -> None:
        self._least = min_words_left

    @abstractmethod
    def find_parts(self, texts: Sequence[str]) -> Parts:
        """The parts of all texts."""

    @abstractmethod
    def ranges(self, text: str) -> list[Range]:
        """The characters of each of a text's parts."""

    def sketch(self, batch: Batch) -> Facts:
        """The parts of a shard."""
        return dict(vars(self._parts(batch)))

    def _parts(self, batch: Batch) -> Parts:
        found = self.find_parts(batch.text)
        return found if batch.text_pair is None else found.joined(self.find_parts(batch.text_pair))

    def plan(self, sketches: Sequence[Sketch], corpus: Corpus) -> Facts:
        """Hashes of parts that occur more than once, sorted, and the number of the part that stays for each; the rows that are dropped; and
        how parts of rows are numbered."""
        found = _Repeated([Parts(**each.facts) for each in sketches], [each.whole for each in sketches])
        dropped, spared = found.settle(self._least)
        facts: dict[str, Any] = {"values": found.values, "first": found.first, "before": found.before[:-1], "dropped": dropped}
        return facts | {"again": found.again, "spared": spared}

    def carry_out(self, batch: Batch, state: Facts) -> Decision:
        """Take out what is not the first. The score is the share of a row's characters that stood before."""
        decision = Decision()
        columns = batch.columns()
        removed = np.zeros(len(batch))
        size = np.sum([[len(text) for text in texts] for texts in columns], axis=0) if len(batch) else removed
        dropped = set((_within(state["dropped"], batch.start, len(batch)) - batch.start).tolist())
        parts = self._parts(batch)
        for row, again in _again(parts, state, batch.start):
            after = []
            for texts, mine in zip(columns, (again[again < (n := parts.first_text[row])], again[again >= n] - n), strict=False):
                ranges = self.ranges(texts[row]) if len(mine) else []
                left, gone = _without(texts[row], [ranges[part] for part in mine.tolist()]) if ranges else (texts[row], 0)
                after.append(left)
                removed[row] += gone
            if row in dropped:
                decision.drop[row] = "hardly anything that did not stand before"
            else:
                decision.replace[row] = (after[0], after[1] if len(after) > 1 else None)
        decision.scores["repeated"] = (removed / np.maximum(1, size)).tolist()
        return decision

    def record(self, state: Facts) -> dict[str, Any]:
        """How many different parts occur more than once, how many are too many, and how many rows stay for the last copy of a part."""
        return {"repeated": len(state["values"]), "removed": int(state["again"]), "kept_for_the_last_copy": int(state["spared"])}


def _again(parts: Parts, state: Facts, start: int) -> Iterator[tuple[int, I64]]:
    """Rows with parts that are not the first of their kind, and which."""
    if not len(state["values"]) or not len(parts.hashes):
        return
    place, known = _found(state["values"], parts.hashes)
    own = np.arange(len(parts.hashes)) + int(state["before"][start])
    again = np.flatnonzero(known & (state["first"][place] != own))
    rows = np.searchsorted(parts.offsets, again, side="right") - 1
    different, first = np.unique(rows, return_index=True)
    for row, mine in zip(different.tolist(), np.split(again, first[1:]), strict=False):
        yield row, mine - parts.offsets[row]


def _found(values: U64, hashes: U64) -> tuple[I64, NDArray[np.bool_]]:
    """The place of each hash among sorted values, and whether it is one of them."""
    place = np.minimum(np.searchsorted(values, hashes), max(0, len(values) - 1))
    return place, values[place] == hashes if len(values) else np.zeros(len(hashes), dtype=bool)


def _within(rows: I64, start: int, count: int) -> I64:
    low, high = np.searchsorted(rows, [start, start + count])
    return rows[low:high]


class _Repeated:
    """The parts of all shards that occur more than once. Parts and rows are numbered over all shards.

    values: their hashes, sorted. first: for each the number of the part that stays. before: for each row the number of its first part, and
    one more entry. again: parts beyond the first of each.
    """

    def __init__(self, shards: Sequence[Parts], whole: Sequence[bool]) -> None:
        self._shards, self._whole = shards, whole
        self._begins = np.cumsum([0, *(len(shard.hashes) for shard in shards)])
        self._starts = np.cumsum([0, *(len(shard.words) for shard in shards)])
        offsets = [shard.offsets[:-1] + begin for shard, begin in zip(shards, self._begins, strict=False)]
        self.before = np.concatenate([*offsets, self._begins[-1:]])
        self.values, self.first, self.again = self._search()

    def _search(self) -> tuple[U64, I64, int]:
        """Hashes are looked at in as many turns as memory asks for, each turn those of one range of values."""
        bits = max(0, (int(self._begins[-1]) // _PART).bit_length())
        values: list[U64] = []
        firsts: list[I64] = []
        times = 0
        for turn in range(1 << bits):
            found, at = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.int64)]
            for shard, begin in zip(self._shards, self._begins.tolist(), strict=False):
                own = shard.hashes
                mine = np.flatnonzero(own >> np.uint64(64 - bits) == turn) if bits else np.arange(len(own))
                found.append(own[mine])
                at.append(mine + begin)
            value, first, count = np.unique(np.concatenate(found), return_index=True, return_counts=True)
            values.append(value[count > 1])
            firsts.append(np.concatenate(at)[first[count > 1]])
            times += int((count[count > 1] - 1).sum())
        return np.concatenate(values), np.concatenate(firsts), times

    def settle(self, least: int) -> tuple[I64, int]:
        """The rows that are dropped because fewer words than `least` are left of them, in order, and how many stay for the last copy of a
        part. What a dropped row held first moves to the next copy.

        Rows are judged in order; what moves to a later row can only leave it more words, so no other row than the short ones changes.
        """
        short, waiting, wanted = self._short(least)
        later = self._copies(wanted) if waiting else {}
        heapq.heapify(waiting)
        stays: set[int] = set()
        judged, spared = -1, 0
        while waiting:
            if (row := heapq.heappop(waiting)) == judged:
                continue
            judged = row
            place, owned, left = self._judge(row)
            moves = {value: _next(later[value], int(self.before[row + 1])) for value in place[owned].tolist()}
            if left is None or left >= least or None in moves.values():
                stays.add(row)
                spared += left is not None and left < least
                continue
            for value, part in moves.items():
                assert part is not None
                self.first[value] = part
                other = int(np.searchsorted(self.before, part, side="right")) - 1
                if other in short:
                    heapq.heappush(waiting, other)
        return np.array(sorted(short - stays), dtype=np.int64), spared

    def _short(self, least: int) -> tuple[set[int], list[int], NDArray[np.bool_]]:
        """Rows that would be dropped as things are; those of them that hold a first copy; and which values are in them."""
        short: set[int] = set()
        waiting: list[int] = []
        wanted = np.zeros(len(self.values), dtype=bool)
        for shard, whole, begin, start in zip(self._shards, self._whole, self._begins.tolist(), self._starts.tolist(), strict=False):
            if whole or not least or not len(self.values):
                continue
            place, known = _found(self.values, shard.hashes)
            first = known & (self.first[place] == np.arange(begin, begin + len(place)))
            left = shard.words_without(known & ~first)
            row_of = np.repeat(np.arange(len(shard.words)), np.diff(shard.offsets))
            few = (np.bincount(row_of, known & ~first, len(shard.words)) > 0) & (left < least)
            short.update((np.flatnonzero(few) + start).tolist())
            wanted[place[known & few[row_of]]] = True
            waiting += (np.unique(row_of[first & few[row_of]]) + start).tolist()
        return short, waiting, wanted

    def _copies(self, wanted: NDArray[np.bool_]) -> dict[int, I64]:
        """For each value that is wanted the numbers of its parts, in order."""
        numbers, values = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        for shard, begin in zip(self._shards, self._begins.tolist(), strict=False):
            place, known = _found(self.values, shard.hashes)
            mine = np.flatnonzero(known & wanted[place])
            numbers.append(mine + begin)
            values.append(place[mine])
        every = np.concatenate(values)
        order = np.argsort(every, kind="stable")
        value, first = np.unique(every[order], return_index=True)
        return dict(zip(value.tolist(), np.split(np.concatenate(numbers)[order], first[1:]), strict=False))

    def _judge(self, row: int) -> tuple[I64, NDArray[np.bool_], int | None]:
        """Of a row's parts the places of their values, and which of them stay here; the words that are left, None where nothing goes."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        shard, local = self._shards[number], row - int(self._starts[number])
        low, high = shard.offsets[local : local + 2].tolist()
        place, known = _found(self.values, shard.hashes[low:high])
        first = known & (self.first[place] == np.arange(low, high) + self._begins[number])
        gone = known & ~first
        one = Parts(shard.hashes[low:high], np.array([0, high - low]), shard.starts[low:high], shard.ends[low:high],
                    shard.words[local : local + 1], shard.first_text[local : local + 1])  # fmt: skip
        return place, first, int(one.words_without(gone)[0]) if gone.any() else None


def _next(copies: I64, bound: int) -> int | None:
    """The first copy from a number on."""
    at = int(np.searchsorted(copies, bound))
    return int(copies[at]) if at < len(copies) else None


class Units(Repeats):
    """Parts that are runs of so many sentences, paragraphs or lines, by their words in lower case."""

    def __init__(self, unit: re.Pattern[str], run: int, min_words: int, min_words_left: int) -> None:
        super().__init__(min_words_left)
        self._unit, self._run, self._min_words = unit, run, min_words

    def find_parts(self, texts: Sequence[str]) -> Parts:
        """Of runs with enough words."""
        found: list[tuple[int, int, int]] = []
        offsets, counts = [0], []
        for text in texts:
            places = np.cumsum([0, *(len(words(unit[0])) for unit in self._unit.finditer(text))]).tolist()
            for first, _, part in self._runs(text):
                found.append((xxhash.xxh3_64_intdigest(part.encode("utf-8", "replace")), places[first], places[first + self._run]))
            offsets.append(len(found))
            counts.append(places[-1])
        hashes, starts, ends = zip(*found, strict=True) if found else ((), (), ())
        numbers = (np.array(each, dtype=np.int64) for each in (offsets, starts, ends, counts, np.diff(offsets)))
        return Parts(np.array(hashes, dtype=np.uint64), *numbers)

    def ranges(self, text: str) -> list[Range]:
        """Where those runs are."""
        return [where for _, where, _ in self._runs(text)]

    def _runs(self, text: str) -> Iterator[tuple[int, Range, str]]:
        """Number of the first unit, characters and words of each run."""
        units = [(found.span(), " ".join(found[0].lower().split())) for found in self._unit.finditer(text)]
        for first in range(len(units) - self._run + 1):
            run = units[first : first + self._run]
            part = "\n".join(unit for _, unit in run)
            if not self._min_words or len(words(part)) >= self._min_words:
                yield first, (run[0][0][0], run[-1][0][1]), part


@dataclass
class SentencesOptions:
    """Of spans of sentences that stand more than once all but one go (C4: three sentences)."""

    span: int = option("sentences in a span", low=1)
    min_words_left: int = option("texts that lose a span and are left with fewer words go, unless they hold the last copy of one", low=0)


class Sentences(Units):
    """C4's rule: of a span of three sentences that stands more than once in the corpus all but one go (Raffel et al. 2020, section 2.2)."""

    SKETCHED_BY = ("span",)

    def __init__(self, config: SentencesOptions) -> None:
        super().__init__(_SENTENCE, config.span, 0, config.min_words_left)


@dataclass
class ParagraphsOptions:
    """Of paragraphs or lines that stand more than once all but the first go."""

    unit: str = option("what is compared; paragraphs are parted by blank lines", allowed=("paragraph", "line"))
    min_words: int = option("shorter ones are left alone", low=0)
    min_words_left: int = option("texts that lose some and are left with fewer words go, unless they hold the last copy of one", low=0)


class Paragraphs(Units):
    """Of a paragraph or line that stands more than once in the corpus all but the first go (as in CCNet: Wenzek et al. 2020)."""

    SKETCHED_BY = ("unit", "min_words")

    def __init__(self, config: ParagraphsOptions) -> None:
        super().__init__(_LINE if config.unit == "line" else _PARAGRAPH, 1, config.min_words, config.min_words_left)


@dataclass
class SubstringsOptions:
    """Of long runs of words that stand more than once all but the first go (Lee et al. 2022)."""

    min_words: int = option("runs of so many words or more are found", low=5, high=1000)
    min_words_left: int = option("texts that lose some and are left with fewer words go, unless they hold the last copy of one", low=0)


class Substrings(Repeats):
    """Long runs of words that stand more than once in the corpus, wherever they begin and end, go but for the first.

    After ExactSubstr (Lee et al. 2022, arXiv:2107.06499, section 4.1), whose runs of 50 tokens are runs of words here. Every run of exactly
    so many words is hashed, without regard to capitals and punctuation, so that any longer repetition is found whole.
    """

    SKETCHED_BY = ("min_words",)

    def __init__(self, config: SubstringsOptions) -> None:
        super().__init__(config.min_words_left)
        self._n = config.min_words

    def find_parts(self, texts: Sequence[str]) -> Parts:
        """Every run of the length; texts that are shorter have none."""
        hashes, offsets = hashed(texts, self._n)
        counts = np.diff(offsets)
        words_ = np.where(counts, counts + self._n - 1, 0)
        single = np.flatnonzero(counts == 1)
        words_[single] = [len(words(texts[row])) for row in single.tolist()]
        short = np.flatnonzero((counts == 1) & (words_ < self._n))
        hashes = np.delete(hashes, offsets[short])
        counts[short] = 0
        offsets = np.concatenate([[0], np.cumsum(counts)])
        starts = np.arange(len(hashes)) - np.repeat(offsets[:-1], counts)
        return Parts(hashes, offsets, starts, starts + self._n, words_, counts)

    def ranges(self, text: str) -> list[Range]:
        """From the first character of the first word to that of the word after the last."""
        arrays = scan([text])
        begins, stop = arrays.begins.tolist(), [*arrays.begins.tolist(), len(text)]
        return [(begins[first], stop[first + self._n]) for first in range(len(begins) - self._n + 1)]


def _without(text: str, ranges: Sequence[Range]) -> tuple[str, int]:
    """The text without some ranges, in order of their beginnings, and how many characters went."""
    kept, place = [], 0
    for start, end in ranges:
        if start > place:
            kept.append(text[place:start])
        place = max(place, end)
    left = "".join([*kept, text[place:]]).strip()
    return left, len(text) - len(left)


CLEANING_STEPS = {
    "sentences": (SentencesOptions, Sentences),
    "paragraphs": (ParagraphsOptions, Paragraphs),
    "substrings": (SubstringsOptions, Substrings),
}
