"""A table's columns become ids, texts, labels and groups; every cell that cannot is told with its place."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from finecomb.config.errors import Problem, UserError, nearest
from finecomb.config.schema.dataset import Columns
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.table import Table


def to_rows(
    tables: Mapping[str, Table],
    columns: Columns,
    kind: str,
    *,
    separator: str,
    aliases: Mapping[str, Sequence[str]] | None = None,
    unlabelled: bool = False,
) -> dict[str, Rows]:
    """Rows of each split. Raises UserError with the problems of all splits at once.

    kind: what a label becomes: "class" a name, "classes" a list of names, "number" a float; "none": nothing, no label is read.
    separator: between several labels in one cell. aliases: other names for a column; the first that exists is used.
    unlabelled: no label column is asked for, and labels are None.
    """
    problems: list[Problem] = []
    splits = {}
    if kind == "none":
        columns, unlabelled = replace(columns, label=None), True
    for split, table in tables.items():
        named, missing = _named(table, columns, aliases or {}, unlabelled=unlabelled)
        if missing:
            problems += missing
            continue
        rows, wrong = _rows(split, table, named, kind, separator)
        problems += wrong
        splits[split] = rows
    if problems:
        raise UserError(problems)
    return _unique(splits)


def _named(
    table: Table, columns: Columns, aliases: Mapping[str, Sequence[str]], *, unlabelled: bool
) -> tuple[dict[str, str], list[Problem]]:
    """Which of the table's columns is what, and a problem for each that is not there."""
    separator = next((mark for mark in ";\t|" if mark in table.names[0]), None) if len(table.names) == 1 else None
    if separator is not None:
        return {}, [_other_separator(table, separator)]
    found, problems = {}, []
    for role in ("text", "text_pair", "label", "id", "group"):
        name = getattr(columns, role)
        if name is None:
            continue
        known = next((other for other in (name, *aliases.get(name, ())) if other in table.names), None)
        if known is not None:
            found[role] = known
            continue
        near = nearest(name, table.names)
        listed = ", ".join(table.names[:30])
        mend = f"set dataset.columns.{role}={near or 'NAME'}"
        problems.append(
            Problem(f"no column {name!r} in {table.file}", f"dataset.columns.{role}", allowed=f"its columns: {listed}", mend=mend)
        )
    if "label" not in found and not problems and not unlabelled:
        problems.append(Problem("no column is named as the label", "dataset.columns.label=null", allowed=", ".join(table.names[:30])))
    return found, problems


def _other_separator(table: Table, separator: str) -> Problem:
    mend = "set dataset.format=tsv" if separator == "\t" else "write the file with commas, or with tabs and dataset.format=tsv"
    what = f"{table.file} has one column, {table.names[0]!r}: its cells seem to be separated by {separator!r}"
    return Problem(what, table.file, "commas in CSV, tabs in TSV", mend)


def _rows(split: str, table: Table, named: dict[str, str], kind: str, separator: str) -> tuple[Rows, list[Problem]]:
    texts, problems = _texts(table, named["text"], "text")
    pairs = None
    if "text_pair" in named:
        pairs, more = _texts(table, named["text_pair"], "text_pair")
        problems += more
    labels: list[Any] = [None] * len(table)
    if "label" in named:
        labels, more = _labels(table, named["label"], kind, separator)
        problems += more
    ids = [f"{split}:{row}" for row in range(len(table))]
    if "id" in named:
        ids, more = _ids(table, named["id"])
        problems += more
    groups = [_plain(cell) or "" for cell in table.column(named["group"])] if "group" in named else None
    return Rows(ids, texts, pairs, labels, groups, table.line, table.file, table.unit), problems


