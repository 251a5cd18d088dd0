"""Tokens, and spans as tags of tokens: IOB2 and BIOES (Ramshaw & Marcus 1995, cmp-lg/9505040; Tjong Kim Sang & Veenstra 1999).

A span that does not begin and end with tokens, and spans that overlap, have no tags: both are reported, none is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.patterns import compiled
from finecomb.data.spans import Span, overlapping, token_places, unaligned
from finecomb.data.spans import to_tags as spans_as_tags
from finecomb.labeling.documents import Malformed

# Start and end of each token, in code points; no token holds white space.
Tokeniser = Callable[[str], list[tuple[int, int]]]
TOKENISERS = ("words", "characters", "whitespace")
SCHEMES = ("iob2", "bioes")
_NOT_SPACE = re.compile(r"\S+")


def tokeniser(name: str) -> Tokeniser:
    """words: runs of letters, digits and their marks, and every other character by itself; characters: the same, with every Chinese,
    Japanese or Korean character by itself; whitespace: what stands between white space; anything else is a pattern (RE2) of a token.

    Raises:
        ConfigError: the pattern cannot be used.
    """
    if name == "whitespace":
        return lambda text: [match.span() for match in _NOT_SPACE.finditer(text)]
    if name in TOKENISERS:
        return lambda text: token_places(text, alone=name == "characters")
    try:
        pattern = compiled(name, "--tokens")
    except ConfigError as error:
        what = f"{name!r} is not a tokenizer: {error.problems[0].what}"
        raise ConfigError(Problem(what, "--tokens", f"{', '.join(TOKENISERS)}, or a pattern")) from error
    return lambda text: [piece for match in pattern.finditer(text) for piece in _without_space(text, *match.span())]


def _without_space(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [(start + piece.start(), start + piece.end()) for piece in _NOT_SPACE.finditer(text[start:end])]


def to_tags(spans: Sequence[Span], tokens: Sequence[tuple[int, int]], text: str, scheme: str) -> list[str]:
    """A tag for each token. Raises Malformed, naming every span that has no tags."""
    if wrong := unaligned(spans, tokens, text) + overlapping(spans, text):
        raise Malformed("; ".join(wrong))
    return spans_as_tags(spans, tokens, scheme)


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
