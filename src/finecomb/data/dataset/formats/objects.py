"""JSON lines of any length, and JSON arrays that fit in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.broken import JSON, NESTED, NO_OBJECT, Broken
from finecomb.data.dataset.compressed import Damaged, blocks, whole
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats.piece import PIECE, How, Numbers, Table
from finecomb.data.dataset.formats.squad import is_squad, questions
from finecomb.data.dataset.lines import Decoder, fault, groups

# An array is read as a whole, so there is a limit to it.
LARGEST_ARRAY = 256 << 20


# What pyarrow reads and Python's reader does not, or otherwise: other names of numbers, and numbers too long or nested too deeply for it.
_NO_NUMBER = re.compile(r"[:,\[]\s*-?(?:Inf|NaN)")
_LONG_NUMBER = re.compile(r"\d{4000}")
_DEEP = 900


@dataclass
class _Piece:
    """What was read since the last piece. columns: one function for each run of rows, from a name to its cells."""

    columns: list[Callable[[str], list[Any]]] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    size: int = 0

    def add(self, items: list[dict[str, Any]]) -> None:
        """Rows as objects."""
        self.names.update(dict.fromkeys(_names(items)))
        self.columns.append(lambda name: [_cell(item, name) for item in items])

    def table(self, file: File) -> Table:
        """The piece as a table."""
        columns = self.columns

        def column(name: str) -> list[Any]:
            return [cell for cells in columns for cell in cells(name)]

        return Table(file.name, list(self.names), column, self.lines, "line", self.numbers, self.broken, open_names=True)


def json_lines(file: File, how: How) -> Iterator[Table]:
    """An object in each line; a line that holds none is left out and named.

    The first piece tells which columns are needed and of which type they are; later blocks of lines are read by pyarrow where it reads them
    as Python's reader does, else by that.
    """
    piece, count = _Piece(), Numbers()
    types: dict[str, Any] | None = None
    damaged: Damaged | None = None
    for group in groups(file, how.encoding):
        for wrong in group.broken:
            piece.broken.append(wrong)
            count.take()
        numbered = [(line, text) for line, text in enumerate(group.lines, start=group.first) if text and not text.isspace()]
        piece.size += sum(len(text) for _, text in numbered)
        column = _by_arrow([text for _, text in numbered], types) if types and not group.tainted else None
        if column is not None:
            piece.columns.append(column)
            piece.lines += [line for line, _ in numbered]
            piece.numbers += [count.take() for _ in numbered]
        else:
            _by_line(piece, numbered, count, how.encoding, tainted=group.tainted)
        if piece.size >= PIECE:
            table = piece.table(file)
            yield table
            types = _types(table, how) if types is None and len(table) else types
            piece = _Piece()
        damaged = group.damaged
    if piece.lines or piece.broken:
        yield piece.table(file)
    if damaged is not None:
        raise damaged


def _names(items: list[dict[str, Any]]) -> Iterator[str]:
    """The names of the objects' values, then of those inside values that are objects, as in `translation.en`."""
    for item in items:
        yield from item
    for item in items:
        for name, value in item.items():
            if isinstance(value, dict):
                yield from (f"{name}.{inner}" for inner in _names([value]))


def _cell(item: dict[str, Any], name: str) -> Any:
    if name in item or "." not in name:
        return item.get(name)
    for outer, value in item.items():
        if isinstance(value, dict) and name.startswith(f"{outer}."):
            return _cell(value, name.removeprefix(f"{outer}."))
    return None


def _by_line(piece: _Piece, numbered: list[tuple[int, str]], count: Numbers, encoding: str, *, tainted: bool) -> None:
    items: list[dict[str, Any]] = []
    for line, text in numbered:
        number = count.take()
        item = (fault(text, encoding, line) if tainted else None) or _object(text, line)
        if isinstance(item, Broken):
            piece.broken.append(item)
            continue
        items.append(item)
        piece.lines.append(line)
        piece.numbers.append(number)
    piece.add(items)


def _types(table: Table, how: How) -> dict[str, Any]:
    """The needed columns of a table with their types for pyarrow; nothing where one holds others than texts, or whole numbers."""
    import pyarrow

    kinds = {frozenset({str}): pyarrow.string(), frozenset({int}): pyarrow.int64()}
    try:
        wanted = how.choose(table.names)
    except ConfigError:
        return {}
    if any("." in name for name in wanted):  # of an object inside the row's
        return {}
    types = {name: kinds.get(frozenset(map(type, table.column(name))) - {type(None)}) for name in wanted}
    return types if all(types.values()) else {}


