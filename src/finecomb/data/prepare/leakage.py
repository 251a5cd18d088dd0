"""What the splits of a data set share: the same texts, nearly the same texts, and long n-grams.

Train is read once, piece by piece. Hashes of validation and test lie in mapped files; in memory is what lookups need, some 300 bytes a row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from finecomb.assets.cache import staging
from finecomb.data.cleaner.among import Gathered
from finecomb.data.cleaner.lsh import Lookup, bands
from finecomb.data.cleaner.lsh import Rows as Grams
from finecomb.data.cleaner.shingles import ngrams, signatures, worded
from finecomb.data.cleaner.word_hashes import I64, U64
from finecomb.data.dataset.rows import Rows

NEAR, NGRAM, LONG, PERMUTATIONS = 0.8, 5, 13, 128
_PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))
_SHOWN = 5
_CUT = 200
Chunks = Callable[[], Iterable[Rows]]


def overlap(splits: Mapping[str, Chunks]) -> dict[str, Any]:
    """For each pair of splits: rows of the first whose text is in the second (case, space and punctuation do not count), whose Jaccard
    similarity of word 5-grams to a row there is at least 0.8, and that share 13 words in a row with one there; and examples.

    splits: for each a function that gives its rows from the beginning, a chunk at a time.
    """
    with staging() as folder:
        return _overlap(splits, folder)


def _overlap(splits: Mapping[str, Chunks], folder: Path) -> dict[str, Any]:
    pairs = [pair for pair in _PAIRS if pair[0] in splits and pair[1] in splits]
    references = {name: _Reference(splits[name], folder / name) for name in dict.fromkeys(second for _, second in pairs)}
    found = {pair: _Found() for pair in pairs}
    for name in dict.fromkeys(first for first, _ in pairs):
        against = [(references[second], found[first, second]) for first, second in pairs if first == name]
        start = 0
        for rows in splits[name]():
            chunk = _Chunk.of(rows)
            for reference, mine in against:
                reference.compare(rows, chunk, start, mine)
            start += len(rows)
    return {f"{first}/{second}": found[first, second].told(splits[second]) for first, second in pairs}


@dataclass
class _Chunk:
    """Hashes of some rows: each text as a sequence of words, its n-grams, its long n-grams."""

    whole: list[bytes]
    grams: U64
    offsets: I64
    long: U64
    long_offsets: I64

    @staticmethod
    def of(rows: Rows) -> _Chunk:
        texts = texts_of(rows)
        whole: list[bytes] = []
        parts: dict[int, list[tuple[U64, I64]]] = {NGRAM: [], LONG: []}
        for hashes, words_of in worded(texts):
            ends = np.cumsum(words_of)
            whole += [xxhash.xxh3_128_digest(hashes.data[a:b]) for a, b in zip((ends - words_of).tolist(), ends.tolist(), strict=True)]
            for n, found in parts.items():
                found.append(ngrams(hashes, words_of, n))
        nothing = xxhash.xxh3_128_digest(b"")
        for row in [row for row, digest in enumerate(whole) if digest == nothing]:
            whole[row] = b"text" + xxhash.xxh3_128_digest(str(texts[row]).encode())  # without words: compared as it is
        return _Chunk(whole, *_joined(parts[NGRAM]), *_joined(parts[LONG]))

    @functools.cached_property
    def signed(self) -> Grams:
        return Grams([(np.ascontiguousarray(signatures(self.grams, self.offsets, PERMUTATIONS).T), self.grams, self.offsets)])


def _joined(parts: list[tuple[U64, I64]]) -> tuple[U64, I64]:
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(counts for _, counts in parts)])
    return np.concatenate([np.empty(0, dtype=np.uint64), *(hashes for hashes, _ in parts)]), np.cumsum(counts)


def texts_of(rows: Rows) -> Any:
    """The texts; of pairs both, with a line end between."""
    if rows.text_pair is None:
        return rows.text
    return [f"{text}\n{pair}" for text, pair in zip(rows.text, rows.text_pair, strict=True)]


@dataclass
class _Found:
    """What one split shares with another; near: the nearest pairs {similarity, row, id, text, other row}, at most five."""

    exact: int = 0
    near: int = 0
    long: int = 0
    nearest: list[tuple[float, int, str, str, int]] = field(default_factory=list)

    def told(self, other: Chunks) -> dict[str, Any]:
        """As it is reported; the other rows of the examples are looked up."""
        wanted, seen, start = {entry[4] for entry in self.nearest}, {}, 0
        if wanted:
            for rows in other():
                for row in [row for row in wanted if start <= row < start + len(rows)]:
                    seen[row] = (rows.id[row - start], str(_text(rows, row - start))[:_CUT])
                start += len(rows)
        examples = [
            {"ids": [name, seen[row][0]], "similarity": round(similarity, 4), "texts": [text, seen[row][1]]}
            for similarity, _, name, text, row in self.nearest
        ]
        return {"exact": self.exact, "near": self.near, "examples": examples, "ngram_13": self.long}


def _text(rows: Rows, row: int) -> str:
    return rows.text[row] if rows.text_pair is None else f"{rows.text[row]}\n{rows.text_pair[row]}"


def _mapped(path: Path, array: Any) -> Any:
    """The same array in a file that is mapped."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=False)
    return np.load(path, allow_pickle=False, mmap_mode="r" if array.size else None)


class _Reference:
    """A split that others are compared with."""

    def __init__(self, chunks: Chunks, folder: Path) -> None:
        self._whole: set[bytes] = set()
        long, signed = Gathered(folder / "long"), []
        for number, rows in enumerate(chunks()):
            part = _Chunk.of(rows)
            self._whole.update(part.whole)
            long.add(part.long)
            signed += [tuple(_mapped(folder / f"{number}-{at}.npy", array) for at, array in enumerate(line)) for line in part.signed.parts]
        self._long = long.among()
        self._near = Lookup(Grams(signed), *bands(NEAR, PERMUTATIONS))

    def compare(self, rows: Rows, chunk: _Chunk, start: int, found: _Found) -> None:
        """Add what a chunk shares with the split; start: the number of its first row."""
        found.exact += sum(digest in self._whole for digest in chunk.whole)
        hits = np.concatenate([[0], np.cumsum(self._long(chunk.long))])
        found.long += int((hits[chunk.long_offsets[1:]] > hits[chunk.long_offsets[:-1]]).sum())
        first, second, similarity = self._near.near(chunk.signed, NEAR)
        by = np.lexsort((second, -similarity, first))
        by = by[np.flatnonzero(np.diff(first[by], prepend=-1))]  # of each row the nearest
        found.near += len(by)
        by = by[np.lexsort((first[by], -similarity[by]))[:_SHOWN]]
        found.nearest += [
            (float(similarity[pair]), start + int(first[pair]), rows.id[first[pair]], _text(rows, first[pair])[:_CUT], int(second[pair]))
            for pair in by.tolist()
        ]
        found.nearest = sorted(found.nearest, key=lambda entry: (-entry[0], entry[1]))[:_SHOWN]
