"""What the splits of a data set share: the same texts, nearly the same texts, and long n-grams.

Every piece of validation and test is hashed by a task; then each piece of train (and of validation, for test) is compared with all of these
by another. In the memory of a worker is what lookups need, some 300 bytes for each row of validation and test.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from finecomb.assets.cache import staging
from finecomb.data.cleaner.among import Gathered
from finecomb.data.cleaner.lsh import Lookup, bands
from finecomb.data.cleaner.lsh import Rows as Grams
from finecomb.data.cleaner.shingles import U32, ngrams, signatures, worded
from finecomb.data.cleaner.word_hashes import I64, U64
from finecomb.data.engine import Engine
from finecomb.data.shards import Folder, absolute, load_facts, relative, run_tasks, save_facts
from finecomb.data.texts import Texts, pieces

NEAR, NGRAM, LONG, PERMUTATIONS = 0.8, 5, 13, 128
_PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))
_SHOWN = 5
_CUT = 200


@dataclass(frozen=True)
class Piece:
    """Rows start to stop of an Arrow stream file with columns id, text and perhaps text_pair. bytes: of their texts."""

    path: Path
    start: int
    stop: int
    bytes: int

    def plain(self) -> dict[str, Any]:
        """As a value of a task; a file outside the cache keeps its whole path."""
        inside = self.path.is_relative_to(absolute(""))
        return vars(self) | {"path": relative(self.path) if inside else str(self.path)}

    @staticmethod
    def of(plain: Mapping[str, Any]) -> Piece:
        """The piece of which `plain` was made."""
        return Piece(**{**plain, "path": absolute(plain["path"])})

    def table(self) -> Any:
        """The rows as a pyarrow table, mapped."""
        return _stream(self.path).slice(self.start, self.stop - self.start)

    def texts(self) -> Any:
        """The texts; of pairs both, with a line end between."""
        table = self.table()
        pairs = Texts(table["text_pair"].chunks) if "text_pair" in table.column_names else None
        return joined_texts(Texts(table["text"].chunks), pairs)


@functools.lru_cache(maxsize=8)
def _stream(path: Path) -> Any:
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        return pyarrow.ipc.open_stream(source).read_all()


def pieces_of(path: Path) -> list[Piece]:
    """A file of rows in pieces that fit in memory easily."""
    columns = [Texts(_stream(path)[name].chunks) for name in ("text", "text_pair") if name in _stream(path).column_names]
    ends = np.concatenate([[0], np.cumsum(np.sum([column.lengths for column in columns], axis=0))])
    return [Piece(path, at.start, at.stop, int(ends[at.stop] - ends[at.start])) for at in pieces(columns[0]) if at]


def joined_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> Sequence[str]:
    """The texts; of pairs both, with a line end between."""
    return texts if pairs is None else [f"{text}\n{pair}" for text, pair in zip(texts, pairs, strict=True)]


def overlap(splits: Mapping[str, Sequence[Piece]], engine: Engine) -> dict[str, Any]:
    """For each pair of splits: rows of the first whose text is in the second (case, space and punctuation do not count), whose Jaccard
    similarity of word 5-grams to a row there is at least 0.8, and that share 13 words in a row with one there; and examples.
    """
    pairs = [pair for pair in _PAIRS if pair[0] in splits and pair[1] in splits]
    with staging() as folder:
        hashed = {name: _tasks("hash", name, splits[name], folder) for name in dict.fromkeys(second for _, second in pairs)}
        _run([spec for specs in hashed.values() for spec in specs], "hashing validation and test", engine)
        compared = {}
        for name in dict.fromkeys(first for first, _ in pairs):
            against = {second: [spec["output"] for spec in hashed[second]] for first, second in pairs if first == name}
            compared[name] = [spec | {"against": against} for spec in _tasks("compare", name, splits[name], folder)]
        _run([spec for specs in compared.values() for spec in specs], "what the splits share", engine)
        return {
            f"{first}/{second}": _merged([load_facts(absolute(spec["output"]))[second] for spec in compared[first]], splits[second])
            for first, second in pairs
        }


def _tasks(task: str, split: str, parts: Sequence[Piece], folder: Path) -> list[dict[str, Any]]:
    """first: the number of a piece's first row in its split."""
    firsts = np.cumsum([0, *(part.stop - part.start for part in parts)]).tolist()
    return [
        {"task": task, "name": f"{split} {number}", "piece": part.plain(), "first": firsts[number],
         "output": relative(folder / f"{task}-{split}-{number}")}
        for number, part in enumerate(parts)
    ]  # fmt: skip


def _run(specs: Sequence[dict[str, Any]], what: str, engine: Engine) -> None:
    run_tasks(engine, work, specs, [spec["piece"]["bytes"] for spec in specs], what)


def work(spec: dict[str, Any]) -> None:
    """Hash a piece, or compare it with the hashes of others."""
    piece = Piece.of(spec["piece"])
    if spec["task"] == "hash":
        Folder(absolute(spec["output"])).make(lambda folder: save_facts(folder, lambda: vars(_Chunk.of(piece.texts()))))
    else:
        Folder(absolute(spec["output"])).make(lambda folder: save_facts(folder, lambda: _compared(piece, spec["first"], spec["against"])))


