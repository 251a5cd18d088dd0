"""Labeled spans of a text, its tokens, and spans as tags of tokens: IOB2 and BIOES (Ramshaw & Marcus 1995, cmp-lg/9505040; Tjong Kim Sang
& Veenstra 1999).

A span that does not begin and end with tokens, and spans that overlap, have no tags.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

VERSION = "1"

_JOINERS = "\u200c\u200d"
# Han, kana, bopomofo, Hangul, and the ideographs beyond U+FFFF: a character is a token.
_CJK = (
    r"[\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    r"\uf900-\ufaff\U00020000-\U0003ffff]"
)


@dataclass(frozen=True, order=True)
class Span:
    """A labeled piece of a text: text[start:end], in code points."""

    start: int
    end: int
    label: str


def token_places(text: str, *, alone: bool) -> list[tuple[int, int]]:
    """Start and end of each token, in code points: runs of letters, digits and their marks, and every other character by itself.

    alone: every Chinese, Japanese or Korean character is a token too.
    """
    return [match.span() for match in _tokens(alone).finditer(text)]


@cache
def _tokens(alone: bool) -> re.Pattern[str]:
    """A mark or joiner belongs to the character before it, whatever that is: an accent to its letter, a variation selector to its emoji."""
    marks = {number for number in range(0x300, 0xE01F0) if unicodedata.category(chr(number))[0] == "M"}
    first, last = sorted(each for each in marks if each - 1 not in marks), sorted(each for each in marks if each + 1 not in marks)
    attached = "[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(first, last, strict=True)) + _JOINERS + "]"
    if alone:
        return re.compile(rf"{_CJK}{attached}*|(?:(?!{_CJK})\w{attached}*)+|\S{attached}*")
    return re.compile(rf"\w+(?:{attached}+\w*)*|\S{attached}*")


def unaligned(spans: Sequence[Span], tokens: Sequence[tuple[int, int]], text: str) -> list[str]:
    """For each span that does not begin and end with tokens, why."""
    starts, ends = {start for start, _ in tokens}, {end for _, end in tokens}
    reasons = []
    for span in spans:
        edges = [
            name for name, edge, known in (("begins", span.start, starts), ("ends", span.end, ends)) if edge not in known
        ]  # fmt: skip
        if edges:
            reasons.append(f"{shown(span, text)} {' and '.join(edges)} inside a token or on white space")
    return reasons


def overlapping(spans: Sequence[Span], text: str) -> list[str]:
    """For each span that overlaps one before it, which."""
    reasons, last = [], None
    for span in sorted(spans):
        if last is not None and span.start < last.end:
            reasons.append(f"{shown(span, text)} overlaps {shown(last, text)}")
        if last is None or span.end > last.end:
            last = span
    return reasons


def shown(span: Span, text: str) -> str:
    """A span in words."""
    piece = text[span.start : span.end]
    return f"the span {span.start}..{span.end} {piece if len(piece) <= 40 else piece[:40] + '...'!r} ({span.label})"


def to_tags(spans: Sequence[Span], tokens: Sequence[tuple[int, int]], scheme: str) -> list[str]:
    """A tag for each token, in the scheme "iob2" or "bioes", of spans that begin and end with tokens and do not overlap."""
    tags = ["O"] * len(tokens)
    at = {start: index for index, (start, _) in enumerate(tokens)}
    for span in spans:
        first = last = at[span.start]
        while tokens[last][1] < span.end:
            last += 1
        for index in range(first, last + 1):
            tags[index] = f"{_prefix(index, first, last, scheme)}-{span.label}"
    return tags


def _prefix(index: int, first: int, last: int, scheme: str) -> str:
    if scheme == "bioes" and first == last:
        return "S"
    if index == first:
        return "B"
    return "E" if scheme == "bioes" and index == last else "I"