def _by_arrow(texts: list[str], types: dict[str, Any]) -> Callable[[str], list[Any]] | None:
    """The columns of some lines, or None where one of them may be broken or read otherwise."""
    import pyarrow
    import pyarrow.json

    block = "\n".join(texts)
    if not texts or not all(text[0] == "{" and text.rstrip("\r")[-1:] == "}" for text in texts):
        return None
    if ("Inf" in block or "NaN" in block) and _NO_NUMBER.search(block):
        return None
    if any(len(text) > 2 * _DEEP and (text.count("[") + text.count("{") > _DEEP or _LONG_NUMBER.search(text)) for text in texts):
        return None
    options = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema(types), unexpected_field_behavior="ignore")
    try:
        data = block.encode()
        reading = pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1)
        table = pyarrow.json.read_json(pyarrow.BufferReader(data), read_options=reading, parse_options=options)
    except (pyarrow.ArrowException, UnicodeEncodeError):
        return None
    if len(table) != len(texts):
        return None

    def column(name: str) -> list[Any]:
        return table.column(name).to_pylist() if name in types else [json.loads(text).get(name) for text in texts]

    return column


def _object(text: str, line: int) -> dict[str, Any] | Broken:
    try:
        item = json.loads(text)
    except json.JSONDecodeError as error:
        return Broken(line, JSON, f"broken JSON: {error.msg} (column {error.colno})", text)
    except RecursionError:
        return Broken(line, NESTED, "", text)
    except ValueError as error:  # a number of thousands of digits
        return Broken(line, JSON, f"broken JSON: {error}", text)
    if not isinstance(item, dict):
        return Broken(line, NO_OBJECT, f"a JSON object is expected for each row, found {type(item).__name__}", text)
    return item


def json_file(file: File, how: How) -> Iterator[Table]:
    """JSON lines, one array of objects, or an object of questions as SQuAD lays them out."""
    first = Decoder(how.encoding, file).decode(next(blocks(file), b""))[0].lstrip()
    nested = is_squad(first)
    if not first.startswith("[") and not nested:
        yield from json_lines(file, how)
        return
    try:
        data = whole(file, LARGEST_ARRAY)
    except Damaged as error:
        if "taken as a whole" in error.detail:
            what = f"{file.name} is one JSON value of more than {LARGEST_ARRAY >> 20} MB"
            raise ConfigError(Problem(what, str(file.path), hint="write it as JSON lines, an object in each line")) from error
        raise
    text, tainted = Decoder(how.encoding, file).decode(data, final=True)
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        what = f"broken JSON: {getattr(error, 'msg', 'nested too deeply')}"
        raise ConfigError(Problem(what, f"{file.name}, line {line}", hint="JSON lines can be read around what is broken")) from error
    broken: list[Broken] = []
    kept: list[tuple[int, dict[str, Any]]] = []
    for number, item in enumerate(questions(items) if nested else items):
        if not isinstance(item, dict):
            detail = f"a JSON object is expected for each row, found {type(item).__name__}"
            broken.append(Broken(number + 1, NO_OBJECT, detail, str(item)[:2000]))
        elif tainted and (wrong := fault(json.dumps(item, ensure_ascii=False), how.encoding, number + 1)):
            broken.append(wrong)
        else:
            kept.append((number, item))
    step = max(1, len(kept) * PIECE // max(PIECE, len(text)))
    for start in range(0, max(1, len(kept)), step):
        part = kept[start : start + step]
        numbers = [number for number, _ in part]
        yield _table(
            file,
            [item for _, item in part],
            [number + 1 for number in numbers],
            numbers,
            broken if start == 0 else [],
            "question" if nested else "item",
        )


def _table(file: File, items: list[dict[str, Any]], lines: list[int], numbers: list[int], broken: list[Broken], unit: str) -> Table:
    names = list(dict.fromkeys(_names(items)))
    return Table(file.name, names, lambda name: [_cell(item, name) for item in items], lines, unit, numbers, broken, open_names=True)
