"""`Rows`: the examples of one split while they are being prepared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.data.texts import Texts

SPLITS = ("train", "validation", "test")
# url: address or file; source: which collection; time: ISO 8601; license: as stated by the source.
PROVENANCE = ("url", "source", "time", "license")


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, one entry for each example.

    id: unique, and the same whatever is cleaned, carved or limited.
    label: a name (class), a list of names (classes, tags), a float (number) or a text; after encoding, indices in place of names.
    line: where the row stands in `file`, for messages: its line, or its row where a format has no lines (`unit` says which).
    provenance: where each row comes from, as far as the source knows it: columns named by PROVENANCE.
    files: the file of each row, where there are several. Ids and texts may be `Texts`, which are in mapped files.
    weight: how much each row counts in training; their mean is 1. None: all alike.
    soft: probabilities of the classes, to train on in place of the label; by class index once labels are encoded. None: the label alone.
    """

    id: Sequence[str]
    text: Sequence[str]
    text_pair: Sequence[str] | None
    label: list[Any]
    group: list[str] | None
    line: Sequence[int]
    file: str
    unit: str = "line"
    provenance: dict[str, list[str | None]] | None = None
    files: Sequence[str] | None = None
    weight: list[float] | None = None
    soft: list[list[float]] | None = None

    def __len__(self) -> int:
        return len(self.id)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Rows:
        """These rows, in this order."""
        return replace(
            self,
            id=_taken(self.id, indices),
            text=_taken(self.text, indices),
            text_pair=None if self.text_pair is None else _taken(self.text_pair, indices),
            label=[self.label[i] for i in indices],
            group=None if self.group is None else [self.group[i] for i in indices],
            line=self.line[np.asarray(indices, dtype=np.int64)] if isinstance(self.line, np.ndarray) else [self.line[i] for i in indices],
            provenance=None if self.provenance is None else {name: [cells[i] for i in indices] for name, cells in self.provenance.items()},
            files=None if self.files is None else [self.files[i] for i in indices],
            weight=None if self.weight is None else [self.weight[i] for i in indices],
            soft=None if self.soft is None else [self.soft[i] for i in indices],
        )

    def place(self, index: int) -> str:
        """Where a row stands, as the user is told."""
        return f"{self.files[index] if self.files else self.file}, {self.unit} {self.line[index]}"

    def sha256(self) -> str:
        """Hash of ids, texts, labels, groups and (where there are any) weights and soft labels, in this order; not of where they stood."""
        digest = hashlib.sha256()
        nothing = [None] * len(self)
        more = [column for column in (self.weight, self.soft) if column is not None]
        columns = zip(self.id, self.text, self.text_pair or nothing, self.label, self.group or nothing, *more, strict=True)
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        for row in columns:
            digest.update(encode(row).encode())
            digest.update(b"\n")
        return digest.hexdigest()


def _taken(texts: Sequence[str], indices: Sequence[int] | NDArray[np.int64]) -> Sequence[str]:
    return texts.take(indices) if isinstance(texts, Texts) else [texts[i] for i in indices]


def to_table(rows: Rows) -> Any:
    """Rows as a pyarrow table, as shards hold them: labels as JSON, provenance in columns `from:NAME`."""
    import pyarrow

    text, name = pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    columns = {"id": pyarrow.array(rows.id, text), "text": pyarrow.array(rows.text, text)}
    if rows.text_pair is not None:
        columns["text_pair"] = pyarrow.array(rows.text_pair, text)
    columns["label"] = pyarrow.array([json.dumps(label, ensure_ascii=False) for label in rows.label], text)
    if rows.group is not None:
        columns["group"] = pyarrow.array(rows.group, text)
    columns["line"] = pyarrow.array(rows.line, pyarrow.int64())
    columns["file"] = pyarrow.array(rows.files or [rows.file] * len(rows), name)
    columns["unit"] = pyarrow.array([rows.unit] * len(rows), name)
    for key, cells in (rows.provenance or {}).items():
        columns[f"from:{key}"] = pyarrow.array(cells, text)
    return pyarrow.table(columns)


def from_tables(tables: Sequence[Any]) -> Rows:
    """The rows of tables as `to_table` makes them; texts stay where they are."""
    import pyarrow

    if not tables:
        return Rows([], [], None, [], None, [], "")
    table = pyarrow.concat_tables(tables, promote_options="default")
    column = {name: table.column(name) for name in table.column_names}
    files = _cells(column["file"])
    provenance = {name.removeprefix("from:"): _cells(cells) for name, cells in column.items() if name.startswith("from:")}
    return Rows(
        Texts(column["id"].chunks),
        Texts(column["text"].chunks),
        Texts(column["text_pair"].chunks) if "text_pair" in column else None,
        _cells(column["label"], json.loads),
        [cell or "" for cell in _cells(column["group"])] if "group" in column else None,
        column["line"].to_numpy(),
        files[0] if files else "",
        column["unit"][0].as_py() if files else "line",
        provenance or None,
        files if len(set(files)) > 1 else None,
    )


def _cells(column: Any, read: Callable[[str], Any] | None = None) -> list[Any]:
    """The cells of a pyarrow column of strings as Python objects, equal ones of a chunk as one object. read: makes them of strings."""
    import pyarrow

    decoded: list[Any] = []
    for chunk in column.chunks:
        coded = chunk if isinstance(chunk, pyarrow.DictionaryArray) else chunk.dictionary_encode()
        values = coded.dictionary.to_pylist()
        values = [*(map(read, values) if read else values), None]
        decoded += map(values.__getitem__, coded.indices.fill_null(len(values) - 1).to_pylist())
    return decoded
