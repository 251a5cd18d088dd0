"""What is computed for each row of a split, by its number, gathered over all ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from finecomb.learning.task import Batch

VERSION = "1"

Keep = Callable[[Batch], Tensor]
"""A batch on the model's device to what is kept of each of its rows [B, width]."""


class Collector:
    """What is kept of each row, by row number, from batches in any order, on one rank or several.

    Args:
        rows: number of rows of the split.
        width: numbers that are kept of a row.
        device: where they are kept until they are gathered.
    """

    def __init__(self, rows: int, width: int, device: torch.device) -> None:
        # One more row than the split has takes those of filler batches (see EvaluationLoader). MPS has no float64.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._kept = torch.zeros(rows + 1, width, dtype=dtype, device=device)
        self._seen = torch.zeros(rows + 1, dtype=torch.int64, device=device)

    def add(self, keep: Keep, batch: Batch) -> None:
        """Compute the rows of a batch and keep them. What has fewer columns than the widest row is filled up with zeros."""
        index = batch.index.to(self._seen.device)
        values = keep(batch).to(self._kept.dtype)
        self._kept[index, : values.shape[1]] = values
        self._seen.index_put_((index,), torch.ones_like(index), accumulate=True)

    def gather(self, world: int, *, partial: bool = False) -> tuple[Tensor, Tensor]:
        """What was kept [N, width] in float64 and the numbers [N] of the rows it is of, on the CPU, from all ranks.

        Args:
            world: number of ranks; each gets the whole result.
            partial: whether rows that no rank has computed are left out instead of being an error.

        Raises:
            RuntimeError: a row was computed more than once, or never.
        """
        if world > 1:
            # Each row is zero on all ranks but one: the sum is exact.
            torch.distributed.all_reduce(self._kept)
            torch.distributed.all_reduce(self._seen)
        kept, seen = self._kept[:-1].double().cpu(), self._seen[:-1].cpu()
        never, again = int((seen == 0).sum()), int((seen > 1).sum())
        if again or (never and not partial):
            raise RuntimeError(f"evaluation saw {never} of {len(seen)} examples never and {again} more than once")
        rows = seen.nonzero().flatten()
        return kept[rows], rows


def collect(keep: Keep, batches: Iterable[Batch], *, rows: int, width: int, device: torch.device, world: int = 1) -> Tensor:
    """What is kept [N, width] of all rows in row order, in float64 on the CPU.

    Args:
        keep: by a model in eval mode.
        batches: of this rank; every row is in exactly one batch of one rank, or RuntimeError is raised.
        rows: number of rows of the split.
        width: numbers that are kept of a row.
        device: of the model.
        world: number of ranks.
    """
    collector = Collector(rows, width, device)
    for batch in batches:
        collector.add(keep, batch.to(device))
    return collector.gather(world)[0]
