"""A text file that is read as a whole."""

from __future__ import annotations

from pathlib import Path

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.compressed import Damaged, whole
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.lines import Decoder, fault

_LARGEST = 1 << 30


def read_text(path: Path, encoding: str) -> str:
    """The text of a file that fits in memory. Raises ConfigError, with the line, for bytes that are not text in that encoding."""
    file = File(path, path.name)
    try:
        data = whole(file, _LARGEST)
    except Damaged as error:
        what = f"cannot read {path.name}: {error.detail or error.reason}"
        raise ConfigError(Problem(what, str(path), hint="is it complete, and a file you may read?")) from error
    if not data.strip():
        raise ConfigError(Problem(f"{path.name} is empty", str(path)))
    text, tainted = Decoder(encoding, file).decode(data, final=True)
    if tainted and (unreadable := fault(text, encoding, 1)):
        at = next(number for number, line in enumerate(text.split("\n"), start=1) if fault(line, encoding, number))
        raise ConfigError(Problem(unreadable.message, f"{path}, line {at}", hint="set dataset.encoding to what the file was written in"))
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends (line feed, or carriage return and line feed: other separators occur inside texts)."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
