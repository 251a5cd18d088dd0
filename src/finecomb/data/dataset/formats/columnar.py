"""Parquet by row groups, Arrow by record batches; only the columns that are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from finecomb.data.dataset.broken import ENCODING, ROW_GROUP, Broken
from finecomb.data.dataset.compressed import COMPRESSED, UNREADABLE, Damaged, whole
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats.piece import PIECE, How, Numbers, Table

# An Arrow file inside a compressed one or in an archive is read as a whole.
LARGEST_PACKED = 1 << 30


def parquet(file: File, how: How) -> Iterator[Table]:
    """A row group that cannot be read is left out and named; the others are read."""
    import pyarrow
    import pyarrow.parquet

    try:
        source = pyarrow.BufferReader(whole(file, LARGEST_PACKED)) if _packed(file) else pyarrow.OSFile(str(_open(file)))
        opened = pyarrow.parquet.ParquetFile(source, page_checksum_verification=True)
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise Damaged(UNREADABLE, f"not a readable parquet file: {str(error)[:200]}") from error
    names = names_of(opened.schema_arrow)
    wanted = [name for name in names if name in set(how.choose(names))]
    count = Numbers()
    for group in range(opened.num_row_groups):
        facts = opened.metadata.row_group(group)
        each = max(1, facts.total_byte_size // max(1, facts.num_rows))
        end = count.next + facts.num_rows
        try:
            batches = opened.iter_batches(batch_size=max(1, min(65_536, PIECE // each)), row_groups=[group], columns=wanted)
            for batch in batches:
                yield table(file.name, names, select(batch, wanted), count)
        except (pyarrow.ArrowException, OSError) as error:
            lost = end - count.next
            detail = f"rows {count.next + 1:,} to {end:,} cannot be read: {str(error)[:200]}"
            yield Table(file.name, names, lambda name: [], [], "row", broken=[Broken(count.next + 1, ROW_GROUP, detail, rows=max(1, lost))])
        count.next = end
    _closed(file)


def arrow(file: File, how: How) -> Iterator[Table]:
    """An Arrow file, or a stream as `datasets` writes it."""
    import pyarrow

    count = Numbers()
    try:
        if _packed(file):
            source: Any = pyarrow.BufferReader(whole(file, LARGEST_PACKED))
        else:
            source = pyarrow.memory_map(str(_open(file)))
        batches, schema = _batches(source)
        names = names_of(schema)
        wanted = [name for name in names if name in set(how.choose(names))]
        for batch in batches:
            step = max(1, len(batch) * PIECE // max(PIECE, batch.nbytes))
            for start in range(0, len(batch), step):
                yield table(file.name, names, select(batch, wanted).slice(start, step), count)
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise Damaged(UNREADABLE, f"not a readable arrow file: {str(error)[:200]}") from error
    _closed(file)


def _batches(source: Any) -> tuple[Iterable[Any], Any]:
    import pyarrow

    try:
        opened = pyarrow.ipc.open_file(source)
    except pyarrow.ArrowInvalid:
        source.seek(0)
        stream = pyarrow.ipc.open_stream(source)
        return stream, stream.schema
    return (opened.get_batch(number) for number in range(opened.num_record_batches)), opened.schema


def names_of(schema: Any) -> list[str]:
    """The names of the columns, then of the fields inside structs with the struct's name in front: `translation`, `translation.en`."""
    import pyarrow

    def inside(prefix: str, field: Any) -> Iterator[str]:
        if pyarrow.types.is_struct(field.type):
            for inner in field.type:
                yield f"{prefix}.{inner.name}"
                yield from inside(f"{prefix}.{inner.name}", inner)

    nested = [name for field in schema for name in inside(field.name, field)]
    return [*schema.names, *(name for name in dict.fromkeys(nested) if name not in schema.names)]


def select(batch: Any, wanted: Sequence[str]) -> Any:
    """The columns with these names of `names_of`, of a record batch or a table, under these names."""
    return type(batch).from_arrays([_column(batch, name) for name in wanted], names=list(wanted))


def _column(batch: Any, name: str) -> Any:
    import pyarrow.compute

    if name in batch.schema.names:
        return batch.column(name)
    outer = next(head for head in batch.schema.names if name.startswith(f"{head}."))
    column = batch.column(outer)
    rest = name.removeprefix(f"{outer}.")
    while rest:
        fields = [column.type.field(number).name for number in range(column.type.num_fields)]
        field = next(field for field in fields if rest == field or rest.startswith(f"{field}."))
        column, rest = pyarrow.compute.struct_field(column, field), rest.removeprefix(field).removeprefix(".")
    return column


def _packed(file: File) -> bool:
    return file.member is not None or file.path.suffix.lower() in COMPRESSED


def _open(file: File) -> Any:
    """The path of a file that is there and as it was hashed."""
    if file.problem is not None:
        raise Damaged(UNREADABLE, file.problem)
    try:
        file.unchanged(file.path.stat())
    except FileNotFoundError as error:
        file.unchanged(None)
        raise Damaged(UNREADABLE, "it is gone") from error
    return file.path


def _closed(file: File) -> None:
    if not _packed(file):
        file.unchanged(file.path.stat())


def table(name: str, names: list[str], batch: Any, count: Numbers, *, first: int = 1) -> Table:
    """A record batch or table of Arrow as a piece. first: the number that the user sees on the first row of the file."""
    start, total = count.next, len(batch)
    count.next += total
    wrong: dict[int, Broken] = {}
    cells = {column: _cells(batch.column(column), column, start + first, wrong) for column in batch.schema.names}
    rows = range(start, start + total)
    if wrong:
        kept = [row for row in range(total) if row not in wrong]
        cells = {column: [values[row] for row in kept] for column, values in cells.items()}
        rows = [start + row for row in kept]  # type: ignore[assignment]
    return Table(name, names, cells.__getitem__, [row + first for row in rows], "row", rows, list(wrong.values()))


def _cells(column: Any, name: str, start: int, wrong: dict[int, Broken]) -> list[Any]:
    import pyarrow

    kind = column.type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        return list(column.to_pylist())
    try:
        return list(column.to_numpy(zero_copy_only=False).tolist())
    except (UnicodeDecodeError, pyarrow.ArrowException):  # some cell is no UTF-8
        raw = column.cast(pyarrow.large_binary()).to_pylist()
    texts: list[str | None] = []
    for row, data in enumerate(raw):
        try:
            texts.append(None if data is None else data.decode())
        except UnicodeDecodeError as error:
            texts.append(None)
            detail = f"byte {data[error.start]:#04x} in column {name!r} is not utf-8"
            wrong[row] = Broken(start + row, ENCODING, detail, data[:2000].decode(errors="replace"))
    return texts
