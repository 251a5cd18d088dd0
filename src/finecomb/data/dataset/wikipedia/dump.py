"""A MediaWiki export as pages: bzip2 in one stream or many, or plain XML; read in order, in bounded memory, whatever is wrong with it.

A page's element is cut out of the bytes before it is parsed (inside a text `<` is always written as a reference), so that a broken page
breaks nothing but itself, and so that no document type, and with it no entity, can be declared for a page.
"""

from __future__ import annotations

import bz2
import codecs
import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from finecomb.core.errors import ConfigError, Problem

_CHUNK = 1 << 20
_HEAD_BYTES = 1 << 20
_OPEN, _CLOSE = b"<page>", b"</page>"
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", b"<\0?\0": "utf-16-le", b"\0<\0?": "utf-16-be",
          b"<\0m\0": "utf-16-le", b"\0<\0m": "utf-16-be"}  # fmt: skip


@dataclass(frozen=True)
class Site:
    """The head of a dump: which wiki it is of.

    base: the address that a title's address is made from, ending in a slash. namespaces: number -> name.
    """

    base: str = ""
    database: str = ""
    language: str = "en"
    namespaces: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """One page in its latest revision in the dump. `broken` says why the rest could not be read."""

    id: str = ""
    title: str = ""
    namespace: int = 0
    redirect: bool = False
    time: str | None = None
    model: str = "wikitext"
    text: str = ""
    broken: str | None = None


class Cut(Exception):
    """The file ends, or stops being bzip2, in the middle; what came before it was given."""


def decompressed(file: IO[bytes], *, compressed: bool, end: float = math.inf) -> Iterator[bytes]:
    """The bytes of an open file up to `end`, decompressed, in chunks; any number of bzip2 streams. Raises Cut, after the last chunk."""
    stream, begun, pending = bz2.BZ2Decompressor(), False, b""
    while True:
        if not pending and stream.needs_input and not (pending := file.read(int(min(_CHUNK, end - file.tell())))):
            break
        try:
            chunk, pending = (stream.decompress(pending, max_length=_CHUNK), b"") if compressed else (pending, b"")
        except OSError as error:
            raise Cut(f"it stops being bzip2 near byte {file.tell():,}") from error
        begun = compressed
        if chunk:
            yield chunk
        if stream.eof:
            pending, stream, begun = stream.unused_data, bz2.BZ2Decompressor(), False
    if begun:
        raise Cut(f"it ends in the middle of a bzip2 stream, at byte {file.tell():,}")


def as_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same text in UTF-8; dumps of MediaWiki are, what people made of them may be UTF-16."""
    first = next(chunks, b"")
    encoding = next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)
    if encoding is None:
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    for text in codecs.iterdecode(itertools.chain([first], chunks), encoding, "replace"):
        yield text.encode()


def elements(chunks: Iterator[bytes], limit: int) -> Iterator[bytes | None]:
    """The head of a dump (what stands before its first page), then the bytes of each page; None for a page of more than `limit` bytes.

    Raises Cut, after the last whole page, where the bytes end inside a page or the file is cut.
    """
    buffer, start, inside, headed, skipping = b"", 0, False, False, False
    failed: Cut | None = None
    chunks = iter(chunks)
    while True:
        mark = _CLOSE if inside else _OPEN
        at = buffer.find(mark, start)
        if at < 0:
            buffer, start = buffer[start:], 0
            if inside and len(buffer) > limit:
                skipping, buffer = True, buffer[-len(_CLOSE) :]
            elif headed and not inside:
                buffer = buffer[-len(_OPEN) :]
            elif not headed and len(buffer) > _HEAD_BYTES:
                break
            try:
                buffer += next(chunks)
                continue
            except StopIteration:
                break
            except Cut as cut:
                failed = cut
                break
        if inside:
            yield None if skipping or at - start > limit else buffer[start : at + len(_CLOSE)]
            skipping, start = False, at + len(_CLOSE)
        else:
            if not headed:
                headed = True
                yield buffer[:at]
            start = at
        inside = not inside
    if not headed and not failed:
        yield buffer[:_HEAD_BYTES]
    if failed or inside:
        raise failed or Cut("it ends in the middle of a page")


def read_site(head: bytes, place: str) -> Site:
    """The head of a dump. Raises ConfigError for what is not the head of a MediaWiki export."""
    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
        raise ConfigError(Problem("this XML declares a document type, which no dump of MediaWiki does: it is not read", place))
    if b"<mediawiki" not in head:
        said = head[:60].decode("utf-8", "replace")
        hint = "name a file such as enwiki-20260101-pages-articles-multistream.xml.bz2"
        raise ConfigError(Problem(f"this is not a dump of MediaWiki: it begins with {said!r}", place, hint=hint))
    language = re.search(rb'xml:lang="([\w-]+)"', head)
    try:
        info = re.search(rb"<siteinfo>.*?</siteinfo>", head, re.DOTALL)
        root = ElementTree.fromstring(info[0]) if info else ElementTree.Element("siteinfo")
    except ElementTree.ParseError as error:
        raise ConfigError(Problem(f"the head of the dump is broken: {error}", place)) from error
    names = {int(each.get("key", "0")): each.text or "" for each in root.iter("namespace") if each.get("key", "").lstrip("-").isdigit()}
    base = root.findtext("base") or ""
    return Site(base[: base.rfind("/") + 1], root.findtext("dbname") or "", language[1].decode() if language else "en", names)


def read_page(element: bytes | None, limit: int) -> Page:
    """A page's element as a page; what is wrong with it is told in `broken`."""
    if element is None:
        return Page(broken=f"the page has more than {limit:,} bytes")
    try:
        root = ElementTree.fromstring(element)
    except (ElementTree.ParseError, ValueError) as error:
        return Page(broken=f"broken XML: {error}", text=element[:2000].decode("utf-8", "replace"))
    revisions = root.findall("revision")
    identifier, title = (root.findtext("id") or "").strip(), root.findtext("title") or ""
    if not identifier.isdigit() or not title or not revisions:
        lacking = [name for name, there in (("id", identifier.isdigit()), ("title", title), ("revision", revisions)) if not there]
        return Page(identifier, title, broken=f"the page has no {' and no '.join(lacking)}")
    latest = revisions[-1]
    text = latest.findtext("text") or ""
    namespace = (root.findtext("ns") or "0").strip()
    return Page(
        identifier,
        title,
        int(namespace) if namespace.lstrip("-").isdigit() else 0,
        root.find("redirect") is not None or text[:12].lower().startswith("#redirect"),
        latest.findtext("timestamp"),
        latest.findtext("model") or "wikitext",
        text,
    )


def read_index(path: Path) -> list[int]:
    """Where the streams of a multistream dump begin, from its index (`offset:page id:title` lines, bzip2 or plain)."""
    try:
        with bz2.open(path) if path.suffix == ".bz2" else path.open("rb") as lines:
            return sorted({int(line.partition(b":")[0]) for line in lines if line.strip()})
    except (ValueError, OSError, EOFError) as error:
        raise ConfigError(Problem(f"this is not the index of a multistream dump: {error}", str(path), "lines of offset:page:title",
                                "dataset.index=...-multistream-index.txt.bz2, or null")) from error  # fmt: skip
