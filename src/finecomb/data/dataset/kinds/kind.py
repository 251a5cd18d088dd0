"""What a kind of label is to the reading of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Cells = Mapping[str, Sequence[Any]]
"""The cells of each role's column, one for each row; a role that the file lacks is absent."""
Fault = Callable[[int, str, str, str], None]
"""(row, reason of `broken`, detail, what to show of the row): the row cannot be used and is counted."""


@dataclass(frozen=True)
class Read:
    """Columns of rows as they were read; a row with a fault may hold anything.

    group: What splits must not divide where no column of groups is named.
    """

    text: list[str]
    label: list[Any]
    text_pair: list[str] | None = None
    group: list[str] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of label with columns of its own.

    Attributes:
        roles: Sets of columns of which the file must have one, the usual one first; names are those of `dataset.columns`.
        read: From cells to rows.
        optional: Columns that are read where the file has them.
        defaults: Column by role (id, group) that is read where the file has it and `dataset.columns` names none.
    """

    roles: tuple[tuple[str, ...], ...]
    read: Callable[[Cells, Fault], Read]
    optional: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
