"""Prepared data on disk: rows and their manifest in a folder, written at once or not at all, checked when opened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finecomb.assets import hash_file, lock, room_on_disk
from finecomb.assets.cache import PREPARED, mark_used, remove, staging
from finecomb.core.errors import ConfigError
from finecomb.data.dataset.manifest import FORMAT, MANIFEST, NAMES_OF_FORMAT_1, Manifest, damaged
from finecomb.data.dataset.rows import PROVENANCE, Rows
from finecomb.data.texts import Texts, pieces

# Rows as training maps them are in `datasets` folders of the cache; a folder that was delivered has them as Parquet.
_ARROW, _DATA = "dataset_dict.json", "data-00000-of-00001.arrow"


@dataclass(frozen=True)
class PreparedFolder:
    """Data that is ready to train on.

    directory: the folder that was named, with manifest.json. arrow: the `datasets.DatasetDict` of its rows, which is in the cache where the
    folder itself holds Parquet files.
    """

    directory: Path
    manifest: Manifest
    arrow: Path

    @property
    def key(self) -> str:
        """See `Manifest`."""
        return self.manifest.key

    @property
    def content_hash(self) -> str:
        """See `Manifest`."""
        return self.manifest.content_hash

    @property
    def columns(self) -> list[str]:
        """See `Manifest`."""
        return self.manifest.columns

    @property
    def label_kind(self) -> str:
        """See `Manifest`."""
        return self.manifest.label_kind

    @property
    def label_names(self) -> list[str] | None:
        """See `Manifest`."""
        return self.manifest.label_names

    def load(self) -> Any:
        """The rows: a `datasets.DatasetDict` with train, validation and perhaps test, memory-mapped."""
        from datasets import load_from_disk

        return load_from_disk(str(self.arrow))

    def files(self, split: str) -> list[Path]:
        """The Arrow stream files that hold the rows of a split, in order."""
        return sorted((self.arrow / split).glob("*.arrow"))


def content_hash(hashes: Mapping[str, str], kind: str, names: list[str] | None) -> str:
    """Hash of what is trained on: rows of each split in order (`Rows.sha256`), kind of label, names of the classes."""
    facts = {"kind": kind, "names": names, "splits": dict(hashes)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def write(target: Path, splits: Mapping[str, Rows], manifest: Manifest, beside: Mapping[str, Iterable[Any]] | None = None) -> None:
    """Write rows and manifest to a new directory `target`; it appears complete or not at all.

    beside: other tables by file name, each in one or several parts.
    """
    kind = manifest.label_kind
    tables = {name: _Table(list(_columns(rows, kind)), _parts(_columns(rows, kind))) for name, rows in splits.items()}
    _write(target, tables, manifest, _size(splits), beside or {})


@dataclass(frozen=True)
class _Table:
    """One split: the names of its columns, and its cells, some rows at a time."""

    names: list[str]
    parts: Iterator[dict[str, Any]]


def _parts(columns: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return ({name: cells[at.start : at.stop] for name, cells in columns.items()} for at in pieces(columns["text"]))


def _write(target: Path, splits: Mapping[str, _Table], manifest: Manifest, size: int, beside: Mapping[str, Iterable[Any]]) -> None:
    with staging() as stage, room_on_disk(target.parent, size):
        folder = stage / "prepared"
        stored = {}
        for name, table in splits.items():
            file = folder / name / _DATA
            stored[f"{name}/{_DATA}"] = _write_arrow(file, table, manifest.label_kind)
        (folder / _ARROW).write_text(json.dumps({"splits": list(splits)}), encoding="utf-8")
        for name, parts in beside.items():
            write_parquet(folder / name, parts)
        replace(manifest, stored=stored, format=FORMAT).write(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            remove(target)
        os.replace(folder, target)


def _write_arrow(file: Path, table: _Table, kind: str) -> str:
    """Write the rows as `datasets` saves them, each part once (the library itself would write a mapped table a second time).

    Returns the file's hash.
    """
    import pyarrow

    file.parent.mkdir(parents=True)
    features = _features(table.names, kind)
    with pyarrow.OSFile(str(file), "wb") as sink, pyarrow.ipc.new_stream(sink, features.arrow_schema) as writer:
        for part in table.parts:
            writer.write_table(pyarrow.table(part, schema=features.arrow_schema))
    digest = hash_file(file)
    # A fingerprint that `datasets` makes itself is of the path and the time.
    state: dict[str, Any] = {
        "_data_files": [{"filename": file.name}], "_fingerprint": digest[:16], "_format_columns": None, "_format_kwargs": {},
        "_format_type": None, "_output_all_columns": False, "_split": None,
    }  # fmt: skip
    info = {"citation": "", "description": "", "features": features.to_dict(), "homepage": "", "license": ""}
    for name, content in (("state.json", state), ("dataset_info.json", info)):
        (file.parent / name).write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")
    return digest


def open_prepared(directory: Path) -> PreparedFolder:
    """Open a prepared folder. Raises ConfigError when it is none, or when a file of it is not what was written."""
    manifest = Manifest.read(directory)
    wrong = [name for name, digest in manifest.stored.items() if not _is(directory / name, digest)]
    if wrong:
        raise ConfigError([damaged(directory / name) for name in wrong])
    arrow = directory if (directory / _ARROW).is_file() else _mapped_rows(directory, manifest)
    return PreparedFolder(directory, manifest, arrow)


def _mapped_rows(directory: Path, manifest: Manifest) -> Path:
    """The rows of a delivered folder as training maps them: where they were prepared here they are in the cache, else they are made."""
    for key in (manifest.key, manifest.content_hash[:32]):
        folder = PREPARED.path(key)
        with lock(key):
            if key and _has(folder, manifest):
                mark_used(folder / MANIFEST)
                return folder
            if key == manifest.content_hash[:32]:
                splits = {split: directory / f"{split}.parquet" for split in manifest.rows}
                size = sum(path.stat().st_size for path in splits.values())
                _write(folder, {split: _of_parquet(path, manifest) for split, path in splits.items()}, manifest, size, {})
    return folder


def _has(folder: Path, manifest: Manifest) -> bool:
    """Whether a folder of the cache holds the same rows, undamaged."""
    try:
        cached = Manifest.read(folder)
    except ConfigError:
        return False
    return cached.content_hash == manifest.content_hash and all(_is(folder / name, digest) for name, digest in cached.stored.items())


def _of_parquet(path: Path, manifest: Manifest) -> _Table:
    """The rows that delivery wrote, with the numbers of classes in place of their names."""
    import pyarrow.parquet

    numbers = {name: number for number, name in enumerate(manifest.label_names or ())}

    def encoded(label: Any) -> Any:
        return [numbers[each] for each in label] if isinstance(label, list) else numbers[label]

    def parts() -> Iterator[dict[str, Any]]:
        with pyarrow.parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                part = {name: table[name].combine_chunks() for name in table.column_names}
                yield part | ({"label": list(map(encoded, part["label"].to_pylist()))} if numbers and "label" in part else {})

    return _Table(pyarrow.parquet.read_schema(path).names, parts())


def read_rows(prepared: PreparedFolder) -> dict[str, Rows]:
    """The rows of every split; texts stay in their mapped files."""
    splits = {}
    for split, table in prepared.load().items():
        text = {c: Texts(table.data.column(c).chunks) for c in ("id", "text", "text_pair") if c in table.column_names}
        cells = {NAMES_OF_FORMAT_1.get(name, name): table[name][:] for name in table.column_names if name not in text}
        splits[split] = _rows(split, text, cells.get("label", [None] * len(table)), cells)
    return splits


def _rows(split: str, text: Mapping[str, Texts], label: list[Any], cells: Mapping[str, list[Any]]) -> Rows:
    provenance = {name: cells[name] for name in PROVENANCE if name in cells} or None
    return Rows(
        text["id"], text["text"], text.get("text_pair"), label, cells.get("group"), range(len(label)), split, "row", provenance,
        weight=cells.get("weight"), soft=cells.get("soft"),
    )  # fmt: skip


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and hash_file(file) == digest


def _size(splits: Mapping[str, Rows]) -> int:
    """About how many bytes the rows need."""
    columns = [column for rows in splits.values() for column in (rows.text, rows.text_pair or [], rows.id)]
    bytes_ = sum(column.bytes if isinstance(column, Texts) else sum(map(len, column)) for column in columns)
    return bytes_ + 8 * sum(map(len, columns)) + 64 * 1024


def _columns(rows: Rows, kind: str) -> dict[str, Sequence[Any]]:
    label = None if kind == "none" else rows.label
    columns = {"id": rows.id, "text": rows.text, "text_pair": rows.text_pair, "label": label, "group": rows.group, "weight": rows.weight}
    columns |= {"soft": rows.soft, **(rows.provenance or {})}
    return {name: column for name, column in columns.items() if column is not None}


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


def _features(names: Iterable[str], kind: str) -> Any:
    import datasets

    text, number, index = datasets.Value("string"), datasets.Value("float64"), datasets.Value("int64")
    label = {"number": number, "class": index, "classes": datasets.List(index), "tags": datasets.List(index), "none": None}.get(kind, text)
    types = {"id": text, "text": text, "text_pair": text, "label": label, "group": text, "weight": number, "soft": datasets.List(number)}
    types |= dict.fromkeys(PROVENANCE, text)
    return datasets.Features({name: types[name] for name in names})
