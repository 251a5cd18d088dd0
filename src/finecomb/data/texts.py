"""`Texts`: a column of texts that lies in Arrow memory, often a mapped file, and gives Python strings only to who asks for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 4096


class Texts(Sequence[str]):
    """Texts in one or several Arrow arrays, in an order of their own.

    chunks: pyarrow large_string arrays without nulls. order: which texts, counted over all chunks; None: all as they stand.
    """

    def __init__(self, chunks: Sequence[Any], order: NDArray[np.int64] | None = None) -> None:
        self._chunks = list(chunks)
        self._starts = np.cumsum([0, *(len(chunk) for chunk in self._chunks)], dtype=np.int64)
        self._order = order
        self._list: list[str] | None = None
        self._keep = False

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Python strings as an Arrow array."""
        import pyarrow

        return texts if isinstance(texts, Texts) else cls([pyarrow.array(list(texts), pyarrow.large_string())])

    @property
    def arrow(self) -> Any:
        """All texts as one pyarrow large_string array, without a copy where they are one already."""
        import pyarrow

        if self._order is None and len(self._chunks) == 1:
            return self._chunks[0]
        if self._order is None:
            return pyarrow.concat_arrays(self._chunks) if self._chunks else pyarrow.array([], pyarrow.large_string())
        # A chunk at a time: `take` of a chunked array makes one array of all its chunks first, however few rows are asked for.
        parts = [(at, self._taken(chunk, places)) for chunk, at, places in self._by_chunk(self._order)]
        if not parts:
            return pyarrow.array([], pyarrow.large_string())
        joined = pyarrow.concat_arrays([part.cast(pyarrow.large_string()) for _, part in parts])
        at = np.concatenate([at for at, _ in parts])
        return joined if (np.diff(at) == 1).all() else joined.take(pyarrow.array(np.argsort(at)))

    def __len__(self) -> int:
        return len(self._order) if self._order is not None else int(self._starts[-1])

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        strings = self._strings()
        if isinstance(index, slice):
            return strings[index] if strings is not None else self._some(np.arange(len(self), dtype=np.int64)[index])
        if strings is not None:
            return strings[index]
        row = range(len(self))[index]
        place = int(self._order[row]) if self._order is not None else row
        chunk = int(np.searchsorted(self._starts, place, side="right")) - 1
        text: str = self._chunks[chunk][place - int(self._starts[chunk])].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        if (strings := self._strings()) is not None:
            yield from strings
            return
        for start in range(0, len(self), _AT_ONCE):
            yield from self._some(np.arange(start, min(start + _AT_ONCE, len(self)), dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Texts({self[:5]!r}{', ...' if len(self) > 5 else ''})"

    def kept(self) -> Texts:
        """The same texts; their Python strings are made once, when the first is asked for: for a batch that several steps read."""
        self._keep = True
        return self

    def _strings(self) -> list[str] | None:
        if self._keep and self._list is None:
            self._list = (
                [text for chunk in self._chunks for text in chunk.to_pylist()]
                if self._order is None
                else self._some(np.arange(len(self), dtype=np.int64))
            )
        return self._list

    @property
    def bytes(self) -> int:
        """Bytes of all texts in UTF-8."""
        return int(self.lengths.sum())

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each text in UTF-8."""
        import pyarrow.compute as pc

        lengths = [pc.binary_length(chunk).to_numpy(zero_copy_only=False) for chunk in self._chunks]
        every = np.concatenate([np.empty(0, dtype=np.int64), *lengths])
        return every if self._order is None else every[self._order]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Texts:
        """These texts, in this order; nothing is copied."""
        wanted = np.asarray(rows, dtype=np.int64)
        return Texts(self._chunks, wanted if self._order is None else self._order[wanted])

    def _some(self, rows: NDArray[np.int64]) -> list[str]:
        """The strings of some rows, a chunk at a time."""
        places = self._order[rows] if self._order is not None else rows
        if not len(places):
            return []
        every = np.empty(len(places), dtype=object)
        for chunk, at, places_there in self._by_chunk(places):
            strings = self._taken(chunk, places_there).to_pylist()
            if len(at) == len(places):
                return strings
            every[at] = strings
        return every.tolist()

    def _by_chunk(self, places: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """For each chunk that holds some of these places: its number, which of them it holds, and these."""
        chunks = np.searchsorted(self._starts, places, side="right") - 1
        by = np.argsort(chunks, kind="stable")
        edges = np.flatnonzero(np.diff(chunks[by], prepend=-1, append=-1)).tolist() if len(by) else []
        for start, end in itertools.pairwise(edges):
            yield int(chunks[by[start]]), by[start:end], places[by[start:end]]

    def _taken(self, chunk: int, places: NDArray[np.int64]) -> Any:
        """An Arrow array of some texts of one chunk, without a copy where they follow each other."""
        local = places - self._starts[chunk]
        if len(local) > 1 and (np.diff(local) == 1).all():
            return self._chunks[chunk].slice(int(local[0]), len(local))
        return self._chunks[chunk].take(local)


def pieces(texts: Sequence[str], most_bytes: int = 8 << 20, most_rows: int = 20_000) -> Iterator[range]:
    """Runs of rows that fit in memory easily: so many bytes of text (a longer text is alone) and rows at most. Without rows one, empty."""
    lengths = texts.lengths if isinstance(texts, Texts) else np.array([len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(lengths)
    start = 0
    while True:
        before = int(ends[start - 1]) if start else 0
        end = min(start + most_rows, max(start + 1, int(np.searchsorted(ends, before + most_bytes, side="right"))), len(texts))
        yield range(start, end)
        start = end
        if start >= len(texts):
            return
