"""What `finecomb predict` was asked: texts of the command line, of a file, or of standard input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.config.schema.dataset import Columns
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.core.paths import existing
from finecomb.data.dataset.formats.piece import Table
from finecomb.data.dataset.table import format_of, read_table

# The columns of texts and second texts, as keys of `dataset.columns`, by the kind of labels that have columns of their own.
_ROLES = {"answers": ("question", "context"), "target": ("source", None), "completion": ("prompt", None)}


@dataclass(frozen=True)
class Questions:
    """Texts to judge, with their second texts where they are pairs."""

    text: list[str]
    text_pair: list[str] | None = None


@dataclass(frozen=True)
class Form:
    """What a run takes: texts or pairs, and the columns that hold them.

    text, text_pair: name of the column as the run had it, if it had any, and its usual name; text_pair: None: single texts.
    """

    text: tuple[str | None, str]
    text_pair: tuple[str | None, str] | None


def form_of(columns: Columns, kind: str, *, pairs: bool) -> Form:
    """What a run takes whose labels are of a kind. columns: those of its dataset."""
    text, text_pair = _ROLES.get(kind, ("text", "text_pair"))
    named = [(getattr(columns, role), role) for role in (text, text_pair) if role is not None]
    return Form(named[0], named[1] if pairs else None)


def from_lines(lines: Sequence[tuple[int, str]], form: Form, where: str) -> Questions:
    """One text in each numbered line that is not empty; for pairs, two texts separated by a tab, or a JSON object with both columns.

    Raises ConfigError for a line that is no pair where pairs are wanted, and when there is no text at all.
    """
    filled = [(number, line) for number, line in lines if line.strip()]
    if not filled:
        raise ConfigError(Problem(f"{where} holds no text", hint="write one text in each line"))
    if form.text_pair is None:
        return Questions([line for _, line in filled])
    pairs = [_two(line, form.text, form.text_pair) for _, line in filled]
    alone = [number for (number, _), pair in zip(filled, pairs, strict=True) if pair is None]
    if alone:
        what = "a line must hold two texts separated by one tab, since the run judges pairs"
        example = json.dumps({form.text[0] or form.text[1]: "...", form.text_pair[0] or form.text_pair[1]: "..."})
        hint = f"or a JSON object such as {example}; or give a file with columns: .csv, .tsv or .jsonl"
        raise ConfigError(Problem(what, where=f"{where}, line {alone[0]}", hint=hint))
    both = [pair for pair in pairs if pair is not None]
    return Questions([first for first, _ in both], [second for _, second in both])


def _two(line: str, *columns: tuple[str | None, str]) -> tuple[str, str] | None:
    """The two texts of a line; None where it does not hold two."""
    if line.count("\t") == 1:
        first, _, second = line.partition("\t")
        return first, second
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return None
    text, text_pair = (next((item[name] for name in names if name in item), None) if isinstance(item, dict) else None for names in columns)
    return (text, text_pair) if isinstance(text, str) and isinstance(text_pair, str) else None


def from_file(path: Path, form: Form, *, text: str | None = None, text_pair: str | None = None) -> Questions:
    """Texts of a file, in its order: of a text file its lines, of any other its columns.

    text, text_pair: columns in place of those that the run had.

    Raises:
        ConfigError: the file or a column is missing, or a column holds no text.
    """
    path = existing(path, "the file to predict")
    format = format_of(path)
    table = read_table([path], format=format, encoding="utf-8", quotes="auto")
    if format == "text" and "label" not in table.names:
        return from_lines(list(zip(table.line, table.column("text"), strict=True)), form, str(path))
    first = _column(table, text, *form.text, "--text-column")
    return Questions(first, _column(table, text_pair, *form.text_pair, "--pair-column") if form.text_pair else None)


def _column(table: Table, asked: str | None, trained: str | None, usual: str, flag: str) -> list[str]:
    """The cells of the column that was asked for, else of the one the run was trained on, else of the one with the usual name."""
    wanted = [asked] if asked is not None else [name for name in (trained, usual) if name is not None]
    name = next((name for name in wanted if name in table.names), None)
    if name is None:
        close = nearest(wanted[0], table.names)
        hint = f"name the column: {flag} {close or 'NAME'}"
        raise ConfigError(
            Problem(f"no column {wanted[0]!r} in {table.file}", allowed=f"its columns: {', '.join(table.names[:30])}", hint=hint)
        )
    cells: list[Any] = ["" if cell is None else cell for cell in table.column(name)]
    odd = next((row for row, cell in enumerate(cells) if not isinstance(cell, str)), None)
    if odd is not None:
        what = f"column {name!r} holds {type(cells[odd]).__name__}, not text"
        raise ConfigError(Problem(what, where=table.place(odd), hint=f"name the column that holds the text: {flag} NAME"))
    return cells
