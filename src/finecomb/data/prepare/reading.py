"""From a source to shards: rows are read once, whatever is cleaned later, and reading that was interrupted goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset import Source
from finecomb.data.dataset.rows import Rows, from_tables, to_table
from finecomb.data.prepare.clusters import held_together
from finecomb.data.shards import Shard, read_arrow, root, write_arrow, write_bytes, write_shards

_INDEX = "index.json"


@dataclass(frozen=True)
class Reading:
    """What was read: shards of each split, and what the source says of itself and of the rows it left out (see `Raw`)."""

    splits: dict[str, list[Shard]]
    source: str
    license: str
    label_names: list[str] | None
    funnel: list[dict[str, Any]]
    unmapped: int
    rejected: list[dict[str, Any]]


def read(source: Source, key: str, kind: str) -> Reading:
    """The rows of a source as shards, from the cache or read now. key: names the dataset's values and inputs.

    Raises ConfigError for bad input, and for a split without rows.
    """
    folder = root() / "read" / key
    if (found := _found(folder)) is not None:
        return found
    raw = source.read(kind)
    splits: dict[str, list[Shard]] = {split: [] for split in raw.splits}
    for split, chunks in raw.splits.items():
        for shard in write_shards(folder, split, _tables(chunks)):
            splits[split].append(shard)
    _refuse_empty(splits, raw.funnel)
    facts = {name: getattr(raw, name) for name in ("source", "license", "label_names", "funnel", "unmapped", "rejected")}
    index = {split: [[shard.path.name, shard.key, shard.rows, shard.bytes] for shard in shards] for split, shards in splits.items()}
    write_bytes(folder / _INDEX, json.dumps({"splits": index, **facts}, ensure_ascii=False, default=str).encode())
    return Reading(splits, **facts)


def _tables(chunks: Iterable[Rows]) -> Iterator[Any]:
    return (to_table(rows) for rows in chunks if len(rows))


def _found(folder: Path) -> Reading | None:
    try:
        told = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        index = told.pop("splits")
        splits = {
            split: [Shard(split, folder / name, key, rows, size) for name, key, rows, size in shards] for split, shards in index.items()
        }
        whole = all(shard.path.is_file() for shards in splits.values() for shard in shards)
        return Reading(splits, **told) if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _refuse_empty(splits: Mapping[str, Sequence[Shard]], funnel: Sequence[Mapping[str, Any]]) -> None:
    problems = []
    for name, shards in splits.items():
        if not shards:
            lost = [f"{entry['step']}: {reason} {count:,}" for entry in funnel if entry["split"] == name
                    for reason, count in entry["reasons"].items()]  # fmt: skip
            problems.append(Problem(f"no row is left in {name}", "reading", allowed="; ".join(lost), hint="check the file"))
    if problems:
        raise ConfigError(problems)


def opened(splits: Mapping[str, Sequence[Shard]], folder: Path, clusters: Sequence[str] = ()) -> dict[str, Rows]:
    """The rows of shards as they are after all deltas. Their texts are written to files in `folder` and mapped.

    clusters: scores ("step.score") that number what is to be held together by the rows' groups.
    """
    found = {}
    for split, shards in splits.items():
        tables = []
        for number, shard in enumerate(shards):
            path = folder / f"{split}-{number:05d}.arrow"
            if shard.deltas:
                write_arrow(path, shard.table())
            tables.append(read_arrow(path if shard.deltas else shard.path))
        rows = from_tables(tables)
        numbers = [np.concatenate([table.column(f"score:{name}").to_numpy() for table in tables]) for name in clusters if tables]
        found[split] = held_together(rows, numbers) if numbers else rows
    return found
