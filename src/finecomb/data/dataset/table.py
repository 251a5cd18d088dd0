"""Files of any format as tables, piece by piece: CSV, TSV, JSON lines, JSON, Parquet, Arrow, text, documents and CoNLL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.dataset.broken import Broken
from finecomb.data.dataset.compressed import COMPRESSED, Damaged, members
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats.columnar import arrow, parquet
from finecomb.data.dataset.formats.delimited import delimited
from finecomb.data.dataset.formats.objects import json_file, json_lines
from finecomb.data.dataset.formats.piece import How, Table
from finecomb.data.dataset.formats.plain import conll, document, text_lines

SUFFIXES = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet",
    ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow", ".txt": "text", ".text": "text", ".conll": "conll", ".bio": "conll",
}  # fmt: skip
READERS: dict[str, Callable[[File, How], Iterator[Table]]] = {
    "csv": lambda file, how: delimited(file, how, ","), "tsv": lambda file, how: delimited(file, how, "\t"), "jsonl": json_lines,
    "json": json_file, "parquet": parquet, "arrow": arrow, "text": text_lines, "document": document, "conll": conll,
}  # fmt: skip


def format_of(path: Path | PurePosixPath, format: str = "auto") -> str:
    """The format of a file: the one named, else by its suffix, beneath one that tells the compression; "zip" for an archive of others."""
    if format != "auto":
        return format
    if known := known_format(path):
        return known
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    suffix = suffixes[-1] if suffixes else ""
    near = nearest(suffix, SUFFIXES)
    allowed = ", ".join(SUFFIXES) + "; each also with " + ", ".join(COMPRESSED)
    hint = "name the format, such as dataset.format=csv" + (f"; did you mean {near}?" if near else "")
    raise ConfigError(Problem(f"{path.name}: cannot tell the format from the suffix {suffix!r}", str(path), allowed=allowed, hint=hint))


def known_format(path: Path | PurePosixPath) -> str | None:
    """The format that a file's suffix stands for, or None."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".zip":
        return "zip"
    while suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def pieces(file: File, format: str, how: How) -> Iterator[Table]:
    """The tables of a file, or of the files in an archive. Raises Damaged where reading ends early, ConfigError for another format."""
    inside = members(file)
    faults: list[tuple[File, Damaged]] = []
    for member in inside:
        named = PurePosixPath(member.member) if member.member is not None else file.path
        if member.member is not None and format == "auto" and known_format(named) in (None, "zip"):
            raise Damaged("a file of unknown format in an archive", f"{member.name}: name the format, such as dataset.format=csv")
        try:
            for table in READERS[format_of(named, format)](member, how):
                _distinct(table, file)
                yield table
        except Damaged as error:  # the other members can still be read
            faults.append((member, error))
    if faults:
        raise faults[0][1] if inside == [file] else _of_archive(faults, inside)


def _of_archive(faults: Sequence[tuple[File, Damaged]], inside: Sequence[File]) -> Damaged:
    """The faults of members as one of the archive: which they are, and the share of all bytes that was read."""
    member, first = faults[0]
    if any(error.read is None for _, error in faults):
        return Damaged(first.reason, f"{member.name}: {first.detail}")
    more = f" (and {len(faults) - 1} other members)" if len(faults) > 1 else ""
    lost = sum((1 - (error.read or 0.0)) * (file.unpacked or 0) for file, error in faults)
    return Damaged(first.reason, f"{member.name}: {first.detail}{more}", 1 - lost / max(1, sum(file.unpacked or 0 for file in inside)))


def _distinct(table: Table, file: File) -> None:
    twice = sorted({name for name in table.names if name and table.names.count(name) > 1})
    if twice:
        raise ConfigError(Problem(f"two columns have the same name: {', '.join(twice)}", str(file.path), hint="rename one of them"))


def read_table(paths: Sequence[Path], *, format: str, encoding: str, quotes: str, headerless: Sequence[str] = ()) -> Table:
    """The whole of a file, or of the shards of one split, in memory. Raises ConfigError, with the line, for what cannot be read."""
    how = How(encoding, quotes, headerless)
    tables: list[Table] = []
    for path in paths:
        try:
            for table in pieces(File(path, path.name), format, how):
                if table.broken:
                    raise ConfigError(_refused(table.file, table.unit, table.broken[0]))
                tables.append(table)
        except Damaged as error:
            raise ConfigError(
                Problem(f"cannot read {path.name}: {error.detail or error.reason}", str(path), hint="is it complete?")
            ) from error
    if not sum(map(len, tables)):
        what = f"{paths[0].name} is empty" if not tables else f"{paths[0].name} holds no row"
        raise ConfigError(Problem(what, str(paths[0])))
    names = list(dict.fromkeys(name for table in tables for name in table.names))

    def column(name: str) -> list[Any]:
        return [cell for table in tables for cell in (table.column(name) if name in table.names else [None] * len(table))]

    lines = [line for table in tables for line in table.line]
    return Table(tables[0].file, names, column, lines, tables[0].unit, range(len(lines)), open_names=tables[0].open_names)


def _refused(file: str, unit: str, row: Broken) -> Problem:
    return Problem(row.message, f"{file}, {unit} {row.line}", hint="correct or remove it")
