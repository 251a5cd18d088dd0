"""Which of many hashes are among some: in memory, or in mapped files where the some are many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finecomb.data.cleaner.word_hashes import I64, U8, U64

_AT_ONCE = 1 << 20  # hashes looked at in one go
_GATHERED = 1 << 22  # hashes that wait in memory to be written


class Among:
    """Which of many hashes are among some.

    some: in any order and with repeats. bits: makes a table of so many zero bytes, by which most hashes are told; for one in a mapped file.
    """

    def __init__(self, some: U64, *, bits: Callable[[int], U8] = lambda size: np.zeros(size, dtype=np.uint8)) -> None:
        self._ordered = some if _rises(some) else _once(some)
        # Two tables of bits, for the first and the last bits of a hash; in each at most one bit in eight is set.
        size = min(30, max(16, len(self._ordered).bit_length() + 3))
        self._first, self._last = np.uint64(64 - size), np.uint64((1 << size) - 1)
        self._tables = bits(1 << (size - 3)), bits(1 << (size - 3))
        for start in range(0, len(self._ordered), _AT_ONCE):
            some = self._ordered[start : start + _AT_ONCE]
            for table, place in zip(self._tables, (some >> self._first, some & self._last), strict=True):
                np.bitwise_or.at(table, place >> np.uint64(3), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8))

    def __len__(self) -> int:
        return len(self._ordered)

    def __call__(self, hashes: U64) -> NDArray[np.bool_]:
        """For each whether it is one of them."""
        maybe = np.flatnonzero(_is_set(self._tables[0], hashes >> self._first))
        maybe = maybe[_is_set(self._tables[1], hashes[maybe] & self._last)]
        # In order they are found near where the last one was, which lies in the processor's cache.
        maybe = maybe[np.argsort(hashes[maybe])]
        found = np.zeros(len(hashes), dtype=bool)
        if len(self._ordered):
            place = np.searchsorted(self._ordered, hashes[maybe])
            found[maybe] = self._ordered.take(place, mode="clip") == hashes[maybe]
        return found


def _is_set(table: U8, place: U64) -> NDArray[np.bool_]:
    """Which bits of a table are set."""
    found: NDArray[np.bool_] = (table[place >> np.uint64(3)] >> (place & np.uint64(7)).astype(np.uint8) & np.uint8(1)).view(bool)
    return found


def _rises(hashes: U64) -> bool:
    """Whether each is greater than the one before."""
    for start in range(0, len(hashes) - 1, _AT_ONCE):
        part = hashes[start : start + _AT_ONCE + 1]
        if not (part[1:] > part[:-1]).all():
            return False
    return True


def _once(hashes: U64) -> U64:
    """In order and without repeats."""
    ordered = np.sort(hashes)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


class Gathered:
    """Hashes that come in parts and end in one file, in order and without repeats; in memory are a few million at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[U64] = []
        self._runs: list[U64] = []

    def add(self, hashes: U64) -> None:
        """More of them."""
        self._waiting.append(hashes)
        if sum(map(len, self._waiting)) >= _GATHERED:
            self._write_run()

    def _write_run(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"run-{len(self._runs)}.u64"
        _once(np.concatenate(self._waiting)).tofile(path)
        self._runs.append(_mapped(path))
        self._waiting = []

    def among(self) -> Among:
        """The hashes as a mapped file, and the table of bits as another."""
        if self._waiting:
            self._write_run()
        count = max(1, sum(map(len, self._runs)) // _GATHERED)
        bounds = [np.uint64(part * (2**64 // count)) for part in range(1, count)]
        edges = [[0, *np.searchsorted(run, np.array(bounds, dtype=np.uint64)).tolist(), len(run)] for run in self._runs]
        path = self._folder / "all.u64"
        self._folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for part in range(count):
                slices = [run[at[part] : at[part + 1]] for run, at in zip(self._runs, edges, strict=True)]
                file.write(_once(np.concatenate([np.empty(0, dtype=np.uint64), *slices])).tobytes())
        names = iter(("first", "last"))
        return Among(_mapped(path), bits=lambda size: np.asarray(np.memmap(self._folder / next(names), np.uint8, "w+", shape=size)))


def _mapped(path: Path) -> U64:
    # Slices of np.memmap are several times slower than those of the array it is.
    return np.asarray(np.memmap(path, np.uint64, "r")) if path.stat().st_size else np.empty(0, dtype=np.uint64)


def repeated(hashes: U64) -> I64:
    """Places of the hashes that occur more than once; values are sorted many times faster than places are."""
    ordered = np.sort(hashes)
    return np.flatnonzero(Among(ordered[1:][ordered[1:] == ordered[:-1]])(hashes))


def in_range(hashes: U64, part: int, parts: int) -> NDArray[np.bool_]:
    """Which hashes are in one of so many equal ranges of values; the ranges follow each other."""
    at: NDArray[np.bool_] = ((hashes >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32) == part
    return at
