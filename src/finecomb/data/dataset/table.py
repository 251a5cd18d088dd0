"""One file, or the shards of one split, as a table of named columns: CSV, TSV, JSON lines, JSON, Parquet, Arrow and text."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.config.errors import Problem, UserError, nearest
from finecomb.data.dataset.delimited import parse_delimited
from finecomb.data.dataset.text_file import COMPRESSED, lines_of, read_text

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet",
    ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".txt": "text", ".text": "text",
}  # fmt: skip
_LABEL_MARK = "__label__"


@dataclass(frozen=True)
class Table:
    """Named columns and where each row stands. `column(name)` gives the cells: str for CSV and TSV, else what the file holds."""

    file: str
    names: list[str]
    column: Callable[[str], list[Any]]
    line: Sequence[int]
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.line)

    def place(self, row: int) -> str:
        """Where a row stands, as the user is told."""
        return f"{self.file}, {self.unit} {self.line[row]}"


def format_of(path: Path, format: str = "auto") -> str:
    """The format of a file: the one named, else by its suffix, beneath one that tells the compression."""
    if format != "auto":
        return format
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    suffix = suffixes[-1] if suffixes else ""
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    near = nearest(suffix, SUFFIXES)
    allowed = ", ".join(SUFFIXES) + "; each also with " + ", ".join(COMPRESSED)
    mend = "name the format, such as dataset.format=csv" + (f"; did you mean {near}?" if near else "")
    raise UserError(Problem(f"{path.name}: cannot tell the format from the suffix {suffix!r}", str(path), allowed=allowed, mend=mend))


def read_table(paths: Sequence[Path], *, format: str, encoding: str, quotes: str, headerless: Sequence[str] = ()) -> Table:
    """Read a file. Only Parquet and Arrow may come in several shards.

    quotes: "csv", "none" or "auto" (CSV: csv; TSV: csv where every cell with a quotation mark is quoted as CSV writes it, else none).
    headerless: names of the columns of a CSV or TSV whose first line is already a row.
    Raises UserError, with the line, for what is not of that format.
    """
    path = paths[0]
    if format in ("parquet", "arrow"):
        table = _columnar(paths, format)
    elif len(paths) > 1:
        raise UserError(Problem(f"{len(paths)} files for one split, where one is expected", ", ".join(file.name for file in paths)))
    else:
        text = read_text(path, encoding)
        if format in ("csv", "tsv"):
            names, rows, lines = parse_delimited(text, path.name, format, quotes, headerless)
            columns = {name: position for position, name in enumerate(names)}
            table = Table(path.name, names, lambda name: [row[columns[name]] for row in rows], lines)
        elif format == "text":
            table = _text_lines(text, path.name)
        else:
            table = _objects(text, path.name, array=format == "json")
    twice = sorted({name for name in table.names if name and table.names.count(name) > 1})
    if twice:
        raise UserError(Problem(f"two columns have the same name: {', '.join(twice)}", str(path), mend="rename one of them"))
    if not len(table):
        raise UserError(Problem(f"{path.name} holds no row", str(path), mend="a split that is given needs at least one row"))
    return table


def _columnar(paths: Sequence[Path], format: str) -> Table:
    import pyarrow
    import pyarrow.parquet

    tables = []
    for path in paths:
        try:
            tables.append(pyarrow.parquet.read_table(path) if format == "parquet" else _arrow(path))
        except (pyarrow.ArrowException, OSError, KeyError) as error:
            mend = "is it complete? dataset.format=auto goes by the name"
            raise UserError(Problem(f"{path.name} is not a readable {format} file: {str(error)[:200]}", str(path), mend=mend)) from error
    try:
        table = pyarrow.concat_tables(tables)
    except pyarrow.ArrowException as error:
        raise UserError(Problem("the shards of one split have different columns", ", ".join(file.name for file in paths))) from error
    name = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    return Table(name, list(table.column_names), lambda column: table.column(column).to_pylist(), range(1, len(table) + 1), "row")


def _arrow(path: Path) -> Any:
    """An Arrow file, or a stream as `datasets` writes it."""
    import pyarrow

    with pyarrow.input_stream(str(path), compression="detect") as stream:
        data = stream.read_buffer()
    try:
        return pyarrow.ipc.open_file(data).read_all()
    except pyarrow.ArrowInvalid:
        return pyarrow.ipc.open_stream(data).read_all()


def _text_lines(text: str, file: str) -> Table:
    """A text in each line; fastText's `__label__NAME text` gives a label too, where the first line has one."""
    kept = [(number, line) for number, line in enumerate(lines_of(text), start=1) if line.strip()]
    numbers, texts = [number for number, _ in kept], [line for _, line in kept]
    if not texts[0].startswith(_LABEL_MARK):
        return Table(file, ["text"], lambda name: texts, numbers)
    cells: dict[str, list[Any]] = {"text": [], "label": []}
    for number, line in kept:
        words = line.split(" ")
        labels = [word.removeprefix(_LABEL_MARK) for word in words if word.startswith(_LABEL_MARK)]
        if not labels:
            raise UserError(Problem(f"no {_LABEL_MARK} where the lines before have one", f"{file}, line {number}"))
        cells["label"].append(labels if len(labels) > 1 else labels[0])
        cells["text"].append(" ".join(word for word in words if not word.startswith(_LABEL_MARK)))
    return Table(file, ["text", "label"], cells.__getitem__, numbers)


def _objects(text: str, file: str, *, array: bool) -> Table:
    """JSON lines, or with `array` also one JSON array of objects."""
    if array and text.lstrip().startswith("["):
        try:
            items = list(enumerate(json.loads(text), start=1))
        except json.JSONDecodeError as error:
            raise UserError(_broken_json(error, file, error.lineno)) from error
        unit = "item"
    else:
        items, unit = [], "line"
        for number, line in enumerate(lines_of(text), start=1):
            if line.strip():
                try:
                    items.append((number, json.loads(line)))
                except json.JSONDecodeError as error:
                    raise UserError(_broken_json(error, file, number)) from error
    for number, item in items:
        if not isinstance(item, dict):
            what = f"a JSON object is expected for each row, found {type(item).__name__}"
            raise UserError(Problem(what, f"{file}, {unit} {number}", allowed='{"text": "...", "label": "..."}'))
    names = list(dict.fromkeys(name for _, item in items for name in item))
    return Table(file, names, lambda name: [item.get(name) for _, item in items], [number for number, _ in items], unit)


def _broken_json(error: json.JSONDecodeError, file: str, line: int) -> Problem:
    return Problem(
        f"broken JSON: {error.msg} (column {error.colno})", f"{file}, line {line}", mend="JSON lines hold one whole object in each line"
    )
