"""WARC and WET files as records: bounded in memory, past damaged places, and with a word where a file was cut."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

# Goes up when the same archive gives other pages.
VERSION = 2
_CHUNK = 1 << 18
_MAGIC = b"\x1f\x8b\x08"
_HEAD = b"WARC/1.1\r\nWARC-Type: response\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"


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
        data = self._next(most if most > 0 else _CHUNK)
        self._given += len(data)
        return data

    def _next(self, most: int) -> bytes:
        while True:
            if not self._packed:
                data, self._pending = self._pending[:most], self._pending[most:]
                return data or self._file.read(most)
            self._pending = self._pending or self._file.read(_CHUNK)
            if not self._pending:
                if self._unzip is not None:
                    self._unzip = None
                    raise Damaged("it ends in the middle of a gzip member")
                return b""
            self._unzip = self._unzip or zlib.decompressobj(wbits=31)
            try:
                data = self._unzip.decompress(self._pending, most)
            except zlib.error as error:
                self._skip()
                raise Damaged(f"a gzip member is damaged: {error}") from error
            self._pending = self._unzip.unconsumed_tail or self._unzip.unused_data
            if self._unzip.eof:
                self._unzip = None
                self._pending = self._pending.lstrip(b"\0")
            if data:
                return data

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
    """A response's status, type and body, decoded by fastwarc (chunks; gzip, deflate, brotli). limit: bytes of the body, decompressed."""
    try:
        response, decoded = _response(block, "all"), True
        body = response.reader.read(limit + 1)
    except OSError:
        response, decoded = _response(block, "none"), False
        body = response.reader.read(limit + 1)
    headers = response.http_headers
    if headers is None or headers.status_code is None:
        return Page(problem="no HTTP response")
    charset = response.http_charset
    page = Page(str(headers.status_code), (response.http_content_type or "").lower(), charset or None)
    encoding = (headers.get("Content-Encoding") or headers.get("Transfer-Encoding") or "").lower()
    # A body that is markup as it is: the archive undid the encoding and kept the header.
    if not decoded and not body.lstrip().startswith(b"<"):
        return replace(page, problem=f"damaged content encoding {encoding}")
    if len(body) > limit:
        return replace(page, problem="page too large, decompressed" if encoding and decoded else "page too large")
    return replace(page, body=body)


def _response(block: bytes, decode: Literal["none", "all"]) -> Any:
    """The content of a WARC record as a response of fastwarc."""
    from fastwarc.warc import WarcRecord

    response = WarcRecord.from_bytes(_HEAD % len(block) + block + b"\r\n\r\n")
    response.parse_http(auto_decode=decode, quirks_mode=True)
    return response
