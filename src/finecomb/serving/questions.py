"""What `finecomb predict` was asked: texts of the command line, of a file, or of standard input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.config.schema.dataset import Columns
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.core.paths import existing
from finecomb.data.dataset.formats.piece import Table
from finecomb.data.dataset.table import format_of, read_table


@dataclass(frozen=True)
class Questions:
    """Texts to judge, with their second texts where they are pairs."""

    text: list[str]
    text_pair: list[str] | None = None


def from_lines(lines: Sequence[tuple[int, str]], *, pairs: bool, where: str) -> Questions:
    """One text in each numbered line that is not empty; for pairs, two texts separated by a tab.

    Raises ConfigError for a line that is no pair where pairs are wanted, and when there is no text at all.
    """
    filled = [(number, line) for number, line in lines if line.strip()]
    if not filled:
        raise ConfigError(Problem(f"{where} holds no text", hint="write one text in each line"))
    if not pairs:
        return Questions([line for _, line in filled])
    alone = [number for number, line in filled if line.count("\t") != 1]
    if alone:
        what = "a line must hold two texts separated by one tab, since the run judges pairs"
        raise ConfigError(Problem(what, where=f"{where}, line {alone[0]}", hint="or give a file with columns: .csv, .tsv or .jsonl"))
    cells = [line.split("\t") for _, line in filled]
    return Questions([first for first, _ in cells], [second for _, second in cells])


def from_file(path: Path, columns: Columns, *, pairs: bool, text: str | None = None, text_pair: str | None = None) -> Questions:
    """Texts of a file, in its order: of a text file its lines, of any other its columns.

    columns: those of the run's dataset, which hold unless `text` and `text_pair` name others.

    Raises:
        ConfigError: the file or a column is missing, or a column holds no text.
    """
    path = existing(path, "the file to predict")
    format = format_of(path)
    table = read_table([path], format=format, encoding="utf-8", quotes="auto")
    if format == "text" and "label" not in table.names:
        return from_lines(list(zip(table.line, table.column("text"), strict=True)), pairs=pairs, where=str(path))
    first = _column(table, text, columns.text, "text", "--text-column")
    return Questions(first, _column(table, text_pair, columns.text_pair, "text_pair", "--pair-column") if pairs else None)


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
