"""JSON lines of any length, and JSON arrays that fit in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.broken import JSON, NESTED, NO_OBJECT, Broken
from finecomb.data.dataset.compressed import Damaged, blocks, whole
from finecomb.data.dataset.formats.piece import PIECE, How, Numbers, Table
from finecomb.data.dataset.found import File
from finecomb.data.dataset.lines import Decoder, fault, groups

# An array is read as a whole, so there is a limit to it.
LARGEST_ARRAY = 256 << 20


def json_lines(file: File, how: How) -> Iterator[Table]:
    """An object in each line; a line that holds none is left out and named."""
    items: list[dict[str, Any]] = []
    lines: list[int] = []
    numbers: list[int] = []
    broken: list[Broken] = []
    size, count = 0, Numbers()
    damaged: Damaged | None = None
    for group in groups(file, how.encoding):
        for wrong in group.broken:
            broken.append(wrong)
            count.take()
        for line, text in enumerate(group.lines, start=group.first):
            if not text or text.isspace():
                continue
            size += len(text)
            number = count.take()
            if group.tainted and (found := fault(text, how.encoding, line)):
                broken.append(found)
                continue
            item = _object(text, line)
            if isinstance(item, Broken):
                broken.append(item)
                continue
            items.append(item)
            lines.append(line)
            numbers.append(number)
        if size >= PIECE:
            yield _table(file, items, lines, numbers, broken, "line")
            items, lines, numbers, broken, size = [], [], [], [], 0
        damaged = group.damaged
    if items or broken:
        yield _table(file, items, lines, numbers, broken, "line")
    if damaged is not None:
        raise damaged


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
    """JSON lines, or one array of objects."""
    first = next(blocks(file), b"")
    if not Decoder(how.encoding, file).decode(first)[0].lstrip().startswith("["):
        yield from json_lines(file, how)
        return
    try:
        data = whole(file, LARGEST_ARRAY)
    except Damaged as error:
        if "taken as a whole" in error.detail:
            what = f"{file.name} is a JSON array of more than {LARGEST_ARRAY >> 20} MB"
            raise ConfigError(Problem(what, str(file.path), hint="write it as JSON lines, an object in each line")) from error
        raise
    text, tainted = Decoder(how.encoding, file).decode(data, final=True)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        what = f"broken JSON: {getattr(error, 'msg', 'nested too deeply')}"
        raise ConfigError(Problem(what, f"{file.name}, line {line}", hint="JSON lines can be read around what is broken")) from error
    broken: list[Broken] = []
    kept: list[tuple[int, dict[str, Any]]] = []
    for number, item in enumerate(found):
        if not isinstance(item, dict):
            told = f"a JSON object is expected for each row, found {type(item).__name__}"
            broken.append(Broken(number + 1, NO_OBJECT, told, str(item)[:2000]))
        elif tainted and (wrong := fault(json.dumps(item, ensure_ascii=False), how.encoding, number + 1)):
            broken.append(wrong)
        else:
            kept.append((number, item))
    step = max(1, len(kept) * PIECE // max(PIECE, len(text)))
    for start in range(0, max(1, len(kept)), step):
        part = kept[start : start + step]
        numbers = [number for number, _ in part]
        yield _table(file, [item for _, item in part], [number + 1 for number in numbers], numbers, broken if start == 0 else [], "item")


def _table(file: File, items: list[dict[str, Any]], lines: list[int], numbers: list[int], broken: list[Broken], unit: str) -> Table:
    names = list(dict.fromkeys(name for item in items for name in item))
    return Table(file.name, names, lambda name: [item.get(name) for item in items], lines, unit, numbers, broken, open_names=True)
