"""Seeded chance that depends on names alone, so that no library's random stream is part of a result."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


def rank(seed: int, purpose: str, name: str) -> bytes:
    """A pseudo-random number that depends on nothing but its arguments.

    Splits and shuffles sort by it, so that a row's place does not move when other rows are dropped.
    """
    return hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest()


def ranked(seed: int, purpose: str, names: Sequence[str]) -> NDArray[np.int64]:
    """The places of names in the order of their `rank`: as `sorted` with `rank` as the key, in 24 bytes of memory for each name."""
    first = np.fromiter((int.from_bytes(rank(seed, purpose, name)[:8]) for name in names), np.uint64, len(names))
    order = np.argsort(first, kind="stable")
    if (first[order][1:] == first[order][:-1]).any():  # the same name twice
        digests = [rank(seed, purpose, name) for name in names]
        order = np.array(sorted(range(len(digests)), key=digests.__getitem__), dtype=np.int64)
    return order


def share(seed: int, purpose: str, name: str) -> float:
    """Such a number in [0, 1)."""
    return int.from_bytes(rank(seed, purpose, name)[:7]) / 2**56


class Draws:
    """As many such numbers as are asked for: the same sequence for the same arguments."""

    def __init__(self, seed: int, purpose: str, name: str) -> None:
        self._key = f"{seed}\0{purpose}\0{name}\0".encode()
        self._block = 0
        self._numbers: list[int] = []

    def below(self, bound: int) -> int:
        """A whole number from 0 to bound - 1. Its bias, below bound / 2^64, is of no account."""
        if not self._numbers:
            digest = hashlib.sha256(self._key + str(self._block).encode()).digest()
            self._numbers = [int.from_bytes(digest[at : at + 8]) for at in range(0, 32, 8)]
            self._block += 1
        return self._numbers.pop() % bound

    def one(self, items: Sequence[T]) -> T:
        """One of several things."""
        return items[self.below(len(items))]

    def some(self, items: Sequence[T], count: int) -> list[T]:
        """So many different ones, or all where there are fewer, in random order."""
        pool = list(items)
        for at in range(min(count, len(pool))):
            other = at + self.below(len(pool) - at)
            pool[at], pool[other] = pool[other], pool[at]
        return pool[:count]
