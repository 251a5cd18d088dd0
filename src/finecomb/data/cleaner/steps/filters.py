"""Steps that drop texts by their length, by patterns and by lists of words."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner.step import Batch, Decision, Scorer, Step
from finecomb.data.cleaner.word_arrays import chunks
from finecomb.data.cleaner.word_pattern import unspaced_share
from finecomb.data.patterns import compiled

PAIR = " (text_pair)"  # after reasons and scores of the second text of a pair
_AT_ONCE = 1 << 21  # characters searched as one


@dataclass
class LengthOptions:
    """Too short and too long texts go."""

    min_characters: Optional[int] = option("least number of characters; null: no bound", low=0)
    max_characters: Optional[int] = option("most characters", low=1)
    min_words: Optional[int] = option("least number of words", low=0)
    max_words: Optional[int] = option("most words", low=1)


class Length(Scorer):
    """Keeps texts of a length between two bounds, in characters and in words."""

    def __init__(self, config: LengthOptions) -> None:
        self._config = config

    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The lengths."""
        counts = np.zeros(len(batch))
        for numbers, arrays in chunks(batch.text):
            counts[numbers] = arrays.counts
        return {"characters": np.array([len(text) for text in batch.text], dtype=np.float64), "words": counts}

    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """The lengths are kept as scores."""
        drop: dict[int, str] = {}
        # The first bound that is broken gives the reason, so that the last is asked first.
        for name, (least, most) in reversed(self.thresholds().items()):
            if most is not None:
                drop |= dict.fromkeys(np.flatnonzero(measured[name] > most).tolist(), f"more than {int(most)} {name}")
            if least is not None:
                drop |= dict.fromkeys(np.flatnonzero(measured[name] < least).tolist(), f"fewer than {int(least)} {name}")
        return Decision(drop, scores={name: values.tolist() for name, values in measured.items()})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The bounds."""
        config = self._config
        return {"characters": (config.min_characters, config.max_characters), "words": (config.min_words, config.max_words)}


@dataclass
class PatternsOptions:
    """Texts go by regular expressions (RE2: linear time)."""

    drop: list[str] = option("texts that match any of these go")
    keep: list[str] = option("texts that match none of these go; empty: no such rule")
    any_case: bool = option("capitals do not count")


class Patterns(Step):
    """Drops texts that match any of some regular expressions, or that match none of those that one must."""

    LIBRARIES = ("google-re2",)

    def __init__(self, config: PatternsOptions) -> None:
        self._drop = _Alternatives(config.drop, "cleaner.steps.patterns.drop", any_case=config.any_case)
        self._keep = _Alternatives(config.keep, "cleaner.steps.patterns.keep", any_case=config.any_case)

    def decide(self, batch: Batch) -> Decision:
        """The reason names the first pattern that matches. The scores: how many patterns to drop and to keep match."""
        drop: dict[int, str] = {}
        scores: dict[str, Sequence[float]] = {}
        for column, texts in _columns(batch):
            matched = [self._drop.matching(text) for text in texts]
            kept = [len(self._keep.matching(text)) for text in texts] if self._keep.patterns else []
            for row, found in enumerate(matched):
                if found:
                    drop.setdefault(row, f"matches {found[0]}{column}")
                elif kept and not kept[row]:
                    drop.setdefault(row, f"matches no pattern to keep{column}")
            scores[f"to_drop{column}"] = [float(len(found)) for found in matched]
            if kept:
                scores[f"to_keep{column}"] = [float(count) for count in kept]
        return Decision(drop, scores=scores)

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """None that drops, and one that keeps where there are any."""
        keep: dict[str, tuple[float | None, float | None]] = (
            {"to_keep": (1, None), f"to_keep{PAIR}": (1, None)} if self._keep.patterns else {}
        )
        return {"to_drop": (None, 0), f"to_drop{PAIR}": (None, 0)} | keep


class _Alternatives:
    """Several patterns; which of them a text matches is asked only where it matches any, by one search for all."""

    def __init__(self, patterns: Sequence[str], where: str, *, any_case: bool) -> None:
        self.patterns = list(patterns)
        self._each = [compiled(pattern, where, any_case=any_case) for pattern in patterns]
        try:
            self._any = compiled("|".join(f"(?:{pattern})" for pattern in patterns), where, any_case=any_case) if patterns else None
        except ConfigError:
            # Each is right by itself, but not all together, as when two have a group of the same name.
            self._any = None

    def matching(self, text: str) -> list[str]:
        """The patterns that match, in their order."""
        data = text.encode("utf-8", "replace")
        if not self.patterns or (self._any is not None and self._any.search(data) is None):
            return []
        return [pattern for pattern, search in zip(self.patterns, self._each, strict=True) if search.search(data)]


@dataclass
class WordListOptions:
    """Texts with words of a list go."""

    words: list[str] = option("words or phrases")
    file: Optional[str] = option("a file with one on each line")
    max_count: int = option("how many occurrences are still kept", low=0)


class WordList(Scorer):
    """Drops texts in which words of a list occur too often. A word counts where no letter or digit touches it; in scripts without spaces
    anywhere."""

    LIBRARIES = ("google-re2",)

    MEASURED_BY = ("words", "file")
    VERSION = 2

    def __init__(self, config: WordListOptions) -> None:
        listed = [*config.words, *_lines(config.file)]
        if not listed:
            raise ConfigError(Problem("the list of words is empty", "cleaner.steps.word_list", "words: [...] or file: PATH"))
        if any("\0" in word for word in listed):
            raise ConfigError(Problem("a word of the list holds a NUL", "cleaner.steps.word_list", hint="take it out"))
        import re2

        self._most = config.max_count
        # Lower case and case folding differ (stra\u00dfe, strasse); RE2 compares single characters without case.
        folded = {form for word in listed for form in (word.casefold(), word.lower())}
        escaped = sorted(map(re2.escape, folded), key=lambda word: (-len(word), word))
        spaced = [word for word in escaped if word.isascii() or not _unspaced(word)]
        together = [word for word in escaped if word not in set(spaced)]
        where = "cleaner.steps.word_list"
        self._apart = compiled(rf"[^\pL\pN_](?:{'|'.join(spaced)})[^\pL\pN_]", where, any_case=True) if spaced else None
        self._within = compiled("|".join(together), where, any_case=True) if together else None

    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """How many words of the list each text holds."""
        return {f"listed_words{column}": np.array(self.count(texts), dtype=np.float64) for column, texts in _columns(batch)}

    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """More than may be."""
        drop: dict[int, str] = {}
        for column, _ in _columns(batch):
            for row in np.flatnonzero(measured[f"listed_words{column}"] > self._most).tolist():
                drop.setdefault(row, f"more than {self._most} words of the list{column}")
        return Decision(drop, scores={name: found.tolist() for name, found in measured.items()})

    def count(self, texts: Sequence[str]) -> list[int]:
        """Words of the list in each text. Many texts are searched as one, a NUL around each, which is part of no word."""
        counts = [0] * len(texts)
        start = 0
        while start < len(texts):
            end, size = start, 0
            while end < len(texts) and (size < _AT_ONCE or end == start):
                size += len(texts[end])
                end += 1
            self._count(texts[start:end], counts, start)
            start = end
        return counts

    def _count(self, texts: Sequence[str], counts: list[int], first: int) -> None:
        data = [text.encode("utf-8", "replace") for text in texts]
        joined = b"\0" + b"\0".join(data) + b"\0"
        ends = list(accumulate(len(text) + 1 for text in data))
        place = 0
        while self._apart is not None and (match := self._apart.search(joined, place)) is not None:
            counts[first + bisect_right(ends, match.start())] += 1
            # The last character of a word, or the one after it, may be the one before the next.
            place = max(_before(joined, _before(joined, match.end())), match.start() + 1)
        for match in self._within.finditer(joined) if self._within is not None else ():
            counts[first + bisect_right(ends, match.start())] += 1

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """So many may be."""
        return {"listed_words": (None, self._most), f"listed_words{PAIR}": (None, self._most)}

    @staticmethod
    def inputs(config: WordListOptions) -> list[str]:
        """What the list says, whatever its file is called."""
        return _lines(config.file)


def _before(data: bytes, place: int) -> int:
    """Where the character begins that ends at a place in UTF-8."""
    place -= 1
    while place > 0 and data[place] & 0xC0 == 0x80:
        place -= 1
    return place


def _columns(batch: Batch) -> list[tuple[str, Sequence[str]]]:
    """The texts, and those of pairs with what is said of them."""
    return list(zip(("", PAIR), batch.columns(), strict=False))


def _unspaced(word: str) -> bool:
    return unspaced_share(word) > 0


def _lines(file: str | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line.strip() for line in Path(file).expanduser().read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(f"the list of words cannot be read: {error}", str(file), hint="one word on each line, UTF-8")) from error


CLEANING_STEPS = {
    "length": (LengthOptions, Length),
    "patterns": (PatternsOptions, Patterns),
    "word_list": (WordListOptions, WordList),
}
