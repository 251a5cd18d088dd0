"""A table's columns become ids, texts, labels and groups; a row with a cell that cannot is left out and told with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from finecomb.config.schema.dataset import Columns
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.dataset.broken import LABEL, NO_ID, NO_LABEL, NO_TEXT, SAME_ID, SHOWN, SURROGATE, Broken
from finecomb.data.dataset.formats.piece import Table
from finecomb.data.dataset.kinds import KINDS, Read
from finecomb.data.dataset.rows import Rows


def needed(
    names: list[str], columns: Columns, file: str, kind: str, *, aliases: Mapping[str, Sequence[str]] | None = None
) -> dict[str, str]:
    """Which of a file's columns is what: role -> name. Raises ConfigError for each that is not there.

    kind: what a label becomes: "class" a name, "classes" a list of names, "number" a float; "none": nothing, no label is read.
    aliases: other names for a column; the first that exists is used.
    """
    separator = next((mark for mark in ";\t|" if mark in names[0]), None) if len(names) == 1 else None
    if separator is not None:
        raise ConfigError(_other_separator(names[0], file, separator))

    def known_as(name: str) -> str | None:
        return next((other for other in (name, *(aliases or {}).get(name, ())) if other in names), None)

    chosen, problems = {}, []
    for role in (*_roles(kind, columns, known_as), "id", "group"):
        # A role without a key of its own names a column.
        name = getattr(columns, role, role) or _default(role, kind, names)
        if name is None:
            continue
        known = known_as(name)
        if known is not None:
            chosen[role] = known
            continue
        if kind in KINDS and role in KINDS[kind].optional:
            continue
        near = nearest(name, names)
        listed = ", ".join(names[:30])
        hint = f"set dataset.columns.{role}={near or 'NAME'}"
        problems.append(Problem(f"no column {name!r} in {file}", f"dataset.columns.{role}", allowed=f"its columns: {listed}", hint=hint))
    if problems:
        raise ConfigError(problems)
    return chosen


def _roles(kind: str, columns: Columns, known_as: Callable[[str], str | None]) -> tuple[str, ...]:
    """The columns of which rows of a kind are made: of several sets the first of which the file has every column, else the usual one."""
    if kind not in KINDS:
        return ("text", "text_pair") if kind == "none" else ("text", "text_pair", "label")
    sets = KINDS[kind].roles
    chosen = next((roles for roles in sets if all(known_as(getattr(columns, role, role)) for role in roles)), sets[0])
    return (*chosen, *KINDS[kind].optional)


def _default(role: str, kind: str, names: Sequence[str]) -> str | None:
    name = KINDS[kind].defaults.get(role) if kind in KINDS else None
    return name if name in names else None


def _other_separator(name: str, file: str, separator: str) -> Problem:
    hint = "set dataset.format=tsv" if separator == "\t" else "write the file with commas, or with tabs and dataset.format=tsv"
    what = f"{file} has one column, {name!r}: its cells seem to be separated by {separator!r}"
    return Problem(what, file, "commas in CSV, tabs in TSV", hint)


def to_rows(
    table: Table,
    named: Mapping[str, str],
    kind: str,
    separator: str,
    ids: Sequence[str],
    seen: set[str] | None,
    *,
    unlabeled: bool = False,
) -> tuple[Rows, list[Broken]]:
    """The rows of a table, and those that cannot be used. A missing text is an empty one, which the cleaner judges and counts.

    named: role -> column. separator: between several labels in one cell. ids: names of the rows where no column holds ids.
    seen: ids of the split so far, which grows; None: ids need no check. unlabeled: a row whose label is empty has the label None.
    """
    broken: dict[int, Broken] = {}
    groups: list[str] | None = None
    if kind in KINDS:
        read = _of_kind(table, named, kind, broken)
        texts, pairs, labels, groups = read.text, read.text_pair, read.label, read.group
    else:
        texts = _texts(table, named["text"], broken)
        pairs = _texts(table, named["text_pair"], broken) if "text_pair" in named else None
        labels = _labels(table, named["label"], kind, separator, broken, unlabeled) if "label" in named else [None] * len(table)
    if "group" in named:
        groups = [_plain(cell) or "" for cell in table.column(named["group"])]
    if "id" in named:
        ids = [_plain(cell) or "" for cell in table.column(named["id"])]
    if seen is not None:
        _fresh(table, list(ids), seen, named.get("id", ""), broken)
    rows = Rows(list(ids), texts, pairs, labels, groups, table.line, table.file, table.unit)
    if broken:
        rows = rows.take([row for row in range(len(table)) if row not in broken])
    return rows, [broken[row] for row in sorted(broken)]


def _of_kind(table: Table, named: Mapping[str, str], kind: str, broken: dict[int, Broken]) -> Read:
    """Texts, second texts and labels of a kind that has columns of its own."""

    def fault(row: int, reason: str, detail: str, shown: str) -> None:
        broken.setdefault(row, Broken(table.line[row], reason, detail, shown))

    read = KINDS[kind].read({role: table.column(name) for role, name in named.items()}, fault)
    for row, cells in enumerate(zip(read.text, read.text_pair or read.text, read.label, strict=True)):
        if not _encodable("".join(str(cell) for cell in cells)):
            fault(row, SURROGATE, "half of a surrogate pair: no text in any encoding", cells[0])
    return read


def _texts(table: Table, name: str, broken: dict[int, Broken]) -> list[str]:
    cells = table.column(name)
    texts: list[str] = []
    for row, cell in enumerate(cells):
        if cell is None or isinstance(cell, str):
            texts.append(cell or "")
        else:
            detail = f"column {name!r} holds {type(cell).__name__}, not text"
            broken.setdefault(row, Broken(table.line[row], NO_TEXT, detail, str(cell)[:SHOWN]))
            texts.append("")
    if not _encodable("".join(texts)):
        for row, text in enumerate(texts):
            if not _encodable(text):
                detail = f"half of a surrogate pair in column {name!r}: no text in any encoding"
                broken.setdefault(row, Broken(table.line[row], SURROGATE, detail, text))
    return texts


def refuse_numbers(rows: Rows, name: str) -> None:
    """Raise ConfigError where every text is a number: then another column is the text."""
    filled = [row for row, text in enumerate(rows.text) if text.strip()]
    if filled and all(_number(rows.text[row]) is not None for row in filled):
        hint = "name the column that holds the text: dataset.columns.text=NAME"
        raise ConfigError(Problem(f"column {name!r} holds numbers, not text", rows.place(0), hint=hint))


def _labels(table: Table, name: str, kind: str, separator: str, broken: dict[int, Broken], unlabeled: bool) -> list[Any]:
    cells = table.column(name)
    read = {"class": _plain, "number": _number, "classes": lambda cell: _several(cell, separator)}[kind]
    labels = [read(cell) for cell in cells]
    wanted = {"class": "a label", "number": "a number", "classes": f"labels separated by {separator!r}, or a list"}[kind]
    for row, label in enumerate(labels):
        if label is None or label == "":
            cell = cells[row]
            missing = cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
            if missing and unlabeled:
                labels[row] = None
                continue
            reason, detail = (NO_LABEL, "") if missing else (LABEL, f"the label {str(cell)[:100]!r} is not {wanted}")
            broken.setdefault(row, Broken(table.line[row], reason, detail, str(cell or "")))
    return labels


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


def _fresh(table: Table, ids: list[str], seen: set[str], name: str, broken: dict[int, Broken]) -> None:
    """Reject rows without an id, and those whose id stood before."""
    for row, identifier in enumerate(ids):
        if not identifier:
            broken.setdefault(row, Broken(table.line[row], NO_ID, f"an id is missing in column {name!r}"))
        elif identifier in seen:
            broken.setdefault(row, Broken(table.line[row], SAME_ID, f"the id {identifier!r} in column {name!r} occurs more than once"))
        elif row not in broken:
            seen.add(identifier)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
