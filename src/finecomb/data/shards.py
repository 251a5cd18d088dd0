"""Rows on disk in shards: pieces of a split that fit in memory easily, each an Arrow file that is mapped, not read.

A shard is written once, when its rows are read. What cleaning makes of it is kept as deltas: which of its rows stay and which texts are
others, one small file for each stage, applied in order whenever the shard is opened. So no text is stored twice.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.assets import cache_dir, room_on_disk
from finecomb.assets.cache import ABANDONED_SECONDS, SHARDS, mark_used, remove
from finecomb.data.engine import Engine, Task

# A shard is closed by the row that brings it to either of these.
SHARD_BYTES, SHARD_ROWS = 8 << 20, 50_000
# Columns that hold texts.
TEXTS = ("text", "text_pair")
DONE = "done.json"
_PART = ".part-"
# Kinds of results that are files in a folder for each key; of the others each result is a folder.
_NESTED = ("read", "measured")


@dataclass(frozen=True)
class Shard:
    """One piece of a split: a file of rows and what stages made of it.

    key: names the content that results. rows, bytes: after all deltas; bytes are of texts in UTF-8.
    """

    split: str
    path: Path
    key: str
    rows: int
    bytes: int
    deltas: tuple[Path, ...] = ()

    def table(self) -> Any:
        """The rows as they are after all deltas, as a pyarrow table of one chunk for each column."""
        table = read_arrow(self.path)
        for delta in self.deltas:
            table = _applied(table, read_arrow(delta))
        return table

    def plain(self) -> dict[str, Any]:
        """As a value of a task: paths are relative to the root of the cache."""
        return vars(self) | {"path": relative(self.path), "deltas": [relative(delta) for delta in self.deltas]}

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Shard:
        """The shard of which `plain` was made, perhaps by a machine that has the cache at another path."""
        return Shard(**{**plain, "path": absolute(plain["path"]), "deltas": tuple(map(absolute, plain["deltas"]))})


def relative(path: Path) -> str:
    """A path in the cache as tasks name it."""
    return path.relative_to(cache_dir()).as_posix()


def absolute(path: str) -> Path:
    """A path that a task names, on this machine."""
    return cache_dir() / path


def root() -> Path:
    """Where shards and what was computed from them lie in the cache."""
    return SHARDS.path()


def remove_orphans() -> None:
    """Remove what killed processes left half written (`.part-*` folders and `*.part` files); those of running ones are younger."""
    for kind in root().iterdir() if root().is_dir() else ():
        for folder in [kind, *(kind.iterdir() if kind.name in _NESTED else ())]:
            for left in folder.iterdir() if folder.is_dir() else ():
                if left.name.startswith(_PART) or left.name.endswith(".part"):
                    with suppress(FileNotFoundError):
                        if left.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                            remove(left)


def read_arrow(path: Path) -> Any:
    """An Arrow file as a table whose columns are parts of the mapped file."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        return pyarrow.ipc.open_file(source).read_all()


def write_arrow(path: Path, table: Any) -> None:
    """Write a table as an Arrow file of one batch, at once or not at all."""
    write_bytes(path, _as_file(table))


def _as_file(table: Any) -> Any:
    import pyarrow

    table = table.combine_chunks()
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def write_bytes(path: Path, content: Any) -> None:
    """Write a file at once or not at all; processes that write the same file at the same time do not disturb each other."""
    with room_on_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def key_of(*facts: Any) -> str:
    """The name of a result: a hash of everything it follows from."""
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str).encode())


def text_bytes(table: Any) -> int:
    """Bytes of all texts in UTF-8."""
    import pyarrow.compute as pc

    return sum(pc.sum(pc.binary_length(table.column(name))).as_py() or 0 for name in TEXTS if name in table.column_names)


def _applied(table: Any, delta: Any) -> Any:
    """A table after one delta: rows that stay, texts that are others, scores that came."""
    import pyarrow.compute as pc

    taken = table.take(delta.column("row"))
    for name in TEXTS:
        if name in delta.column_names:
            changed = pc.coalesce(delta.column(name), taken.column(name))
            taken = taken.set_column(taken.column_names.index(name), name, changed)
    for name in delta.column_names:
        if name.startswith("score:"):
            taken = taken.append_column(name, delta.column(name))
    return taken.combine_chunks()


