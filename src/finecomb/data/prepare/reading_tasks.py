"""From a source to shards: rows are read once, whatever is cleaned later, and reading that was interrupted goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from finecomb.core.errors import ConfigError, Problem
from finecomb.data import shards as shards_module
from finecomb.data.dataset import Source
from finecomb.data.dataset.broken import LISTED, WITH_TEXT
from finecomb.data.dataset.rows import Rows, from_tables, to_table
from finecomb.data.engine import Engine
from finecomb.data.prepare.clusters import held_together
from finecomb.data.shards import Folder, Shard, absolute, read_arrow, relative, root, run_tasks, write_arrow, write_bytes, write_shards

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


@runtime_checkable
class Divisible(Protocol):
    """A source of files that can be read by several tasks."""

    def parts(self, size: int) -> list[tuple[str, Source]]:
        """Runs of files of about so many bytes: the split of each, and a source of these files alone; in order."""


def read(source: Source, key: str, kind: str, engine: Engine) -> Reading:
    """The rows of a source as shards, from the cache or read now. key: names the dataset's values and inputs.

    Many files are read by several tasks. Where their rows depend on each other (ids that occur twice, columns that differ) or something is
    wrong with one, all are read in order instead: what a row becomes, and what is reported, is the same either way.

    Raises ConfigError for bad input, and for a split without rows.
    """
    folder = root() / "read" / key
    if (cached := _cached(folder)) is not None:
        return cached
    reading = _in_parts(source, folder, kind, engine) or _in_order(source, folder, kind)
    _refuse_empty(reading.splits, reading.funnel)
    write_bytes(folder / _INDEX, json.dumps(_plain(reading, folder), ensure_ascii=False, default=str).encode())
    return reading


def _in_order(source: Source, folder: Path, kind: str) -> Reading:
    raw = source.read(kind)
    splits = {split: list(write_shards(folder, split, _tables(chunks))) for split, chunks in raw.splits.items()}
    return Reading(splits, raw.source, raw.license, raw.label_names, raw.funnel, raw.unmapped, raw.rejected)


def _in_parts(source: Source, folder: Path, kind: str, engine: Engine) -> Reading | None:
    """None: there is one part, or the parts cannot be read independently."""
    parts = source.parts(shards_module.SHARD_BYTES) if isinstance(source, Divisible) else []
    if len(parts) < 2:
        return None
    specs: list[dict[str, Any]] = [
        {"name": f"files {number}", "source": part, "kind": kind, "output": relative(folder / f"part-{number:05d}")}
        for number, (_, part) in enumerate(parts)
    ]
    try:
        facts = run_tasks(engine, read_part, specs, [shards_module.SHARD_BYTES] * len(specs), "reading")
    except ConfigError:
        return None
    readings = [_reading(absolute(spec["output"]), each) for spec, each in zip(specs, facts, strict=True)]
    splits: dict[str, list[Shard]] = {}
    sources: dict[str, str] = {}
    for reading in readings:
        for split, shards in reading.splits.items():
            splits.setdefault(split, []).extend(shards)
            sources[split] = reading.source
    if not _independent(splits):
        return None
    rejected = [row for split in splits for row in _limited([r for each in readings for r in each.rejected if r["split"] == split])]
    funnel = [entry for reading in readings for entry in reading.funnel]
    return replace(readings[0], splits=splits, source=", ".join(sources.values()), funnel=_summed(funnel), rejected=rejected)


def read_part(spec: dict[str, Any]) -> None:
    """A task: read some files, and write their rows as shards."""

    def write(folder: Path) -> dict[str, Any]:
        return _plain(_in_order(spec["source"], folder, spec["kind"]), folder)

    Folder(absolute(spec["output"])).make(write)


def _plain(reading: Reading, folder: Path) -> dict[str, Any]:
    """As JSON; files are named relative to the folder."""
    splits = {
        split: [[shard.path.relative_to(folder).as_posix(), shard.key, shard.rows, shard.bytes] for shard in shards]
        for split, shards in reading.splits.items()
    }
    return vars(reading) | {"splits": splits}


def _reading(folder: Path, facts: Mapping[str, Any]) -> Reading:
    """What was written of shards in a folder."""
    splits = {split: [Shard(split, folder / name, *more) for name, *more in shards] for split, shards in facts["splits"].items()}
    return Reading(splits, **{name: facts[name] for name in ("source", "license", "label_names", "funnel", "unmapped", "rejected")})


def _independent(splits: Mapping[str, Sequence[Shard]]) -> bool:
    """Whether no id occurs twice, and all rows of a split have the same columns."""
    import pyarrow
    import pyarrow.compute as pc

    tables = {split: [read_arrow(shard.path) for shard in shards] for split, shards in splits.items()}
    if any(len({tuple(table.column_names) for table in of_split}) > 1 for of_split in tables.values()):
        return False
    ids = pyarrow.chunked_array([chunk for of_split in tables.values() for table in of_split for chunk in table.column("id").chunks])
    return bool(pc.count_distinct(ids).as_py() == len(ids))


def _limited(rejected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many as reading in order would list, and as many with their text."""
    return [row if number < WITH_TEXT else row | {"text": ""} for number, row in enumerate(rejected[:LISTED])]


def _summed(funnel: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each split."""
    entries: dict[str, dict[str, Any]] = {}
    for entry in funnel:
        total = entries.setdefault(entry["split"], entry | {"rows_in": 0, "rows_out": 0, "reasons": {}})
        for key in ("rows_in", "rows_out"):
            total[key] += entry[key]
        total["reasons"] = dict(sorted((Counter(total["reasons"]) + Counter(entry["reasons"])).items()))
    return list(entries.values())


def _tables(chunks: Iterable[Rows]) -> Iterator[Any]:
    return (to_table(rows) for rows in chunks if len(rows))


def _cached(folder: Path) -> Reading | None:
    try:
        reading = _reading(folder, json.loads((folder / _INDEX).read_text(encoding="utf-8")))
        whole = all(shard.path.is_file() for shards in reading.splits.values() for shard in shards)
        return reading if whole else None
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
    opened_splits = {}
    for split, shards in splits.items():
        tables = []
        for number, shard in enumerate(shards):
            path = folder / f"{split}-{number:05d}.arrow"
            if shard.deltas:
                write_arrow(path, shard.table())
            tables.append(read_arrow(path if shard.deltas else shard.path))
        rows = from_tables(tables)
        numbers = [np.concatenate([table.column(f"score:{name}").to_numpy() for table in tables]) for name in clusters if tables]
        opened_splits[split] = held_together(rows, numbers) if numbers else rows
    return opened_splits
