"""Texts as sets of hashed word n-grams, and MinHash signatures of them (Broder 1997), by NumPy over many texts at once."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from finecomb.data.cleaner.words import spaced

U64: TypeAlias = NDArray[np.uint64]
U32: TypeAlias = NDArray[np.uint32]
I64: TypeAlias = NDArray[np.int64]
_PRIME = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_PRIME, -1, 2**64)
_CHUNK = 1 << 20  # characters of text at once: what fits the caches is faster than fewer, larger batches
# Bytes that belong to words; texts beyond ASCII arrive with their words set apart by spaces, so that all their other bytes do.
_IN_WORD = np.zeros(256, dtype=bool)
_IN_WORD[[*range(48, 58), *range(65, 91), 95, *range(97, 123), *range(128, 256)]] = True


def hashed(texts: Sequence[str], n: int) -> tuple[U64, I64]:
    """Hashes of the word n-grams of all texts, and where those of each text begin (one more entry than texts).

    Case does not count. A text of fewer than n words has one hash, of all its words; one without words has none.
    """
    parts, counts = [], []
    start = 0
    while start < len(texts):
        end, size = start, 0
        while end < len(texts) and (size < _CHUNK or end == start):
            size += len(texts[end])
            end += 1
        found, of_text = _chunk(texts[start:end], n)
        parts.append(found)
        counts.append(of_text)
        start = end
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    if counts:
        np.cumsum(np.concatenate(counts), out=offsets[1:])
    return (np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)), offsets


def _chunk(texts: Sequence[str], n: int) -> tuple[U64, I64]:
    """N-gram hashes of some texts, and how many each has."""
    lowered = [text.lower() for text in texts]
    encoded = [text.encode() if text.isascii() else spaced(text).encode() for text in lowered]
    data = np.frombuffer(b"\0".join(encoded) + b"\0", dtype=np.uint8)
    starts_of_text = np.cumsum([0, *(len(text) + 1 for text in encoded)], dtype=np.int64)
    inside = _IN_WORD[data]
    edges = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=np.int8(0), append=np.int8(0)))
    begins, ends = edges[::2], edges[1::2]
    word_hashes = _word_hashes(data, begins, ends)
    words_of = np.diff(np.searchsorted(begins, starts_of_text))
    return _ngrams(word_hashes, words_of, n)


def _word_hashes(data: NDArray[np.uint8], begins: I64, ends: I64) -> U64:
    """Polynomial hashes by prefix sums: the sum over a word, divided by the power at its beginning, does not depend on where it stands."""
    size = max(_CHUNK // 4, 1 << (len(data) - 1).bit_length())
    with np.errstate(over="ignore"):
        prefix = np.zeros(len(data) + 1, dtype=np.uint64)
        values = data.astype(np.uint64)
        values += np.uint64(1)
        values *= _powers(_PRIME, size)[: len(data)]
        np.cumsum(values, out=prefix[1:])
        found = prefix[ends]
        found -= prefix[begins]
        found *= _powers(_INVERSE, size)[begins]
        return _mixed(found + (ends - begins).astype(np.uint64))


@functools.lru_cache(maxsize=4)
def _powers(base: int, size: int) -> U64:
    """1, base, base**2, ... modulo 2**64."""
    found = np.full(size, base, dtype=np.uint64)
    found[0] = 1
    with np.errstate(over="ignore"):
        np.multiply.accumulate(found, out=found)
    return found


def _mixed(values: U64) -> U64:
    """The finalizer of MurmurHash3 (Appleby, public domain): every bit of the input reaches every bit of the output."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        return values ^ (values >> np.uint64(33))