def _compared(piece: Piece, first: int, against: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    texts = piece.texts()
    ids, chunk = piece.table()["id"], _Chunk.of(texts)
    shared = {}
    for split, hashed in against.items():
        counts, nearest = _reference(tuple(hashed)).compare(chunk)
        rows = [[similarity, first + row, ids[row].as_py(), str(texts[row])[:_CUT], other] for similarity, row, other in nearest]
        shared[split] = counts | {"nearest": rows}
    return shared


def _merged(parts: Sequence[Mapping[str, Any]], other: Sequence[Piece]) -> dict[str, Any]:
    """The sums, and the nearest pairs of all; their other rows are looked up."""
    nearest = sorted((row for part in parts for row in part["nearest"]), key=lambda row: (-row[0], row[1]))[:_SHOWN]
    examples = []
    for similarity, _, name, text, row in nearest:
        other_name, other_text = _row(other, row)
        examples.append({"ids": [name, other_name], "similarity": round(similarity, 4), "texts": [text, other_text[:_CUT]]})
    sums = {name: sum(part[name] for part in parts) for name in ("exact", "near", "ngram_13")}
    return {"exact": sums["exact"], "near": sums["near"], "examples": examples, "ngram_13": sums["ngram_13"]}


def _row(parts: Sequence[Piece], row: int) -> tuple[str, str]:
    """Id and text of a row of a split."""
    for part in parts:
        if row < part.stop - part.start:
            return part.table()["id"][row].as_py(), str(part.texts()[row])
        row -= part.stop - part.start
    raise IndexError(row)


@dataclass
class _Chunk:
    """Hashes of some rows: each text as a sequence of words (16 bytes), its n-grams, its long n-grams; and signatures [size, rows]."""

    whole: Any
    grams: U64
    offsets: I64
    long: U64
    long_offsets: I64
    signatures: U32

    @staticmethod
    def of(texts: Any) -> _Chunk:
        whole: list[bytes] = []
        parts: dict[int, list[tuple[U64, I64]]] = {NGRAM: [], LONG: []}
        for hashes, words_of in worded(texts):
            ends = np.cumsum(words_of)
            whole += [xxhash.xxh3_128_digest(hashes.data[a:b]) for a, b in zip((ends - words_of).tolist(), ends.tolist(), strict=True)]
            for n, of_length in parts.items():
                of_length.append(ngrams(hashes, words_of, n))
        nothing = xxhash.xxh3_128_digest(b"")
        for row in [row for row, digest in enumerate(whole) if digest == nothing]:
            whole[row] = xxhash.xxh3_128_digest(b"text" + str(texts[row]).encode())  # without words: compared as it is
        grams, offsets = _joined(parts[NGRAM])
        signed = np.ascontiguousarray(signatures(grams, offsets, PERMUTATIONS).T)
        return _Chunk(np.array(whole, dtype="V16"), grams, offsets, *_joined(parts[LONG]), signed)

    @property
    def signed(self) -> tuple[U32, U64, I64]:
        return self.signatures, self.grams, self.offsets


def _joined(parts: list[tuple[U64, I64]]) -> tuple[U64, I64]:
    counts = np.concatenate([np.zeros(1, dtype=np.int64), *(counts for _, counts in parts)])
    return np.concatenate([np.empty(0, dtype=np.uint64), *(hashes for hashes, _ in parts)]), np.cumsum(counts)


@functools.lru_cache(maxsize=4)
def _reference(hashed: tuple[str, ...]) -> _Reference:
    """A split that others are compared with; a worker makes it once. hashed: the results of its tasks."""
    with staging() as folder:
        return _Reference([_Chunk(**load_facts(absolute(output))) for output in hashed], folder)


class _Reference:
    """What lookups among the rows of a split need. folder: for files that are mapped; they may be removed afterwards."""

    def __init__(self, chunks: Sequence[_Chunk], folder: Path) -> None:
        self._whole = {digest for chunk in chunks for digest in chunk.whole.tolist()}
        long = Gathered(folder)
        for chunk in chunks:
            long.add(chunk.long)
        self._long = long.among()
        self._near = Lookup(Grams([chunk.signed for chunk in chunks]), *bands(NEAR, PERMUTATIONS))

    def compare(self, chunk: _Chunk) -> tuple[dict[str, int], list[tuple[float, int, int]]]:
        """How many rows of a chunk are shared in each sense; and the nearest pairs: similarity, row of the chunk, row of the split."""
        hits = np.concatenate([[0], np.cumsum(self._long(chunk.long))])
        first, second, similarity = self._near.near(Grams([chunk.signed]), NEAR)
        by = np.lexsort((second, -similarity, first))
        by = by[np.flatnonzero(np.diff(first[by], prepend=-1))]  # of each row the nearest
        counts = {
            "exact": sum(digest in self._whole for digest in chunk.whole.tolist()),
            "near": len(by),
            "ngram_13": int((hits[chunk.long_offsets[1:]] > hits[chunk.long_offsets[:-1]]).sum()),
        }
        by = by[np.lexsort((first[by], -similarity[by]))[:_SHOWN]]
        return counts, list(zip(similarity[by].tolist(), first[by].tolist(), second[by].tolist(), strict=True))
