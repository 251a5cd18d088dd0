"""WARC and WET files as records: bounded in memory, past damaged places, and with a word where a file was cut."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

_CHUNK = 1 << 18
_MAGIC = b"\x1f\x8b\x08"


@dataclass(frozen=True)
class Record:
    """One record. kind: its WARC-Type. headers: names in lower case. block: its content, None where it is larger than was allowed.

    damage: why nothing more could be read here; such a record holds nothing else.
    """

    kind: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    block: bytes | None = None
    damage: str | None = None


class Damaged(OSError):
    """The compressed bytes make no sense, or end too early."""


class Members:
    """A gzip file of many members (or any other file, as it is) to be read; after `Damaged`, from the next member on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._pending = file.read(_CHUNK)
        self._packed = self._pending.startswith(_MAGIC[:2])
        self._unzip: Any = None
        self._given = 0

    def tell(self) -> int:
        """How many bytes were given; the reader of archives wants to know."""
        return self._given

    def read(self, most: int = -1) -> bytes:
        """Bytes of one member at most, so that a damaged one costs none of those before it."""
        found = self._next(most if most > 0 else _CHUNK)
        self._given += len(found)
        return found

    def _next(self, most: int) -> bytes:
        while True:
            if not self._packed:
                found, self._pending = self._pending[:most], self._pending[most:]
                return found or self._file.read(most)
            self._pending = self._pending or self._file.read(_CHUNK)
            if not self._pending:
                if self._unzip is not None:
                    self._unzip = None
                    raise Damaged("it ends in the middle of a gzip member")
                return b""
            self._unzip = self._unzip or zlib.decompressobj(wbits=31)
            try:
                found = self._unzip.decompress(self._pending, most)
            except zlib.error as error:
                self._skip()
                raise Damaged(f"a gzip member is damaged: {error}") from error
            self._pending = self._unzip.unconsumed_tail or self._unzip.unused_data
            if self._unzip.eof:
                self._unzip = None
                self._pending = self._pending.lstrip(b"\0")
            if found:
                return found

    def _skip(self) -> None:
        """Go to where the next member may begin."""
        self._unzip = None
        self._pending = self._pending[1:]
        while True:
            at = self._pending.find(_MAGIC)
            if at >= 0:
                self._pending = self._pending[at:]
                return
            more = self._file.read(_CHUNK)
            if not more:
                self._pending = b""
                return
            self._pending = self._pending[-2:] + more


def records(path: Path, limit: int) -> Iterator[Record]:
    """The records of a WARC or WET file, plain or gzip. limit: bytes of a record; a larger one comes without its block."""
    with path.open("rb") as file:
        yield from _records(Members(file), limit)


def records_of(data: bytes, limit: int) -> Iterator[Record]:
    """The records in some bytes of such a file."""
    return _records(Members(io.BytesIO(data)), limit)


def _records(members: Any, limit: int) -> Iterator[Record]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    while True:
        try:
            for each in ArchiveIterator(members, parse_http=False, record_types=WarcRecordType.any_type):
                headers = {name.lower(): value for name, value in each.headers.items()}
                kind = headers.get("warc-type", "unknown")
                if each.content_length > limit:
                    yield Record(kind, headers)
                    continue
                block = each.reader.read()
                if len(block) < each.content_length:
                    yield Record(damage="it ends in the middle of a record")
                    return
                yield Record(kind, headers, block)
            return
        except Damaged as error:
            yield Record(damage=str(error))
        except OSError as error:
            # Not gzip's damage but the format's: where the next record begins cannot be known.
            yield Record(damage=f"this is not a WARC record: {error}")
            return


@dataclass(frozen=True)
class Page:
    """What an HTTP response holds. problem: why its body cannot be used."""

    status: str = ""
    mime: str = ""
    charset: str | None = None
    body: bytes = b""
    problem: str | None = None


def http_page(block: bytes, limit: int) -> Page:
    """A response's status, type and body. limit: bytes of the body, decompressed."""
    head, separator, body = block.partition(b"\r\n\r\n")
    if not separator:
        head, separator, body = block.partition(b"\n\n")
    first, *lines = head.decode("latin-1").splitlines() or [""]
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2:
        return Page(problem="no HTTP response")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    mime, _, rest = headers.get("content-type", "").partition(";")
    charset = next((part.split("=", 1)[1].strip(" \"'") for part in rest.split(";") if part.strip().lower().startswith("charset=")), None)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    try:
        body = _decoded(body, headers.get("content-encoding", "").lower(), limit)
    except ValueError as error:
        return Page(words[1], mime.strip().lower(), charset, problem=str(error))
    return Page(words[1], mime.strip().lower(), charset or None, body)


def _unchunked(body: bytes) -> bytes:
    """The chunks' content; a body that is not in chunks, because the archive undid them, as it is."""
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at)
        try:
            size = int(body[at:end].split(b";")[0], 16) if 0 <= end - at <= 200 else -1
        except ValueError:
            size = -1
        if size < 0:
            return b"".join(pieces) if pieces else body
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


def _decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its content encoding. Raises ValueError for one that is unknown or gives too many bytes."""
    if encoding in ("gzip", "x-gzip", "deflate") and (encoding == "deflate" or body.startswith(_MAGIC[:2])):
        for bits in (47,) if encoding != "deflate" else (47, -15):
            unzip = zlib.decompressobj(wbits=bits)
            try:
                found = unzip.decompress(body, limit + 1)
            except zlib.error:
                continue
            if len(found) > limit:
                raise ValueError("page too large, decompressed")
            return found
        raise ValueError(f"damaged content encoding {encoding}")
    if encoding == "br" and body[:1] not in (b"<", b" ", b"\n"):
        raise ValueError("content encoding br")
    if len(body) > limit:
        raise ValueError("page too large")
    return body