def _texts(table: Table, name: str, role: str) -> tuple[list[str], list[Problem]]:
    """The cells as text; a missing one is an empty text, which the cleaner judges and counts."""
    cells = table.column(name)
    other = next((row for row, cell in enumerate(cells) if cell is not None and not isinstance(cell, str)), None)
    mend = f"name the column that holds the text: dataset.columns.{role}=NAME"
    columns = ", ".join(table.names[:30])
    if other is not None:
        kind = type(cells[other]).__name__
        return [], [Problem(f"column {name!r} holds {kind}, not text", table.place(other), allowed=f"its columns: {columns}", mend=mend)]
    texts = [cell or "" for cell in cells]
    filled = [text for text in texts if text.strip()]
    if filled and all(_number(text) is not None for text in filled):
        return [], [Problem(f"column {name!r} holds numbers, not text", table.place(0), allowed=f"its columns: {columns}", mend=mend)]
    broken = next((row for row, text in enumerate(texts) if not _encodable(text)), None)
    if broken is not None:
        return [], [Problem(f"half of a surrogate pair in column {name!r}: no text in any encoding", table.place(broken))]
    return texts, []


def _labels(table: Table, name: str, kind: str, separator: str) -> tuple[list[Any], list[Problem]]:
    cells = table.column(name)
    read = {"class": _plain, "number": _number, "classes": lambda cell: _several(cell, separator)}[kind]
    labels = [read(cell) for cell in cells]
    wrong = [row for row, label in enumerate(labels) if label is None or label == ""]
    if not wrong:
        return labels, []
    row = wrong[0]
    missing = cells[row] is None or cells[row] == ""
    wanted = {"class": "a label", "number": "a number", "classes": f"labels separated by {separator!r}, or a list"}[kind]
    what = f"{len(wrong):,} of {len(cells):,} rows: the label {'is missing' if missing else f'{cells[row]!r} is not {wanted}'}"
    mend = "fill or remove these rows" + ("; or use task=sequence_classification" if kind == "number" and not missing else "")
    return labels, [Problem(what, f"first {table.place(row)}, column {name!r}", allowed=wanted, mend=mend)]


def _plain(cell: Any) -> str | None:
    """A cell as a name: 1.0 is "1", true is "true"; a missing one is None."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        if not math.isfinite(cell):
            return None
        return str(int(cell)) if cell.is_integer() else repr(cell)
    if cell is None or isinstance(cell, list | dict):
        return None
    return str(cell).strip()


def _number(cell: Any) -> float | None:
    if cell is None or isinstance(cell, bool | list | dict):
        return None
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _several(cell: Any, separator: str) -> list[str] | None:
    """Several labels: a list, a JSON list in text, or names between separators. An empty text is a row without any."""
    if isinstance(cell, str):
        if cell.lstrip().startswith("["):
            try:
                cell = json.loads(cell)
            except json.JSONDecodeError:
                return None
        else:
            cell = [name.strip() for name in cell.split(separator) if name.strip()]
    elif isinstance(cell, int | bool):
        cell = [cell]
    if not isinstance(cell, list):
        return None
    names = [_plain(name) for name in cell]
    return sorted({name for name in names if name}) if all(names) else None


def _ids(table: Table, name: str) -> tuple[list[str], list[Problem]]:
    ids = [_plain(cell) or "" for cell in table.column(name)]
    problems = []
    if "" in ids:
        problems.append(Problem(f"an id is missing in column {name!r}", table.place(ids.index("")), mend="or set dataset.columns.id=null"))
    twice = [identifier for identifier, count in Counter(ids).items() if count > 1 and identifier]
    if twice:
        second = [row for row, identifier in enumerate(ids) if identifier == twice[0]][1]
        what = f"{len(twice):,} ids occur more than once in column {name!r}, such as {twice[0]!r}"
        problems.append(Problem(what, table.place(second), mend="make them unique, or set dataset.columns.id=null"))
    return ids, problems


def _unique(splits: dict[str, Rows]) -> dict[str, Rows]:
    """Ids that occur in two splits, as in files that each count from 0, get the split's name in front, in every split."""
    if len({identifier for rows in splits.values() for identifier in rows.id}) == sum(map(len, splits.values())):
        return splits
    return {split: replace(rows, id=[f"{split}:{identifier}" for identifier in rows.id]) for split, rows in splits.items()}


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
