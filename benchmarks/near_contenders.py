"""Ways from a Parquet file to verified clusters: each has a task for one row group, and an end for all of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.data.cleaner.lsh import bands
from finecomb.data.cleaner.step import Batch, Sketch
from finecomb.data.cleaner.steps.near import NearDuplicates, NearDuplicatesOptions
from finecomb.data.shards import load_facts, save_facts
from finecomb.data.texts import Texts

THRESHOLD, NGRAM, PERMUTATIONS = 0.8, 5, 128
SCHEME = "affine32"  # of datasketch: the one it has by default
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_PRIME), -1, 2**64))


@dataclass(frozen=True)
class Contender:
    """sketch(parquet, row group, folder) in any process; finish(folders) -> for each row the row that stays for it. share: of the
    documents that it is given, since some would take hours."""

    sketch: Callable[[str, int, str], None]
    finish: Callable[[list[str]], list[int]]
    share: float = 1.0


def _texts(parquet: str, group: int) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(parquet).read_row_group(group, columns=["text"]).column("text")


# finecomb: the step as `prepare` runs it


def _step() -> NearDuplicates:
    return NearDuplicates(NearDuplicatesOptions(THRESHOLD, NGRAM, PERMUTATIONS, "first", None, [], None, False, 1.0))


def _finecomb_sketch(parquet: str, group: int, folder: str) -> None:
    import pyarrow

    texts = Texts(_texts(parquet, group).cast(pyarrow.large_string()).chunks)
    nothing = [""] * len(texts)
    Path(folder).mkdir()
    save_facts(Path(folder), lambda: _step().sketch(Batch("train", nothing, texts, None, nothing)))


def _finecomb_finish(folders: list[str]) -> list[int]:
    facts = [load_facts(Path(folder)) for folder in folders]
    rows = [len(each["offsets"]) - 1 for each in facts]
    starts = np.cumsum([0, *rows]).tolist()
    sketches = [Sketch("train", start, count, each) for start, count, each in zip(starts, rows, facts, strict=False)]
    owner: list[int] = _step().plan(sketches, _NoCorpus())["owner"].tolist()
    return owner


class _NoCorpus:
    """A report would show texts and ids; here there is none."""

    def text(self, row: int) -> str:
        return ""

    def id(self, row: int) -> str:
        return str(row)

    def label(self, row: int) -> Any:
        return None

    def split(self, row: int) -> str:
        return "train"


# The simplest honest combination: n-grams by prefix sums of a polynomial over the bytes, rensa's exact signatures, the same bands, and
# every candidate checked. All bytes beyond ASCII count as letters here, which is simpler and faster than what words are.


@lru_cache(maxsize=4)
def _powers(base: int, size: int) -> Any:
    found = np.full(size, base, dtype=np.uint64)
    found[0] = 1
    return np.multiply.accumulate(found)


def _shingles(texts: list[str]) -> tuple[Any, Any]:
    encoded = [text.lower().encode() for text in texts]
    data = np.frombuffer(b"\0".join(encoded) + b"\0", dtype=np.uint8)
    table = np.zeros(256, dtype=bool)
    table[[*range(48, 58), *range(65, 91), 95, *range(97, 123), *range(128, 256)]] = True
    inside = table[data].view(np.int8)
    edges = np.flatnonzero(np.diff(inside, prepend=np.int8(0), append=np.int8(0)))
    begins, ends = edges[::2], edges[1::2]
    size = 1 << max(21, len(data).bit_length())
    prefix = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum((data + np.uint64(1)) * _powers(int(_PRIME), size)[: len(data)], out=prefix[1:])
    words = _mixed((prefix[ends] - prefix[begins]) * _powers(int(_INVERSE), size)[begins])
    words_of = np.diff(np.searchsorted(begins, np.cumsum([0, *(len(text) + 1 for text in encoded)])))
    counts = np.maximum(words_of - NGRAM + 1, 0)
    grams = np.zeros(max(0, len(words) - NGRAM + 1), dtype=np.uint64)
    for shift in range(NGRAM):
        grams = grams * _PRIME + words[shift : shift + len(grams)]
    starts = np.cumsum(words_of) - words_of
    places = np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    return _mixed(grams[places]), np.cumsum([0, *counts])


def _mixed(values: Any) -> Any:
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return values ^ (values >> np.uint64(33))


def _simple_sketch(parquet: str, group: int, folder: str) -> None:
    from rensa import RMinHash

    texts = _texts(parquet, group).to_pylist()
    parts = [_shingles(texts[start : start + 150]) for start in range(0, len(texts), 150)]  # a megabyte at once is the fastest here
    hashes = np.concatenate([part for part, _ in parts])
    offsets = np.cumsum([0, *(count for _, bounds in parts for count in np.diff(bounds).tolist())])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets.astype(np.uint64), PERMUTATIONS, 1)
    Path(folder).mkdir()
    save_facts(Path(folder), lambda: {"signatures": np.array(matrix.to_rows(), dtype=np.uint32), "hashes": hashes, "offsets": offsets})


def _simple_finish(folders: list[str]) -> list[int]:
    facts = [load_facts(Path(folder)) for folder in folders]
    signatures = np.concatenate([each["signatures"] for each in facts])
    arrays = [(np.asarray(each["hashes"]), each["offsets"].tolist()) for each in facts]
    hashes = [found[a:b] for found, bounds in arrays for a, b in pairwise(bounds)]
    count, depth = bands(THRESHOLD, PERMUTATIONS)
    before: list[set[int]] = [set() for _ in hashes]
    for band in range(count):
        part = np.ascontiguousarray(signatures[:, band * depth : (band + 1) * depth]).view(np.dtype((np.void, 4 * depth))).ravel()
        buckets: dict[Any, list[int]] = {}
        for row, key in enumerate(part.tolist()):
            buckets.setdefault(key, []).append(row)
        for rows in buckets.values():
            if len(rows) > 1 and len(hashes[rows[0]]):
                for place, row in enumerate(rows):
                    before[row].update(rows[:place])
    sets: dict[int, Any] = {}
    owner = list(range(len(hashes)))
    for row, others in enumerate(before):
        for other in sorted(others):
            if owner[other] != other:
                continue
            for each in (row, other):
                if each not in sets:
                    ordered = np.sort(hashes[each])  # np.unique is slower
                    sets[each] = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]
            shared = len(np.intersect1d(sets[row], sets[other], assume_unique=True))
            if shared / (len(sets[row]) + len(sets[other]) - shared) >= THRESHOLD:
                owner[row] = other
                break
    return owner


# datasketch, as its documentation has it, with batches of n-grams; clusters are verified by Python sets


def _datasketch_sketch(parquet: str, group: int, folder: str) -> None:
    from datasketch import MinHash

    from finecomb.data.cleaner.word_pattern import words

    signed = []
    for text in _texts(parquet, group).to_pylist():
        found = words(text.lower())
        minhash = MinHash(num_perm=PERMUTATIONS, scheme=SCHEME)
        minhash.update_batch([" ".join(found[start : start + NGRAM]).encode() for start in range(max(1, len(found) - NGRAM + 1))])
        signed.append(minhash.hashvalues)
    Path(folder).mkdir()
    save_facts(Path(folder), lambda: {"signatures": np.array(signed), "group": group, "parquet": parquet})


def _datasketch_finish(folders: list[str]) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    from finecomb.data.cleaner.word_pattern import words

    facts = [load_facts(Path(folder)) for folder in folders]
    texts = [text for each in facts for text in _texts(each["parquet"], each["group"]).to_pylist()]
    lsh = MinHashLSH(num_perm=PERMUTATIONS, params=bands(THRESHOLD, PERMUTATIONS))
    owner = list(range(len(texts)))

    @lru_cache(maxsize=10_000)
    def grams(row: int) -> set[tuple[str, ...]]:
        found = words(texts[row].lower())
        return {tuple(found[start : start + NGRAM]) for start in range(max(1, len(found) - NGRAM + 1))}

    for row, values in enumerate(line for each in facts for line in each["signatures"]):
        signature = MinHash(hashvalues=values, scheme=SCHEME)
        for other in sorted(lsh.query(signature)):
            one, two = grams(row), grams(other)
            if len(one & two) >= THRESHOLD * len(one | two):
                owner[row] = other
                break
        else:
            lsh.insert(row, signature)
    return owner


CONTENDERS = {
    "finecomb": Contender(_finecomb_sketch, _finecomb_finish),
    "NumPy shingles + rensa": Contender(_simple_sketch, _simple_finish),
    "datasketch": Contender(_datasketch_sketch, _datasketch_finish, share=0.05),
}
