"""Pairs of near-duplicates: candidates by banding of MinHash signatures (Leskovec et al., ch. 3), each verified by its exact similarity.

Nothing here needs the texts. Signatures and n-gram hashes may lie in mapped files; rows are numbered over all of them. In memory are some
300 bytes for each row, and 20 for each row of a bucket that holds several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finecomb.core.machine import cores
from finecomb.data.cleaner.among import repeated
from finecomb.data.cleaner.shingles import U32, sets
from finecomb.data.cleaner.word_hashes import I64, PRIME, U64, mixed

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
# Rows that stay whom the others of one bucket are compared with, and rows before it that a row is compared with where no row goes. A bucket
# beyond that is one of unlike rows with a passage in common; rows that are alike meet in other buckets too.
MOST = 48
_HASHES = 1 << 19  # n-gram hashes that each thread has in memory at once
_PAIRS = 1 << 21


def bands(threshold: float, size: int) -> tuple[int, int]:
    """Bands and rows per band, of a signature of at most `size`, that find pairs at the threshold with a probability of at least 0.95.

    Of those the one with the most rows, which gives the fewest false candidates. P(s) = 1 - (1 - s**rows)**bands.
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


class Rows:
    """Signatures and n-gram hashes of rows, part by part.

    Each part: signatures [size, rows], n-gram hashes of its rows one after the other in any order and with repeats, and where those of each
    row begin (one more entry than rows).
    """

    def __init__(self, parts: Sequence[tuple[U32, U64, I64]]) -> None:
        # Slices of np.memmap are several times slower than those of the array it is.
        self.parts = [(np.asarray(signatures), np.asarray(hashes), np.asarray(offsets)) for signatures, hashes, offsets in parts]
        self._starts = np.cumsum([0, *(len(offsets) - 1 for _, _, offsets in parts)], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def filled(self) -> Bools:
        """Which rows have any n-gram."""
        return np.concatenate([np.zeros(0, dtype=bool), *(np.diff(offsets) > 0 for _, _, offsets in self.parts)])

    def keys(self, band: int, rows: int) -> U64:
        """One number for what each row's signature holds in a band."""
        found = np.zeros(len(self), dtype=np.uint64)
        for start, (signatures, _, _) in zip(self._starts.tolist(), self.parts, strict=False):
            part = found[start : start + signatures.shape[1]]
            for line in signatures[band * rows : (band + 1) * rows]:
                part *= PRIME
                part += line
                part += np.uint64(1)
        return mixed(found)

    def _sets(self, rows: I64) -> tuple[U64, I64]:
        """Sorted n-gram sets of some rows (in order), one after the other, and how many n-grams each has."""
        found: list[U64] = []
        for start, end, (_, hashes, offsets) in zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), self.parts, strict=True):
            low, high = np.searchsorted(rows, [start, end]).tolist()
            local = rows[low:high] - start
            found += [hashes[a:b] for a, b in zip(offsets[local].tolist(), offsets[local + 1].tolist(), strict=True)]
        return sets(np.concatenate(found), np.array([len(part) for part in found]))

    def similarities(self, first: I64, second: I64) -> F64:
        """Exact Jaccard similarity of pairs of rows. Pairs are fastest in the order of their first row."""
        sizes = np.concatenate([np.zeros(0, dtype=np.int64), *(np.diff(offsets) for _, _, offsets in self.parts)])
        runs = list(_runs(np.cumsum(sizes[first] + sizes[second]) // _HASHES))
        # Sorting and comparing are done without the interpreter's lock.
        with ThreadPoolExecutor(cores()) as pool:
            return np.concatenate([np.zeros(0), *pool.map(lambda run: self._some(first[slice(*run)], second[slice(*run)]), runs)])

    def _some(self, first: I64, second: I64) -> F64:
        from scipy.sparse import csr_array

        rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
        hashes, counts = self._sets(rows)
        bounds = np.concatenate([[0], np.cumsum(counts)])
        # A row of the matrix is a set: its columns are hashes. Column numbers are signed, so the last bit goes.
        columns = (hashes >> np.uint64(1)).view(np.int64)
        table = csr_array((np.ones(len(columns), dtype=np.int8), columns, bounds), shape=(len(rows), 2**63 - 1))
        one, two = place[: len(first)], place[len(first) :]
        shared = np.diff(table[one].multiply(table[two]).indptr)
        return shared / np.maximum(counts[one] + counts[two] - shared, 1)


def _runs(labels: I64) -> Iterator[tuple[int, int]]:
    """Where runs of equal labels begin and end."""
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    yield from zip([0, *edges.tolist()], [*edges.tolist(), len(labels)], strict=True) if len(labels) else ()


def _distinct(values: I64) -> I64:
    """Sorted, each once; np.unique does this by a hash table, which is several times slower here."""
    values = np.sort(values)
    return values[np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])]


