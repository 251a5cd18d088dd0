"""An index of a prepared corpus, for a later one to be compared with: the signatures and n-gram hashes of its rows, and their ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner.shingles import U32, hashed, signatures
from finecomb.data.cleaner.word_hashes import I64, U64

FOLDER = "near_index"
_FACTS, _IDS, _HASHES, _SIGNATURES, _OFFSETS = "index.json", "ids.arrow", "hashes.bin", "signatures.npy", "offsets.npy"
_WHERE = "near_duplicates.index"
# Goes up when hashes or signatures of the same texts become others.
_VERSION = 1


@dataclass(frozen=True)
class Index:
    """part: signatures [size, rows], n-gram hashes, and where those of each row begin, in mapped files. ids: "split/id" of each row."""

    part: tuple[U32, U64, I64]
    ids: Any


def write(folder: Path, chunks: Iterable[tuple[list[str], Any]], ngram: int, permutations: int) -> int:
    """Write the index of some texts; returns how many.

    chunks: ids and texts, some at a time; of each kind of array only one chunk is in memory, besides the signatures.
    """
    import pyarrow

    folder.mkdir(parents=True)
    signed: list[U32] = []
    counts = [np.zeros(1, dtype=np.int64)]
    ids: list[Any] = []
    with (folder / _HASHES).open("wb") as file:
        for names, texts in chunks:
            hashes, offsets = hashed(texts, ngram)
            hashes.tofile(file)
            signed.append(signatures(hashes, offsets, permutations))
            counts.append(np.diff(offsets))
            ids.append(pyarrow.array(names, pyarrow.large_string()))
    found = np.concatenate([np.empty((0, permutations), dtype=np.uint32), *signed])
    np.save(folder / _SIGNATURES, np.ascontiguousarray(found.T), allow_pickle=False)
    np.save(folder / _OFFSETS, np.cumsum(np.concatenate(counts)), allow_pickle=False)
    table = pyarrow.table({"id": pyarrow.chunked_array(ids, pyarrow.large_string())})
    with pyarrow.OSFile(str(folder / _IDS), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    facts = {"version": _versions(), "ngram": ngram, "permutations": permutations, "rows": len(table)}
    facts["content"] = _digest(folder)
    (folder / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    return len(table)


def content(folder: Path) -> str:
    """Hash of what an index holds. Raises ConfigError where there is none."""
    return str(_facts(folder)["content"])


def read(folder: Path, ngram: int, permutations: int) -> Index:
    """Open an index; its arrays are mapped. Raises ConfigError when it is damaged or was written with other values."""
    import pyarrow

    facts, where = _facts(folder), folder / FOLDER
    mine = {"version": _versions(), "ngram": ngram, "permutations": permutations}
    if other := [f"{name}={facts[name]} (here {value})" for name, value in mine.items() if facts[name] != value]:
        raise ConfigError(Problem(f"{where} was written with {', '.join(other)}", _WHERE, hint="use these values here, or write it again"))
    if _digest(where) != facts["content"]:
        raise ConfigError(Problem(f"{where} is damaged", _WHERE, hint="write it again"))
    hashes = np.memmap(where / _HASHES, dtype=np.uint64, mode="r") if (where / _HASHES).stat().st_size else np.empty(0, dtype=np.uint64)
    with pyarrow.memory_map(str(where / _IDS)) as source:
        ids = pyarrow.ipc.open_file(source).read_all().column("id")
    found = tuple(np.load(where / name, mmap_mode="r", allow_pickle=False) for name in (_SIGNATURES, _OFFSETS))
    return Index((found[0], hashes, found[1]), ids)


def _facts(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / FOLDER / _FACTS).read_text(encoding="utf-8"))
        found["version"], found["ngram"], found["permutations"], found["content"]
    except (OSError, ValueError, KeyError) as error:
        hint = "prepare that corpus with cleaner.steps.near_duplicates.write_index=true, and name the folder that prepare printed"
        raise ConfigError(Problem(f"{folder} holds no index of near-duplicates", _WHERE, hint=hint)) from error
    return found


def _versions() -> str:
    from rensa import RMinHash  # type: ignore[import-untyped]

    return f"{_VERSION}.{RMinHash.ALGORITHM_VERSION}"


def _digest(folder: Path) -> str:
    digest = xxhash.xxh3_128()
    for name in (_HASHES, _SIGNATURES, _OFFSETS, _IDS):
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
