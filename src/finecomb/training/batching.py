"""The plan of a training: which examples stand in which step, on which rank, in which micro-batch.

Everything here is a pure function of token lengths, sizes, seed and epoch. The global batch is planned once; how many ranks and
micro-batches compute it changes neither its examples nor, without dropout, its gradient; a step can be found again from its number alone.
With dropout, masks are drawn for each micro-batch and rank, so another split is another computation, and part of a run's identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finecomb.core.errors import ConfigError, Problem

VERSION = "1"
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """The global batches of every epoch.

    lengths: tokens of each training example, [N].
    size: examples in a global batch. The last batch of an epoch holds what is left over; it is never dropped.
    bucket: batches are formed from examples of like length within windows of so many batches; 1: no bucketing.
    order: by which examples are sorted, [N], so that lengths are sorted too; None: the lengths.
    """

    lengths: NDArray[np.int64]
    size: int
    seed: int
    bucket: int
    order: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.size > len(self.lengths):
            raise ConfigError(
                Problem(
                    what=f"batch.size={self.size} is larger than the training data",
                    where="batch.size",
                    allowed=f"at most {len(self.lengths)}, the number of training examples",
                    hint="use a smaller batch.size or more training data",
                )
            )

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass over the data."""
        return -(-len(self.lengths) // self.size)

    def epoch(self, epoch: int) -> list[Rows]:
        """The global batches of an epoch in their order; each holds row numbers, shortest example first.

        A random order is cut into windows of `bucket` batches, each window is sorted by length and cut into batches, and the batches are
        shuffled. The incomplete batch is drawn before the sorting: otherwise it would always hold the longest examples of a window.
        """
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))
        whole = len(order) - len(order) % self.size
        batches = []
        for start in range(0, whole, self.size * self.bucket):
            window = order[start : min(start + self.size * self.bucket, whole)]
            if self.bucket > 1:
                window = self._by_length(window)
            batches += [self._by_length(window[at : at + self.size]) for at in range(0, len(window), self.size)]
        if whole < len(order):
            batches.append(self._by_length(order[whole:]))
        return [batches[position] for position in generator.permutation(len(batches))]

    def _by_length(self, rows: Rows) -> Rows:
        order = self.lengths if self.order is None else self.order
        return rows[np.argsort(order[rows], kind="stable")]


@dataclass(frozen=True)
class Share:
    """What one rank computes of a global batch: row numbers by micro-batch, and whether they count.

    A rank without an example (a global batch smaller than the number of ranks) computes one that does not count, because every rank has
    to take part in the exchange of gradients.
    """

    micro_batches: list[Rows]
    counts: bool


def share(batch: Rows, lengths: NDArray[np.int64], *, rank: int, world: int, parts: int, tokens: int | None) -> Share:
    """Split a global batch, sorted by length, over ranks and micro-batches.

    parts: micro-batches over which the rank's examples are spread evenly (batch.micro_batches).
    tokens: at most so many tokens, padding included, in a micro-batch; a longer example stands alone.
    """
    mine = batch[rank::world]  # every rank gets short and long examples: equal work
    if not len(mine):
        return Share([batch[:1]], counts=False)
    pieces = [piece for piece in np.array_split(mine, parts) if len(piece)]
    if tokens is not None:
        pieces = [smaller for piece in pieces for smaller in _within(piece, lengths, tokens)]
    return Share(pieces, counts=True)


def _within(rows: Rows, lengths: NDArray[np.int64], tokens: int) -> list[Rows]:
    """Cut rows, sorted by length, into runs whose padded size stays within `tokens`."""
    runs, start = [], 0
    for at in range(1, len(rows)):
        if (at + 1 - start) * int(lengths[rows[at]]) > tokens:
            runs.append(rows[start:at])
            start = at
    return [*runs, rows[start:]]


def evaluation_batches(lengths: NDArray[np.int64], size: int, *, rank: int = 0, world: int = 1) -> list[Rows]:
    """Row numbers of this rank's evaluation batches, by length, so that little is padded; every row in exactly one batch of one rank."""
    order = np.argsort(lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)][rank::world]
