"""N-grams of words that a text repeats, for many texts at once.

An n-gram is repeated only if both (n-1)-grams in it are, so that each length looks at what the one before left over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.data.cleaner.word_arrays import WordArrays
from finecomb.data.cleaner.word_hashes import I64, PRIME, U64, mixed


def repeated_characters(arrays: WordArrays, top: Sequence[int], covered: Sequence[int]) -> dict[str, I64]:
    """Characters of words, for each text, by the names `top_2gram`, ..., `repeated_5grams`, ....

    top: of the most frequent n-gram times its occurrences, 0 when none occurs twice; of equally frequent ones the longest counts, where the
    paper leaves it open (Rae et al. 2021, table A1). covered: of words in an n-gram that stood in the text before; each word counts once.
    """
    texts, words = arrays.text_of_word(), arrays.hashes()
    count = len(arrays.first) - 1
    # Of each word the number of words that follow it in its text, itself counted; and the characters before it.
    left = arrays.first[1:][texts] - np.arange(len(words))
    before = np.concatenate([[0], np.cumsum(arrays.lengths)])
    found: dict[str, I64] = {}
    # Grams of different texts never count as the same.
    grams = mixed(words + texts.astype(np.uint64) * PRIME)
    places: I64 = np.arange(len(words))
    for n in range(2, max([*top, *covered]) + 1):
        places, grams = _prolonged(places, grams, words, left, n)
        places, grams, order, starts = _repeated(places, grams)
        if n in top:
            found[f"top_{n}gram"] = _top(places, order, starts, texts, before, n, count)
        if n in covered:
            found[f"repeated_{n}grams"] = arrays.sums(np.where(_cover(places, order, starts, n, len(words)), arrays.lengths, 0))
    return found


def _prolonged(places: I64, grams: U64, words: U64, left: I64, n: int) -> tuple[I64, U64]:
    """Of (n-1)-grams that are repeated, with their places in ascending order: the n-grams whose two (n-1)-grams are among them."""
    if not len(places):
        return places, grams
    follows = np.empty(len(places), dtype=np.bool_)
    follows[:-1] = places[1:] == places[:-1] + 1
    follows[-1] = False
    follows &= left[places] >= n
    kept = places[follows]
    with np.errstate(over="ignore"):
        return kept, mixed(grams[follows] * PRIME + words[kept + n - 1])


def _repeated(places: I64, grams: U64) -> tuple[I64, U64, I64, I64]:
    """Those that stand more than once; their order by value (and by place where equal), and where each value begins in it."""
    # A table of counts by part of the hash throws most of them out before anything is sorted.
    bits = max(10, len(grams).bit_length() + 2)
    slot = (grams >> np.uint64(64 - bits)).astype(np.int64)
    likely = np.bincount(slot, minlength=1)[slot] > 1
    places, grams = places[likely], grams[likely]
    order = np.argsort(grams, kind="stable")
    value = grams[order]
    new = np.empty(len(order), dtype=np.bool_)
    new[:1], new[1:] = True, value[1:] != value[:-1]
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, len(order)))
    twice = np.repeat(sizes > 1, sizes)
    kept = np.zeros(len(places), dtype=np.bool_)
    kept[order[twice]] = True
    number = np.cumsum(kept) - 1
    return places[kept], grams[kept], number[order[twice]], np.cumsum(sizes[sizes > 1]) - sizes[sizes > 1]


def _top(places: I64, order: I64, starts: I64, texts: I64, before: I64, n: int, count: int) -> I64:
    best = np.zeros(count, dtype=np.int64)
    if len(starts):
        first = places[order[starts]]
        times = np.diff(np.append(starts, len(order)))
        length = before[first + n] - before[first]
        # The most frequent, of those the longest.
        rank = np.lexsort((length, times, texts[first]))
        best[texts[first[rank]]] = (times * length)[rank]
    return best


def _cover(places: I64, order: I64, starts: I64, n: int, words: int) -> NDArray[Any]:
    """Which words lie in an n-gram that stood there before."""
    again = np.ones(len(order), dtype=np.bool_)
    again[starts] = False
    change = np.zeros(words + 1, dtype=np.int64)
    at = places[order[again]]
    np.add.at(change, at, 1)
    np.add.at(change, np.minimum(at + n, words), -1)
    return np.cumsum(change[:-1]) > 0
