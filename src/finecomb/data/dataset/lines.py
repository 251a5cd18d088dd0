"""Lines of a text file of any size, in groups of about 1 MB: decoded, numbered, and with what cannot be read marked."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.broken import ENCODING, LONG, NUL, SHOWN, Broken
from finecomb.data.dataset.compressed import Damaged, blocks
from finecomb.data.dataset.file_search import File

LONGEST = 1 << 25
# Bytes that are not of the encoding are decoded to these characters, which no proper text holds, so that the line they are in can be told.
_MARK = 0xDC00
_UNREADABLE = re.compile("[\\0\udc00-\udcff]")
_BYTE_ORDER = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def _marked(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(_MARK + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error("finecomb.marked", _marked)


@dataclass
class Group:
    """Whole lines one after another, without their line feeds. first: number of the first. tainted: some hold what cannot be read.

    broken: lines that are not among them. damaged: why the file ends here although it should not.
    """

    first: int
    lines: list[str]
    tainted: bool = False
    broken: list[Broken] = field(default_factory=list)
    damaged: Damaged | None = None


class Decoder:
    """Bytes in, text out; what is not of the encoding is marked. Raises ConfigError for an unknown encoding, or another one altogether."""

    def __init__(self, encoding: str, file: File) -> None:
        self.encoding, self._file, self._began, self._head = encoding, file, False, b""
        try:
            "".encode(encoding)  # a codec that is none of text, such as hex, is refused here too
            name = codecs.lookup(encoding).name
        except LookupError as error:
            allowed = "utf-8, utf-16, latin-1, cp1252, ..."
            raise ConfigError(Problem(f"unknown encoding {encoding!r}", "dataset.encoding", allowed=allowed)) from error
        self._name = name
        self._decoder: Any = codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)("strict")

    def decode(self, data: bytes, *, final: bool = False) -> tuple[str, bool]:
        """The text, and whether some of it is marked or holds NUL."""
        data, self._head = self._head + data, b""
        if not self._began and len(data) < 2 and not final:
            self._head = data
            return "", False
        self._look(data)
        state = self._decoder.getstate()
        try:
            text: str = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            self._decoder.setstate(state)
            self._decoder.errors = "finecomb.marked"
            text = self._decoder.decode(data, final)
            self._decoder.errors = "strict"
            return text, True
        return text, "\0" in text

    def _look(self, data: bytes) -> None:
        if self._began or not data:
            return
        self._began = True
        looks_like = _BYTE_ORDER.get(data[:2])
        if self._name == "utf-16" and looks_like is None:  # without a mark of its byte order
            self._decoder = codecs.getincrementaldecoder("utf-16-le" if sys.byteorder == "little" else "utf-16-be")("strict")
        if looks_like and not self.encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
            what = f"byte {data[0]:#04x} is not {self.encoding}; the file looks like {looks_like}"
            raise ConfigError(Problem(what, f"{self._file.path}, line 1", hint=f"set dataset.encoding={looks_like}"))


def fault(text: str, encoding: str, line: int) -> Broken | None:
    """What cannot be read in a text of a tainted group, or None."""
    match = _UNREADABLE.search(text)
    if match is None:
        return None
    shown = "".join("\ufffd" if _UNREADABLE.match(letter) else letter for letter in text[:SHOWN])
    if match[0] == "\0":
        return Broken(line, NUL, text=shown)
    return Broken(line, ENCODING, f"byte {ord(match[0]) - _MARK:#04x} is not {encoding}", shown)


def groups(file: File, encoding: str) -> Iterator[Group]:
    """The lines of a file in order. The last group tells where a file is damaged; its last, unfinished line is not given."""
    decoder, number = Decoder(encoding, file), 1
    rest: list[str] = []
    length, skipping, tainted = 0, False, False
    damaged: Damaged | None = None
    source = blocks(file)
    while True:
        try:
            data = next(source, None)
        except Damaged as error:
            data, damaged = None, error
        if damaged is not None:
            damaged.text = "".join(rest)[:SHOWN]
            yield Group(number, [], damaged=damaged)
            return
        text, spoilt = decoder.decode(data or b"", final=data is None)
        tainted = tainted or spoilt
        end = text.rfind("\n")
        if end < 0 and data is not None:
            length += len(text)
            if not skipping:
                rest.append(text)
            if length > LONGEST and not skipping:
                yield Group(number, [], broken=[Broken(number, LONG, text="".join(rest)[:SHOWN])])
                rest, skipping = [], True
            continue
        head, tail = (text[:end], text[end + 1 :]) if end >= 0 else (text, "")
        lines = ("".join(rest) + head).split("\n")
        if skipping:  # the end of a line that is too long
            lines, number, skipping = lines[1:], number + 1, False
        if data is None:
            lines += [tail] if tail else []
            if lines == [""]:
                lines = []
        if lines:
            yield Group(number, lines, tainted)
        if data is None:
            return
        number += len(lines)
        rest, length, tainted = [tail], len(tail), bool(tail) and tainted


def bare(line: str) -> str:
    """A line without the carriage return of its end."""
    return line[:-1] if line.endswith("\r") else line
