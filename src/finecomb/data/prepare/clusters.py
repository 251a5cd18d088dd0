"""What near-duplicates mean for the rest of a corpus: which rows go to one split, and a table of the clusters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.data.cleaner.lsh import components
from finecomb.data.dataset.rows import Rows

CLUSTER, SIMILARITY = "cluster", "similarity"


def held_together(rows: Rows, clusters: Sequence[NDArray[Any]]) -> Rows:
    """The rows, with groups that also hold together the rows of each cluster. clusters: for each row the number of its cluster."""
    everyone = np.arange(len(rows))
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for labels in clusters:
        _, first, place = np.unique(labels, return_index=True, return_inverse=True)
        pairs.append(np.stack([first[place], everyone], axis=1))
    linked = np.concatenate(pairs)
    if not (linked[:, 0] != linked[:, 1]).any():
        return rows
    groups = rows.group or [""] * len(rows)
    first_of: dict[str, int] = {}
    own = [(first_of.setdefault(group, row), row) for row, group in enumerate(groups) if group]
    least = components(len(rows), np.concatenate([linked, np.array(own, dtype=np.int64).reshape(-1, 2)]))
    names: dict[int, str] = {}
    for row, head in enumerate(least.tolist()):
        if groups[row]:
            names[head] = min(names.get(head, groups[row]), groups[row])
    several = np.bincount(least, minlength=len(rows)) > 1
    ids = list(rows.id)
    group = [names.get(head) or (f"like {ids[head]}" if several[head] else "") for head in least.tolist()]
    return dataclasses.replace(rows, group=group)


def table(scores: Path) -> Any:
    """Every row of a cluster of at least two: step, split, id, number of the cluster, its size and the row's similarity; None without any.

    scores: the table of all scores that prepare leaves.
    """
    import pyarrow as pa
    import pyarrow.parquet

    if not scores.is_file():
        return None
    with pyarrow.parquet.ParquetFile(scores) as file:
        parts = []
        for step, numbers in _cluster_numbers(file).items():
            values, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
            # One row of an earlier corpus, whose numbers are below 0, belongs to the cluster too.
            sizes = (counts + (values < 0))[place]
            kept = sizes > 1
            number = _kept_rows(file, step, CLUSTER, kept)
            columns = {"step": number["step"], "split": number["split"], "id": number["id"], "cluster": number["value"].cast(pa.int64())}
            parts.append(pa.table(columns | {"size": sizes[kept], "similarity": _kept_rows(file, step, SIMILARITY, kept)["value"]}))
    return pa.concat_tables(parts) if parts else None


def _cluster_numbers(file: Any) -> dict[str, NDArray[np.int64]]:
    """The number of each row's cluster, for each step that has clusters."""
    import pyarrow.compute as pc

    found: dict[str, list[NDArray[np.int64]]] = {}
    for part in parts_of(file, ["step", "score", "value"]):
        mine = part.filter(pc.equal(part["score"], CLUSTER))
        for step in pc.unique(mine["step"]).to_pylist():
            numbers = mine.filter(pc.equal(mine["step"], step))["value"].to_numpy().astype(np.int64)
            found.setdefault(step, []).append(numbers)
    return {step: np.concatenate(numbers) for step, numbers in found.items()}


def _kept_rows(file: Any, step: str, score: str, kept: NDArray[np.bool_]) -> Any:
    """The rows of one score of a step, of those the ones to keep."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found, start = [], 0
    for part in parts_of(file, ["step", "score", "split", "id", "value"]):
        mine = part.filter(pc.and_(pc.equal(part["score"], score), pc.equal(part["step"], step)))
        found.append(mine.filter(pa.array(kept[start : start + len(mine)])))
        start += len(mine)
    return pa.concat_tables(found)


def parts_of(file: Any, columns: Sequence[str]) -> Iterator[Any]:
    """The row groups of an open Parquet file, one at a time; `prepare` writes one for each shard."""
    return (file.read_row_group(number, columns=columns) for number in range(file.num_row_groups))
