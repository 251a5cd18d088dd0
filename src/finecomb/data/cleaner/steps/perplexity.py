"""Perplexity of texts by a model of characters that is fitted to a text the user names: what is unlike it scores high.

A model of so few characters is small enough to be fitted in seconds and knows no language beforehand; it tells running text from lists,
markup and noise as n-gram models of words do (CCNet: Wenzek et al. 2020), in every script.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner.step import Batch, Decision, Scorer
from finecomb.data.cleaner.word_hashes import PRIME, U64, mixed

_AT_ONCE = 1 << 17  # characters scored at once
_WHERE = "cleaner.steps.perplexity.reference"


@dataclass(frozen=True)
class _Table:
    """Numbers by hash, sorted."""

    keys: U64
    numbers: NDArray[np.float64]

    def __call__(self, keys: U64) -> NDArray[np.float64]:
        """The numbers of these hashes, 0 for others."""
        if not len(self.keys):
            return np.zeros(len(keys))
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.numbers[place], 0.0)


class CharacterModel:
    """Probabilities of a character after up to `order` - 1 others, interpolated by Witten and Bell (1991), method C.

    P(c | h) = (count(hc) + T(h) P(c | h')) / (count(h) + T(h)), T(h) different characters seen after h, h' without its first character; at
    the bottom each of the characters of the reference, and one for all others, is as likely as any.
    """

    def __init__(self, text: str, order: int) -> None:
        codes = _codes(text)
        self.order = order
        self._base = 1.0 / (len(np.unique(codes)) + 1)
        self._grams: list[_Table] = []
        self._totals: list[_Table] = []
        self._kinds: list[_Table] = []
        for length in range(order):
            # Contexts do not reach back beyond the beginning.
            context = _context(codes, length)[length:]
            grams = _added(context, codes[length:])
            keys, first, counts = np.unique(grams, return_index=True, return_counts=True)
            contexts, of = np.unique(context[first], return_inverse=True)
            self._grams.append(_Table(keys, counts.astype(np.float64)))
            self._totals.append(_Table(contexts, np.bincount(of, counts).astype(np.float64)))
            self._kinds.append(_Table(contexts, np.bincount(of).astype(np.float64)))

    def perplexity(self, text: str) -> float:
        """The exponential of the mean negative log probability of a character; 1 for an empty text, which surprises nobody."""
        codes = _codes(text)
        if not len(codes):
            return 1.0
        total = 0.0
        for start in range(0, len(codes), _AT_ONCE):
            # With the characters before it that a place looks back at.
            begin = max(0, start - self.order)
            total += float(np.log(self._probabilities(codes[begin : start + _AT_ONCE])[start - begin :]).sum())
        return float(np.exp(-total / len(codes)))

    def _probabilities(self, codes: U64) -> NDArray[np.float64]:
        found = np.full(len(codes), self._base)
        for length, (grams, totals, kinds) in enumerate(zip(self._grams, self._totals, self._kinds, strict=True)):
            context = _context(codes, length)
            total, different = totals(context), kinds(context)
            seen = total > 0
            seen[:length] = False
            found[seen] = ((grams(_added(context, codes)) + different * found) / np.maximum(1, total + different))[seen]
        return found


def _codes(text: str) -> U64:
    """Code points of a text in lower case, every run of white space one space."""
    plain = " ".join(text.lower().split())
    return np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64) + np.uint64(1)


def _context(codes: U64, length: int) -> U64:
    """A hash of the `length` characters before each place that has as many."""
    found = np.zeros(len(codes), dtype=np.uint64)
    for back in range(length, 0, -1):
        moved = np.zeros(len(codes), dtype=np.uint64)
        moved[back:] = codes[:-back] if back < len(codes) else codes[:0]
        found = _added(found, moved)
    return found


def _added(context: U64, codes: U64) -> U64:
    with np.errstate(over="ignore"):
        return mixed(context * PRIME + codes)


@dataclass
class PerplexityOptions:
    """Texts unlike a reference go, by a model of its characters."""

    reference: str = option("a text file that is like what is to be kept")
    order: int = option("characters in an n-gram of the model", low=1, high=10)
    min_perplexity: Optional[float] = option("least perplexity for each character; null: no bound", low=1)
    max_perplexity: Optional[float] = option("greatest perplexity for each character; null: no bound", low=1)


class Perplexity(Scorer):
    """Keeps texts whose perplexity per character, by a model of the reference, lies between two bounds."""

    VERSION = 2
    MEASURED_BY = ("reference", "order")

    def __init__(self, config: PerplexityOptions) -> None:
        self._config = config

    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The perplexity of each text."""
        model = _model(self._config.reference, self._config.order)
        return {"perplexity": np.array([model.perplexity(text) for text in batch.text], dtype=np.float64)}

    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """Too high: unlike the reference. Too low: the same again and again."""
        found, (least, most) = measured["perplexity"], self.thresholds()["perplexity"]
        drop = dict.fromkeys(np.flatnonzero(found > most).tolist(), "perplexity too high") if most is not None else {}
        if least is not None:
            drop |= dict.fromkeys(np.flatnonzero(found < least).tolist(), "perplexity too low")
        return Decision(drop, scores={"perplexity": found.tolist()})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The bounds."""
        return {"perplexity": (self._config.min_perplexity, self._config.max_perplexity)}

    @staticmethod
    def inputs(config: PerplexityOptions) -> str:
        """What the reference says, whatever its file is called."""
        return xxhash.xxh3_128_hexdigest(_reference(config.reference).encode("utf-8", "replace"))


@functools.lru_cache(maxsize=2)
def _model(reference: str, order: int) -> CharacterModel:
    return CharacterModel(_reference(reference), order)


def _reference(file: str) -> str:
    try:
        text = Path(file).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        hint = "a file of text in UTF-8 that is like what you want to keep; some megabytes are enough"
        raise ConfigError(Problem(f"the reference cannot be read: {error}", _WHERE, hint=hint)) from error
    if not text.strip():
        raise ConfigError(Problem(f"the reference {file} is empty", _WHERE, hint="a file of text that is like what you want to keep"))
    return text


CLEANING_STEPS = {"perplexity": (PerplexityOptions, Perplexity)}
