"""Lists of words and terms, found in a text all at once and in linear time (RE2), whatever the script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.patterns import compiled
from finecomb.data.scripts import UNSPACED

_MEMORY = 1 << 29  # bytes that RE2 may use for a pattern: some 500,000 terms
_UNSPACED = re.compile(f"[{UNSPACED}]")
_LETTER = r"[\pL\pN_]"


class Terms:
    """Terms of a list, in upper or lower case. A letter or digit beside a term makes it another word, but for scripts without spaces."""

    def __init__(self, terms: Sequence[str], where: str) -> None:
        """where: the key that names them, for messages. Raises ConfigError when there are more than a pattern can hold."""
        longest_first = sorted({term.strip() for term in terms if term.strip()}, key=lambda term: (-len(term), term))
        sides = [(_bounded(term[0]), term, _bounded(term[-1])) for term in longest_first]
        self._sides = {
            (left, right): compiled("|".join(map(_escaped, each)), where, any_case=True, longest=True)
            for (left, right), each in _by_side(sides)
        }
        bounded = [
            ("(?:^|[^\\pL\\pN_])" if left else "") + f"(?:{'|'.join(map(_escaped, each))})" + ("(?:$|[^\\pL\\pN_])" if right else "")
            for (left, right), each in _by_side(sides)
        ]
        self._any = compiled(f"(?i)(?:{'|'.join(bounded)})", where)

    def search(self, text: str) -> Any:
        """Whether any term stands in the text; None if not."""
        return self._any.search(text)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where terms stand, as code points (end exclusive), from left to right, the longest first; none overlaps another."""
        kept: list[tuple[int, int]] = []
        every = sorted(
            {span for (left, right), pattern in self._sides.items() for span in _whole(pattern, text, left=left, right=right)},
            key=lambda span: (span[0], -span[1]),
        )
        for start, end in every:
            if not kept or start >= kept[-1][1]:
                kept.append((start, end))
        return kept


def read_terms(name: str, where: str) -> list[str]:
    """The terms of a file, one in each line, UTF-8; empty lines are skipped. Raises ConfigError when it cannot be read or holds none."""
    path = Path(name).expanduser()
    if not path.is_file():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, beside)
        raise ConfigError(
            Problem(f"there is no file {path}", where, "a file with one term in each line", f"did you mean {near}?" if near else "")
        )
    try:
        terms = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise ConfigError(Problem(f"{path} is not UTF-8", where, hint="convert it first: iconv -f latin1 -t utf-8")) from error
    if not terms:
        raise ConfigError(Problem(f"{path} holds no term", where, "one term in each line"))
    return terms


def _bounded(character: str) -> bool:
    """Whether a letter beside it would belong to the same word."""
    return (character.isalnum() or character == "_") and not _UNSPACED.match(character)


def _by_side(sides: Sequence[tuple[bool, str, bool]]) -> Iterator[tuple[tuple[bool, bool], list[str]]]:
    for left in (True, False):
        for right in (True, False):
            if each := [term for one, term, other in sides if (one, other) == (left, right)]:
                yield (left, right), each


def _escaped(term: str) -> str:
    import re2

    # A term of several words may be broken over lines.
    return r"\s+".join(str(re2.escape(word)) for word in term.split())


def _whole(pattern: Any, text: str, *, left: bool, right: bool) -> Iterator[tuple[int, int]]:
    """Matches that no letter touches on the sides that have a boundary; at a place where the longest is touched, shorter ones are tried."""
    at = 0
    while (match := pattern.search(text, at)) is not None:
        start, end = match.start(), match.end()
        if left and start and _bounded(text[start - 1]):
            at = start + 1
            continue
        while end > start and right and end < len(text) and _bounded(text[end]):
            end = next((short for short in range(end - 1, start, -1) if pattern.fullmatch(text, start, short)), start)
        if end > start:
            yield start, end
        at = max(end, start + 1)