def _ngrams(words: U64, words_of: I64, n: int) -> tuple[U64, I64]:
    counts = np.where(words_of >= n, words_of - n + 1, np.minimum(words_of, 1))
    offsets = np.cumsum(words_of) - words_of
    total = int(counts.sum())
    if not total:
        return np.empty(0, dtype=np.uint64), counts
    # N-grams over all texts as if they were one; then those that begin where their text still has n words.
    padded = np.concatenate([words, np.zeros(n, dtype=np.uint64)])
    with np.errstate(over="ignore"):
        grams = np.zeros(len(words), dtype=np.uint64)
        for shift in range(n):
            grams *= np.uint64(_PRIME)
            grams += padded[shift : shift + len(words)]
    first = np.repeat(offsets - np.cumsum(counts) + counts, counts) + np.arange(total)
    found = grams[first]
    short = np.flatnonzero((words_of > 0) & (words_of < n))
    if len(short):
        place = np.cumsum(counts) - counts
        for text in short.tolist():
            with np.errstate(over="ignore"):
                value = np.zeros(1, dtype=np.uint64)
                for word in range(n):
                    value *= np.uint64(_PRIME)
                    if word < words_of[text]:
                        value += words[offsets[text] + word]
            found[place[text]] = value[0]
    return _mixed(found), counts


def signatures(hashes: U64, offsets: I64, size: int, seed: int = 1) -> U32:
    """MinHash signatures [texts, size]: for each of `size` random affine maps the least value over a text's hashes.

    A text without hashes gets a signature of ones only, which `candidates` leaves alone.
    """
    draw = np.random.default_rng(seed)
    a = draw.integers(0, 2**32, size, dtype=np.uint32) | np.uint32(1)
    b = draw.integers(0, 2**32, size, dtype=np.uint32)
    texts = len(offsets) - 1
    found = np.full((texts, size), 2**32 - 1, dtype=np.uint32)
    short = (hashes >> np.uint64(32)).astype(np.uint32)
    filled = np.flatnonzero(np.diff(offsets))
    start = 0
    while start < len(filled):
        # So many hashes at once as stay in the processor's cache.
        end = max(start + 1, int(np.searchsorted(offsets[filled + 1], offsets[filled[start]] + 65_536)))
        rows = filled[start:end]
        part = short[offsets[rows[0]] : offsets[rows[-1] + 1]]
        begins = offsets[rows] - offsets[rows[0]]
        for index in range(size):
            found[rows, index] = np.minimum.reduceat(part * a[index] + b[index], begins)
        start = end
    return found


def bands(threshold: float, size: int) -> tuple[int, int]:
    """Bands and rows per band, of a signature of at most `size`, that find pairs at the threshold with a probability of at least 0.95.

    Of those the one with the most rows, which gives the fewest false candidates. P(s) = 1 - (1 - s**rows)**bands (Leskovec et al., ch. 3).
    """
    best = (size, 1)
    for rows in range(1, size + 1):
        count = size // rows
        if curve(threshold, count, rows) >= 0.95:
            best = (count, rows)
    return best


def curve(similarity: float, count: int, rows: int) -> float:
    """Probability that a pair of this Jaccard similarity becomes a candidate."""
    return float(1.0 - (1.0 - similarity**rows) ** count)


def candidates(found: U32, count: int, rows: int, *, most: int = 48) -> I64:
    """Pairs [m, 2] of texts that agree in a band, each once, the earlier text first.

    most: in a band's bucket each text is paired with so many before it. Larger buckets are chains of near-copies, which their links keep
    together without a square number of pairs.
    """
    texts = len(found)
    empty = (found == 2**32 - 1).all(axis=1)
    keys: list[I64] = []
    for band in range(count):
        part = np.ascontiguousarray(found[:, band * rows : (band + 1) * rows]).astype(np.uint64)
        with np.errstate(over="ignore"):
            value = np.zeros(texts, dtype=np.uint64)
            for column in range(rows):
                value = _mixed(value * np.uint64(_PRIME) + part[:, column] + np.uint64(1))
        order = np.lexsort((np.arange(texts), value))
        order = order[~empty[order]]
        same = value[order]
        for step in range(1, min(most, len(order)) + 1):
            hit = np.flatnonzero(same[step:] == same[:-step])
            if not len(hit):
                break
            keys.append(order[hit].astype(np.int64) * texts + order[hit + step])
    if not keys:
        return np.empty((0, 2), dtype=np.int64)
    unique = np.unique(np.concatenate(keys))
    return np.stack([unique // texts, unique % texts], axis=1)


def jaccard(first: U64, second: U64) -> float:
    """Jaccard similarity of two sorted arrays without repeats."""
    if not len(first) and not len(second):
        return 1.0
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)
