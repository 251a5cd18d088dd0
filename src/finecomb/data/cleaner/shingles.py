"""Texts as sets of hashed word n-grams, and MinHash signatures of them (Broder 1997), by NumPy over many texts at once."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from finecomb.data.cleaner.word_hashes import I64, PRIME, U8, U64, mixed, word_hashes

U32: TypeAlias = NDArray[np.uint32]
_CHUNK = 1 << 19  # bytes of text at once: what lies in the cache is fast, and so is a call for much
_BATCH = 64  # signatures at once: their numbers pass through Python objects, which so stay in the cache too


def hashed(texts: Sequence[str] | Any, n: int) -> tuple[U64, I64]:
    """Hashes of the word n-grams of all texts, and where those of each text begin (one more entry than texts).

    texts: strings, or an Arrow array of them, whose bytes are read as they are. Case does not count. A text of fewer than n words has one
    hash, of all its words; one without words has none.
    """
    parts, counts = [np.empty(0, dtype=np.uint64)], [np.zeros(1, dtype=np.int64)]
    for words, words_of in worded(texts):
        found, of_text = ngrams(words, words_of, n)
        parts.append(found)
        counts.append(of_text)
    return np.concatenate(parts), np.cumsum(np.concatenate(counts))


def worded(texts: Sequence[str] | Any) -> Iterator[tuple[U64, I64]]:
    """Hashes of the words of so many texts at once as the processor's cache holds, and how many words each text has."""
    data, offsets = utf8(texts)
    count, start = len(offsets) - 1, 0
    while start < count:
        end = max(start + 1, int(np.searchsorted(offsets, offsets[start] + _CHUNK, side="right")) - 1)
        bounds = offsets[start : end + 1]
        yield word_hashes(data[bounds[0] : bounds[-1]], bounds - bounds[0])
        start = end


def utf8(texts: Sequence[str] | Any) -> tuple[U8, I64]:
    """The bytes of texts, one after the other, and where each begins (one more entry than texts). Missing texts are empty."""
    import pyarrow as pa

    array = getattr(texts, "arrow", texts)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    array = array.cast(pa.large_string()) if isinstance(array, pa.Array) else pa.array(array, pa.large_string())
    if array.null_count:
        array = array.fill_null("")
    if not len(array):
        return np.empty(0, dtype=np.uint8), np.zeros(1, dtype=np.int64)
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return np.empty(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8), bounds


def ngrams(words: U64, words_of: I64, n: int) -> tuple[U64, I64]:
    """Hashes of n-grams from those of words, and how many each text has."""
    # Over all texts as if they were one; then those that begin where their text still has n words.
    ends = np.cumsum(words_of)
    found = _polynomials(words, n)
    kept = np.ones(len(words), dtype=bool)
    for last in range(1, n):
        kept[ends[words_of > last] - last] = False
    short = np.flatnonzero((words_of > 0) & (words_of < n))
    if len(short):
        begins = (ends - words_of)[short]
        found[begins] = _of_short(words, begins, words_of[short], n)
    return mixed(found[kept]), np.where(words_of >= n, words_of - n + 1, np.minimum(words_of, 1))


def _polynomials(words: U64, n: int) -> U64:
    """At each word the polynomial of n words from there, by doubling: that of 2m words is made of two of m."""
    found, length = words.copy(), 1
    for bit in f"{n:b}"[1:]:
        double = found * np.uint64(pow(int(PRIME), length, 2**64))
        double[:-length] += found[length:]
        found, length = double, 2 * length
        if bit == "1":
            found *= PRIME
            found[:-length] += words[length:]
            length += 1
    return found


def _of_short(words: U64, begins: I64, words_of: I64, n: int) -> U64:
    """The one hash of each text of fewer than n words."""
    found = np.zeros(len(begins), dtype=np.uint64)
    for place in range(n):
        found *= PRIME
        found += np.where(place < words_of, words.take(begins + place, mode="clip"), np.uint64(0))
    return found


def sets(hashes: U64, counts: I64) -> tuple[U64, I64]:
    """Each text's hashes in order and without repeats, and how many are left. `hashes` is sorted in place."""
    ends = np.cumsum(counts)
    start = 0
    for end in ends.tolist():
        hashes[start:end].sort()
        start = end
    kept = np.ones(len(hashes), dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=kept[1:])
    kept[(ends - counts)[counts > 0]] = True
    left = np.cumsum(np.concatenate([[0], kept]))[np.concatenate([[0], ends])]
    return hashes[kept], np.diff(left)


def signatures(hashes: U64, offsets: I64, size: int, seed: int = 1) -> U32:
    """MinHash signatures [texts, size]: for each of `size` random affine maps the least value over a text's hashes.

    By rensa's exact interface; its `rho` ones look at a sample of the hashes. A text without hashes gets the greatest value throughout.
    """
    from rensa import RMinHash  # type: ignore[import-untyped]

    compute, pack = RMinHash.digest_matrix_from_flat_token_hashes, struct.Struct(f"={size}I").pack
    offsets = np.asarray(offsets, dtype=np.uint64)
    parts = []
    for start in range(0, len(offsets) - 1, _BATCH):
        bounds = offsets[start : start + _BATCH + 1]
        parts += [pack(*row) for row in compute(hashes[bounds[0] : bounds[-1]], bounds - bounds[0], size, seed).to_rows()]
    return np.frombuffer(b"".join(parts), dtype=np.uint32).reshape(-1, size)
