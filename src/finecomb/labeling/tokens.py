"""Tokens, and spans as tags of tokens: IOB2 and BIOES (Ramshaw & Marcus 1995, cmp-lg/9505040; Tjong Kim Sang & Veenstra 1999).

A span that does not begin and end with tokens, and spans that overlap, have no tags: both are reported, none is dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.patterns import compiled
from finecomb.labeling.documents import Malformed, Span

# Start and end of each token, in code points; no token holds white space.
Tokeniser = Callable[[str], list[tuple[int, int]]]
TOKENISERS = ("words", "characters", "whitespace")
SCHEMES = ("iob2", "bioes")
_NOT_SPACE = re.compile(r"\S+")
_JOINERS = "\u200c\u200d"
# Han, kana, bopomofo, Hangul, and the ideographs beyond U+FFFF: a character is a token.
_CJK = (
    r"[\u2e80-\u2fdf\u3005\u3007\u3021-\u3029\u3040-\u30ff\u3100-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    r"\uf900-\ufaff\U00020000-\U0003ffff]"
)


def tokeniser(name: str) -> Tokeniser:
    """words: runs of letters, digits and their marks, and every other character by itself; characters: the same, with every Chinese,
    Japanese or Korean character by itself; whitespace: what stands between white space; anything else is a pattern (RE2) of a token.

    Raises:
        ConfigError: the pattern cannot be used.
    """
    if name == "whitespace":
        return lambda text: [match.span() for match in _NOT_SPACE.finditer(text)]
    if name in TOKENISERS:
        known = _tokens(name == "characters")
        return lambda text: [match.span() for match in known.finditer(text)]
    try:
        pattern = compiled(name, "--tokens")
    except ConfigError as error:
        what = f"{name!r} is not a tokenizer: {error.problems[0].what}"
        raise ConfigError(Problem(what, "--tokens", f"{', '.join(TOKENISERS)}, or a pattern")) from error
    return lambda text: [piece for match in pattern.finditer(text) for piece in _without_space(text, *match.span())]


def _without_space(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [(start + piece.start(), start + piece.end()) for piece in _NOT_SPACE.finditer(text[start:end])]


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


def to_tags(spans: Sequence[Span], tokens: Sequence[tuple[int, int]], text: str, scheme: str) -> list[str]:
    """A tag for each token. Raises Malformed, naming every span that has no tags."""
    if wrong := unaligned(spans, tokens, text) + overlapping(spans, text):
        raise Malformed("; ".join(wrong))
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


def scheme_of(tags: Sequence[str]) -> str:
    """The scheme that tags follow: "bioes" (also with L and U for E and S), "iob2", or "iob1", where B only parts neighbours."""
    if {tag[:2] for tag in tags} & {"E-", "S-", "L-", "U-"}:
        return "bioes"
    inside = [tag[2:] for tag in tags if tag.startswith("I-")]
    loose = any(tag.startswith("I-") and (before == "O" or before[2:] != tag[2:]) for before, tag in zip(["O", *tags], tags, strict=False))
    return "iob1" if inside and loose else "iob2"


def to_runs(tags: Sequence[str], scheme: str) -> list[tuple[int, int, str]]:
    """First token, last token and label of each span.

    scheme: "iob1", "iob2" or "bioes". Raises Malformed for a tag that may not stand where it does.
    """
    runs: list[tuple[int, int, str]] = []
    begun: int | None = None
    for index, tag in enumerate([*tags, "O"]):
        prefix, _, label = tag.partition("-")
        prefix = {"L": "E", "U": "S"}.get(prefix, prefix) if scheme == "bioes" else prefix
        known = ("O", "B", "I", "E", "S") if scheme == "bioes" else ("O", "B", "I")
        if prefix not in known or (prefix == "O") == bool(label):
            raise Malformed(f"{tag!r} is no tag of {scheme}")
        goes_on = begun is not None and prefix in ("I", "E") and tags[begun].partition("-")[2] == label
        if begun is not None and not goes_on:
            if scheme == "bioes":
                raise Malformed(f"{tag!r} follows {tags[index - 1]!r}, and no E- ended what {tags[begun]!r} began")
            runs.append((begun, index - 1, tags[begun].partition("-")[2]))
            begun = None
        if prefix in ("I", "E") and not goes_on:
            if scheme != "iob1":
                raise Malformed(f"{tag!r} where nothing of that label has begun")
            begun = index
        elif prefix == "B":
            begun = index
        elif prefix == "S":
            runs.append((index, index, label))
        elif prefix == "E" and begun is not None:
            runs.append((begun, index, label))
            begun = None
    return runs