def _expanded(begins: I64, counts: I64) -> I64:
    """begin, begin + 1, ... for each beginning as many as its count."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - ends + counts, counts)


def _buckets(rows: Rows, order: I64, count: int, depth: int) -> tuple[I64, I64]:
    """Entries of all buckets with several rows: places in `order`, and the bucket of each; by bucket, then by place."""
    entries, labels, last = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)], 0
    places = np.flatnonzero(rows.filled()[order])
    for band in range(count):
        keys = rows.keys(band, depth)[order[places]]
        shared = repeated(keys)
        by = shared[np.argsort(keys[shared], kind="stable")]
        bucket = np.cumsum(np.diff(keys[by], prepend=keys[by[:1]]) != 0) + last
        entries.append(places[by])
        labels.append(bucket)
        last = int(bucket[-1]) + 1 if len(bucket) else last
    return np.concatenate(entries), np.concatenate(labels)


@dataclass
class Settled:
    """What became of each row. owner: the row that stays for it; itself where it stays. similarity: to the owner; for a row that stays the
    greatest to a row that stays and was compared with it. checked, near: pairs compared, and of those the pairs at the threshold."""

    owner: I64
    similarity: F64
    checked: int = 0
    near: int = 0


def parted(rows: Rows, order: I64, count: int, depth: int, part: int, parts: int) -> I64:
    """Places in `order` of the rows of some components: rows are in one component when a chain of buckets connects them.

    Rows of different components are never compared, so that each part can be settled by itself. A row that shares no bucket is in no part.
    """
    entries, labels = _buckets(rows, order, count, depth)
    first = np.flatnonzero(np.concatenate([[True], labels[1:] != labels[:-1]])[: len(labels)])
    heads = np.repeat(entries[first], np.diff([*first.tolist(), len(labels)]))
    least = components(len(order), np.stack([heads, entries], axis=1))
    places = np.unique(entries)
    return places[mixed(least[places].astype(np.uint64)) % np.uint64(parts) == part]


def settle(rows: Rows, order: I64, *, threshold: float, count: int, depth: int, fixed: int = 0) -> Settled:
    """Let each row stay unless one that stays before it in `order` is near enough, as if they were asked one after the other.

    order: rows that are not in it stay, and no row is compared with them. fixed: so many rows at the beginning of `order` stay whatever
    they are like.
    In each round those rows are asked that are the first not yet asked in all of their buckets; every other row of these buckets is then
    compared with them.
    """
    return _Rounds(rows, order, threshold, count, depth, fixed).run()


class _Rounds:
    """The state of `settle`; rows are called by their place in the order, their rank."""

    def __init__(self, rows: Rows, order: I64, threshold: float, count: int, depth: int, fixed: int) -> None:
        self.rows, self.order, self.threshold, self.fixed = rows, order, threshold, fixed
        self.entries, self.labels = _buckets(rows, order, count, depth)
        self.owner = np.arange(len(order), dtype=np.int64)
        self.best = np.zeros(len(order))
        self.open = np.ones(len(order), dtype=bool)
        self.gone = np.zeros(len(order), dtype=bool)
        self.blocked = np.zeros(len(order), dtype=bool)
        self.heads = np.zeros(int(self.labels[-1]) + 1 if len(self.labels) else 0, dtype=np.int32)
        self.checked = self.near = 0

    def run(self) -> Settled:
        self.open[: self.fixed] = False
        begins = np.flatnonzero(np.concatenate([[True], self.labels[1:] != self.labels[:-1]])) if len(self.labels) else self.labels
        within = np.arange(len(self.labels)) - np.repeat(begins, np.diff([*begins.tolist(), len(self.labels)]))
        self._compare(np.flatnonzero((self.entries < self.fixed) & (within < MOST)))
        self._leave()
        while len(self.entries):
            undecided = np.flatnonzero(self.open[self.entries])
            labels = self.labels[undecided]
            first = np.concatenate([[True], labels[1:] != labels[:-1]])
            self.blocked[self.entries[undecided[~first]]] = True
            heads = undecided[first]
            heads = heads[~self.blocked[self.entries[heads]]]
            self.blocked[self.entries[undecided]] = False
            self.open[self.entries[heads]] = False
            self.heads[self.labels[heads]] += 1
            self._compare(heads)
            self._leave()
        owner = np.arange(len(self.rows), dtype=np.int64)
        owner[self.order] = self.order[self.owner]
        similarity = np.zeros(len(self.rows))
        similarity[self.order] = self.best
        return Settled(owner, similarity, self.checked, self.near)

    def _compare(self, heads: I64) -> None:
        """Compare the rows at some entries, which stay, with all rows behind them in their buckets."""
        heads = heads[np.argsort(self.entries[heads], kind="stable")]
        ends = np.searchsorted(self.labels, self.labels[heads], side="right")
        counts = ends - heads - 1
        # All entries of one row in one batch, so that a pair from several buckets is compared once.
        batch = np.maximum.accumulate((np.cumsum(counts) // _PAIRS)[np.searchsorted(self.entries[heads], self.entries[heads])])
        for low, high in _runs(batch):
            mine = heads[low:high]
            first = np.repeat(self.entries[mine], counts[low:high])
            second = self.entries[_expanded(mine + 1, counts[low:high])]
            keys = _distinct((first * len(self.order) + second)[second >= self.fixed])
            self._note(keys // len(self.order), keys % len(self.order))

    def _note(self, first: I64, second: I64) -> None:
        """Take down the similarities of pairs; rows near to a first go."""
        found = self.rows.similarities(self.order[first], self.order[second])
        near = found >= self.threshold
        self.checked += len(found)
        self.near += int(near.sum())
        # Of several the nearest, of equally near ones the first in the order.
        by = np.lexsort((first, -found, second))
        by = by[np.concatenate([[True], second[by][1:] != second[by][:-1]])] if len(by) else by
        first, second, found, near = first[by], second[by], found[by], near[by]
        closer = (found > self.best[second]) | ((found == self.best[second]) & self.gone[second] & (first < self.owner[second]))
        self.best[second[closer]] = found[closer]
        mine = closer & near
        self.owner[second[mine]] = first[mine]
        self.gone[second[near]] = True
        self.open[second[near]] = False

    def _leave(self) -> None:
        """Put away what can no longer matter: rows that stay, full buckets, and in each bucket all before its first row not yet asked."""
        open_ = self.open[self.entries]
        behind = np.maximum.accumulate(np.where(open_, self.labels, -1)) == self.labels if len(open_) else open_
        kept = behind & (open_ | self.gone[self.entries]) & (self.heads[self.labels] < MOST)
        self.entries, self.labels = self.entries[kept], self.labels[kept]
        same = np.zeros(len(self.labels) + 1, dtype=bool)
        same[1:-1] = self.labels[1:] == self.labels[:-1]
        several = same[1:] | same[:-1]
        self.entries, self.labels = self.entries[several], self.labels[several]


def candidates(rows: Rows, count: int, depth: int, *, most: int = MOST) -> I64:
    """Pairs [m, 2] of rows that agree in a band, each once, the earlier row first.

    most: in a bucket each row is paired with so many before it. Larger buckets are chains of near-copies, which their links keep together
    without a square number of pairs.
    """
    entries, labels = _buckets(rows, np.arange(len(rows), dtype=np.int64), count, depth)
    keys = [np.empty(0, dtype=np.int64)]
    for step in range(1, min(most, len(entries) - 1) + 1):
        same = np.flatnonzero(labels[step:] == labels[:-step])
        if not len(same):
            break
        keys.append(entries[same] * len(rows) + entries[same + step])
    found = _distinct(np.concatenate(keys))
    return np.stack([found // max(1, len(rows)), found % max(1, len(rows))], axis=1)


class Lookup:
    """Rows by what their signatures hold in each band, for other rows to be looked up among them."""

    def __init__(self, rows: Rows, count: int, depth: int) -> None:
        self.rows, self._depth = rows, depth
        self._filled = np.flatnonzero(rows.filled())
        self._bands = []
        for band in range(count):
            keys = rows.keys(band, depth)[self._filled]
            order = np.argsort(keys)
            self._bands.append((keys[order], self._filled[order]))

    def near(self, others: Rows, threshold: float) -> tuple[I64, I64, F64]:
        """Pairs (row of others, row here) that are candidates and at the threshold, and their similarities."""
        filled = np.flatnonzero(others.filled())
        found = [np.empty(0, dtype=np.int64)]
        for band, (keys, rows) in enumerate(self._bands):
            wanted = others.keys(band, self._depth)[filled]
            low = np.searchsorted(keys, wanted, side="left")
            counts = np.minimum(np.searchsorted(keys, wanted, side="right") - low, MOST)
            found.append(np.repeat(filled, counts) * len(self.rows) + rows[_expanded(low, counts)])
        pairs = _distinct(np.concatenate(found))
        first, second = pairs // max(1, len(self.rows)), pairs % max(1, len(self.rows))
        similarity = Rows([*self.rows.parts, *others.parts]).similarities(first + len(self.rows), second)
        near = similarity >= threshold
        return first[near], second[near], similarity[near]


def components(rows: int, pairs: I64) -> I64:
    """For each row the least row that chains of pairs lead to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(rows, rows))
    count, labels = connected_components(graph, directed=False)
    least = np.full(count, rows, dtype=np.int64)
    np.minimum.at(least, labels, np.arange(rows))
    return least[labels]