class Folder:
    """A folder that holds the result of one task; it is complete once it has a file `done.json`, which names and hashes the others.

    Files are written to a folder of a unique name, which takes its place at the end; `done.json` follows last, so that a reader sees all or
    nothing where the renaming of a folder is not atomic. Where another process was faster, its result stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def facts(self) -> dict[str, Any] | None:
        """What `done.json` says, or None where the task has not been done or a file of it is not what was written."""
        try:
            facts: dict[str, Any] = json.loads((self.path / DONE).read_text(encoding="utf-8"))
            whole = all(_hash_file(self.path / name) == digest for name, digest in facts["files"].items())
        except (OSError, ValueError, KeyError):
            return None
        if not whole:
            return None
        mark_used(self.path / DONE)
        return facts

    def make(self, write: Callable[[Path], dict[str, Any]]) -> None:
        """Let `write` fill a folder and return what `done.json` is to say; then put it in its place."""
        with room_on_disk(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(dir=self.path.parent, prefix=_PART))
            try:
                facts = write(stage)
                facts["files"] = {file.name: _hash_file(file) for file in sorted(stage.iterdir())}
                try:
                    os.replace(stage, self.path)
                except OSError:
                    if self.facts() is not None:
                        return
                    for name in facts["files"]:  # what is there is damaged, or another process is about to write the same
                        os.replace(stage / name, self.path / name)
                write_bytes(self.path / DONE, json.dumps(facts, ensure_ascii=False).encode())
            finally:
                shutil.rmtree(stage, ignore_errors=True)


def run_tasks(engine: Engine, work: Task, specs: Sequence[dict[str, Any]], sizes: Sequence[int], what: str) -> list[dict[str, Any]]:
    """Do the tasks whose result is not in the cache yet; return what `done.json` of each says.

    specs: `output` is the folder of the result. sizes: bytes of text of each.
    """
    folders = [Folder(absolute(spec["output"])) for spec in specs]
    facts = [folder.facts() for folder in folders]
    missing = [number for number, each in enumerate(facts) if each is None]
    engine.run(work, [specs[number] for number in missing], size=sum(sizes[number] for number in missing), what=what)
    for number in missing:
        facts[number] = folders[number].facts()
    for folder, each in zip(folders, facts, strict=True):
        if each is None:
            raise RuntimeError(f"the result of a task is missing: {folder.path}")
    return [each for each in facts if each is not None]


def _hash_file(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def save_facts(folder: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Arrays as .npy files, plain values together in facts.json. Returns what `done.json` is to say: the seconds it took to make them."""
    began = time.perf_counter()
    facts = make()
    seconds = time.perf_counter() - began
    plain = {}
    for name, value in facts.items():
        if isinstance(value, np.ndarray):
            np.save(folder / f"{name}.npy", value, allow_pickle=False)
        else:
            plain[name] = value
    (folder / "facts.json").write_text(json.dumps(plain, ensure_ascii=False), encoding="utf-8")
    return {"seconds": seconds}


def load_facts(folder: Path) -> dict[str, Any]:
    """What `save_facts` wrote; arrays are mapped."""
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    for path in folder.glob("*.npy"):
        facts[path.stem] = _mapped(path) if path.stat().st_size > 4096 else np.load(path, allow_pickle=False)
    return facts


def _mapped(path: Path) -> NDArray[Any]:
    """An array as a part of the mapped file. NumPy's own would keep the file open, and a large corpus has thousands of them."""
    import pyarrow

    with path.open("rb") as file:
        old = np.lib.format.read_magic(file) == (1, 0)
        shape, columns_first, kind = (np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0)(file)
        start = file.tell()
    with pyarrow.memory_map(str(path)) as source:
        array = np.frombuffer(source.read_buffer(), dtype=kind, offset=start, count=int(np.prod(shape)))
    return array.reshape(shape, order="F" if columns_first else "C")


def write_shards(folder: Path, split: str, tables: Iterable[Any]) -> Iterator[Shard]:
    """Cut a split's rows into shards and write those that are not there yet. Where shards end depends on the rows alone.

    A shard whose file is there with the same content is left as it is, so that reading that was interrupted writes nothing twice.
    """
    for number, table in enumerate(_cut(tables)):
        path, note = folder / f"{split}-{number:05d}.arrow", folder / f"{split}-{number:05d}.json"
        content = _as_file(table)
        facts: dict[str, Any] = {"key": xxhash.xxh3_128_hexdigest(content), "rows": len(table), "bytes": text_bytes(table)}
        if not (path.is_file() and note.is_file() and json.loads(note.read_text()) == facts):
            write_bytes(path, content)
            write_bytes(note, json.dumps(facts).encode())
        yield Shard(split, path, **facts)


def _cut(tables: Iterable[Any]) -> Iterator[Any]:
    import pyarrow

    waiting: list[Any] = []
    size = rows = 0
    for whole in tables:
        table = whole
        while len(table):
            room = SHARD_ROWS - rows
            sizes = np.cumsum(_row_bytes(table))
            last = int(np.searchsorted(sizes, SHARD_BYTES - size)) + 1  # the row that fills the shard belongs to it
            count = min(len(table), last, room)
            waiting.append(table.slice(0, count))
            size += int(sizes[count - 1])
            rows += count
            table = table.slice(count)
            if size >= SHARD_BYTES or rows >= SHARD_ROWS:
                yield pyarrow.concat_tables(waiting, promote_options="default").combine_chunks()
                waiting, size, rows = [], 0, 0
    if waiting:
        yield pyarrow.concat_tables(waiting, promote_options="default").combine_chunks()


def _row_bytes(table: Any) -> Any:
    import pyarrow.compute as pc

    lengths = [pc.binary_length(table.column(name)).to_numpy() for name in TEXTS if name in table.column_names]
    return np.sum(lengths, axis=0)


def advanced(shard: Shard, delta: Path, key: str, rows: int, size: int) -> Shard:
    """The shard after one more delta."""
    return replace(shard, key=key, rows=rows, bytes=size, deltas=(*shard.deltas, delta))
