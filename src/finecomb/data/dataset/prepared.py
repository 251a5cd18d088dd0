"""Prepared data on disk: a `datasets` folder with a manifest beside it, written at once or not at all, checked when opened."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.assets import hash_file, room_on_disk
from finecomb.assets.cache import staging
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.rows import PROVENANCE, Rows
from finecomb.data.texts import Texts, pieces

MANIFEST = "manifest.json"
# Entries of the manifest and columns of the rows under their name of format 1.
_NAMES_OF_FORMAT_1 = {"licence": "license"}
FORMAT = 2


@dataclass(frozen=True)
class PreparedFolder:
    """Data that is ready to train on.

    directory: holds the rows (a `datasets.DatasetDict`) and manifest.json. key: names it in the cache, "" outside it.
    content_hash: of all rows and label names; equal content gives equal hashes, wherever it comes from.
    label_kind: "class" (label is an index), "classes" (a list of indices), "number" (a float) or "none".
    """

    directory: Path
    key: str
    content_hash: str
    label_kind: str
    label_names: list[str] | None
    columns: list[str]
    manifest: dict[str, Any]

    def load(self) -> Any:
        """The rows: a `datasets.DatasetDict` with train, validation and perhaps test, memory-mapped."""
        from datasets import load_from_disk

        return load_from_disk(str(self.directory))


def content_hash(splits: dict[str, Rows], kind: str, names: list[str] | None) -> str:
    """Hash of what is trained on: rows of each split in order, kind of label, names of the classes."""
    facts = {"kind": kind, "names": names, "splits": {name: rows.sha256() for name, rows in splits.items()}}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write(target: Path, splits: dict[str, Rows], manifest: dict[str, Any], beside: Mapping[str, Iterable[Any]] | None = None) -> None:
    """Write rows and manifest to a new directory `target`; it appears complete or not at all.

    beside: other tables by file name, each in one or several parts.
    """
    import datasets

    kind = manifest["label_kind"]
    with staging() as stage, room_on_disk(target.parent, _size(splits)):
        folder = stage / "prepared"
        tables = {name: _mapped(rows, kind, _features(rows, kind).arrow_schema, stage / f"{name}.arrow") for name, rows in splits.items()}
        shown = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            datasets.DatasetDict(tables).save_to_disk(str(folder))
        finally:
            if not shown:
                datasets.enable_progress_bars()
        for name, parts in (beside or {}).items():
            write_parquet(folder / name, parts)
        stored = {file.relative_to(folder).as_posix(): hash_file(file) for file in sorted(folder.rglob("*.arrow"))}
        text = json.dumps(manifest | {"stored": stored, "format": FORMAT}, indent=1, ensure_ascii=False)
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)


def open_prepared(directory: Path) -> PreparedFolder:
    """Open a prepared folder. Raises ConfigError when it is none, or when a file of it is not what was written."""
    path = directory / MANIFEST
    if not path.is_file():
        raise ConfigError(Problem(
            f"{directory} is not a prepared dataset: it has no {MANIFEST}",
            "dataset.path",
            hint="name a folder that finecomb prepared; for other files use dataset=files dataset.files.train=FILE",
        ))  # fmt: skip
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        manifest |= {new: manifest.pop(old) for old, new in _NAMES_OF_FORMAT_1.items() if old in manifest}
        damaged = [name for name, digest in manifest["stored"].items() if not _is(directory / name, digest)]
        fields = {name: manifest[name] for name in ("key", "content_hash", "label_kind", "label_names", "columns")}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(_damaged(path)) from error
    if damaged:
        raise ConfigError([_damaged(directory / name) for name in damaged])
    return PreparedFolder(directory, **fields, manifest=manifest)


def read_rows(prepared: PreparedFolder) -> dict[str, Rows]:
    """The rows of every split; texts stay in their mapped files."""
    splits = {}
    for name, table in prepared.load().items():
        text = {c: Texts(table.data.column(c).chunks) for c in ("id", "text", "text_pair") if c in table.column_names}
        group = table["group"][:] if "group" in table.column_names else None
        line = range(len(table))
        label = table["label"][:] if "label" in table.column_names else [None] * len(table)
        weight = table["weight"][:] if "weight" in table.column_names else None
        soft = table["soft"][:] if "soft" in table.column_names else None
        stored = {_NAMES_OF_FORMAT_1.get(column, column): column for column in table.column_names}
        found = {column: table[stored[column]][:] for column in PROVENANCE if column in stored} or None
        splits[name] = Rows(
            text["id"], text["text"], text.get("text_pair"), label, group, line, name, "row", found, weight=weight, soft=soft
        )
    return splits


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and hash_file(file) == digest


def _damaged(file: Path) -> Problem:
    return Problem(f"{file.name} is damaged: it is not what was written", str(file), hint=f"remove {file.parent} and prepare again")


def _size(splits: dict[str, Rows]) -> int:
    """About how many bytes the rows need."""
    columns = [column for rows in splits.values() for column in (rows.text, rows.text_pair or [], rows.id)]
    bytes_ = sum(column.bytes if isinstance(column, Texts) else sum(map(len, column)) for column in columns)
    return bytes_ + 8 * sum(map(len, columns)) + 64 * 1024


def _columns(rows: Rows, kind: str) -> dict[str, Sequence[Any]]:
    label = None if kind == "none" else rows.label
    columns = {"id": rows.id, "text": rows.text, "text_pair": rows.text_pair, "label": label, "group": rows.group, "weight": rows.weight}
    columns |= {"soft": rows.soft, **(rows.provenance or {})}
    return {name: column for name, column in columns.items() if column is not None}


def _mapped(rows: Rows, kind: str, schema: Any, path: Path) -> Any:
    """The rows as `datasets` holds them, written a batch at a time and mapped: texts need not fit in memory."""
    import datasets
    import pyarrow
    from datasets.table import MemoryMappedTable

    columns = _columns(rows, kind)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, schema) as writer:
        for at in pieces(rows.text):
            part = {name: cells[at.start : at.stop] for name, cells in columns.items()}
            writer.write_table(pyarrow.table(part, schema=schema))
    # Left to itself `datasets` makes its fingerprint of the path and the time.
    return datasets.Dataset(MemoryMappedTable.from_file(str(path)), fingerprint=hash_file(path)[:16])


def write_parquet(path: Path, parts: Iterable[Any]) -> None:
    """One or several tables of the same columns as one Parquet file."""
    import pyarrow.parquet

    parts = iter(parts)
    first = next(parts)
    with pyarrow.parquet.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for part in parts:
            if len(part):
                writer.write_table(part.cast(first.schema))


def _features(rows: Rows, kind: str) -> Any:
    import datasets

    text, number, index = datasets.Value("string"), datasets.Value("float64"), datasets.Value("int64")
    label = {"number": number, "class": index, "classes": datasets.List(index), "none": None}[kind]
    types = {"id": text, "text": text, "text_pair": text, "label": label, "group": text, "weight": number, "soft": datasets.List(number)}
    types |= dict.fromkeys(PROVENANCE, text)
    return datasets.Features({name: types[name] for name in _columns(rows, kind)})
