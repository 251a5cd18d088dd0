"""The rows of a split as its data has them, a column at a time: what a task needs beside the numbers that evaluation keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import Dataset as Table

VERSION = "1"


class Examples(Mapping[str, Sequence[Any]]):
    """Columns of a split by name, each read when it is first needed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns: dict[str, Sequence[Any]] = {}

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._columns:
            if name not in self._table.column_names:
                raise KeyError(name)
            self._columns[name] = list(self._table[name][:])
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._table.column_names)


class Taken(Mapping[str, Sequence[Any]]):
    """Some rows of columns, in a given order."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> None:
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> Sequence[Any]:
        column = self._columns[name]
        return [column[row] for row in self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._columns)
