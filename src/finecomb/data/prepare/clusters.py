"""What near-duplicates mean for the rest of a corpus: which rows go to one split, and a table of the clusters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
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
    group = [names.get(head) or (f"like {rows.id[head]}" if several[head] else "") for head in least.tolist()]
    return dataclasses.replace(rows, group=group)


def table(scores: Path) -> Any:
    """Every row of a cluster of at least two: step, split, id, number of the cluster, its size and the row's similarity; None without any.

    scores: the table of all scores that prepare leaves.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet

    if not scores.is_file():
        return None
    found = pyarrow.parquet.read_table(scores, filters=[("score", "in", [CLUSTER, SIMILARITY])])
    parts = []
    for step in pc.unique(found.filter(pc.equal(found["score"], CLUSTER))["step"]).to_pylist():
        mine = found.filter(pc.equal(found["step"], step))
        number, similarity = (mine.filter(pc.equal(mine["score"], score)) for score in (CLUSTER, SIMILARITY))
        cluster = number["value"].cast(pa.int64())
        values, place, counts = np.unique(cluster.to_numpy(), return_inverse=True, return_counts=True)
        # One row of an earlier corpus, whose numbers are below 0, belongs to the cluster too.
        sizes = (counts + (values < 0))[place]
        columns = {"step": number["step"], "split": number["split"], "id": number["id"], "cluster": cluster, "size": sizes}
        parts.append(pa.table(columns | {"similarity": similarity["value"]}).filter(pa.array(sizes > 1)))
    return pa.concat_tables(parts) if parts else None
