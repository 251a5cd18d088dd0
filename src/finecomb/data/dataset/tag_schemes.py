"""Schemes of tags for entities: found from the tags themselves, checked, and turned into BIO, in which all rows are stored.

BIO (IOB2): each entity begins with B-TYPE and continues with I-TYPE (Ramshaw and Marcus 1995, Tjong Kim Sang and Veenstra 1999). IOB1: an
entity begins with I-TYPE, and with B-TYPE only directly after another one of its type. BIOES: E-TYPE ends an entity, S-TYPE is one of a
single token (also written L and U). Tags of another form, such as parts of speech, have no scheme and stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.rows import Rows

VERSION = "1"

SCHEMES = ("detect", "bio", "bioes", "iob1", "none")
OUTSIDE = "O"
_BILOU = {"L": "E", "U": "S"}


def in_bio(splits: Mapping[str, Rows], scheme: str, declared: list[str] | None) -> tuple[dict[str, Rows], list[str], str]:
    """Rows with tags in BIO, the names of all tags in order, and the scheme that the tags were in.

    Args:
        splits: Rows whose labels are lists of tags.
        scheme: One of SCHEMES; detect: found from the tags.
        declared: Names of tags that the source knows, of which some may occur nowhere.

    Raises:
        ConfigError: A row breaks the scheme.
    """
    converted, scheme = to_bio(splits, scheme)
    present = {tag for labels in converted.values() for label in labels for tag in label}
    if scheme == "none":
        names = [*(declared or ()), *sorted(present - set(declared or ()))]
    else:
        names = names_of(present | {tag for tag in declared or () if _split(tag)[0]}, scheme)
    return {name: replace(rows, label=converted[name]) for name, rows in splits.items()}, names, scheme


def to_bio(splits: Mapping[str, Rows], scheme: str) -> tuple[dict[str, list[list[str]]], str]:
    """The tags of every split in BIO, and the scheme that they were in.

    Args:
        splits: Rows whose labels are lists of tags.
        scheme: One of SCHEMES; detect: found from the tags of all splits.

    Raises:
        ConfigError: A row breaks the scheme; the first rows are named.
    """
    rows_of = {name: [_plain_letters(label) for label in rows.label] for name, rows in splits.items()}
    if scheme == "detect":
        scheme = detect(label for labels in rows_of.values() for label in labels)
    if scheme == "none":
        return {name: [list(label) for label in rows.label] for name, rows in splits.items()}, scheme
    problems: list[Problem] = []
    converted: dict[str, list[list[str]]] = {}
    for name, labels in rows_of.items():
        converted[name] = []
        for row, label in enumerate(labels):
            if (wrong := _broken(label, scheme)) is not None and len(problems) < 5:
                hint = "correct the file, or name its scheme: dataset.tag_scheme=" + "|".join(SCHEMES[1:])
                problems.append(Problem(f"{wrong} breaks the scheme {scheme}", f"{name}, {splits[name].place(row)}", hint=hint))
            converted[name].append(_converted(label, scheme))
    if problems:
        raise ConfigError(problems)
    return converted, scheme


def detect(labels: Iterable[Sequence[str]]) -> str:
    """bio, bioes, iob1, or none where some tag is of another form."""
    begins_inside = other_b = ends = prefixed = False
    for label in labels:
        before = OUTSIDE
        for tag in label:
            kind, name = _split(tag)
            if kind == "":
                return "none"
            prefixed |= kind != OUTSIDE
            ends |= kind in "ES"
            goes_on = name == _split(before)[1]
            begins_inside |= kind == "I" and not goes_on
            other_b |= kind == "B" and not goes_on
            before = tag
    if not prefixed:
        return "none"
    return "bioes" if ends else "iob1" if begins_inside and not other_b else "bio"


def names_of(tags: Iterable[str], scheme: str) -> list[str]:
    """The names of all tags in order: of a scheme O, then B and I of each type; else sorted."""
    present = set(tags)
    if scheme == "none":
        return sorted(present)
    types = sorted({_split(tag)[1] for tag in present if tag != OUTSIDE})
    return [OUTSIDE, *(f"{kind}-{name}" for name in types for kind in "BI")]


def _plain_letters(label: Sequence[str]) -> list[str]:
    return [f"{_BILOU[tag[0]]}{tag[1:]}" if tag[:2] in ("L-", "U-") else tag for tag in label]


def _split(tag: str) -> tuple[str, str]:
    """The letter and the type of a tag; ("", "") for a tag of another form."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    return (tag[0], tag[2:]) if len(tag) > 2 and tag[1] == "-" and tag[0] in "BIES" else ("", "")


def _broken(label: Sequence[str], scheme: str) -> str | None:
    """The first place where tags break a scheme; None where they keep it."""
    before, inside = OUTSIDE, ""  # inside: the type of an entity that has to go on (bioes)
    for number, tag in enumerate(label, start=1):
        kind, name = _split(tag)
        after = f"tag {number}, {tag!r} after {before!r},"
        if kind == "" or (kind in "ES" and scheme != "bioes"):
            return f"tag {number}, {tag!r},"
        if scheme == "bio" and kind == "I" and name != _split(before)[1]:
            return after
        if scheme == "bioes":
            goes_on = kind in "IE" and name == inside
            if (inside and not goes_on) or (not inside and kind in "IE"):
                return after
            inside = name if kind in "BI" else ""
        before = tag
    return f"the end after {before!r}" if inside else None


def _converted(label: Sequence[str], scheme: str) -> list[str]:
    """Tags in BIO."""
    converted, before = [], OUTSIDE
    for tag in label:
        kind, name = _split(tag)
        begins = kind in "BS" if scheme != "iob1" else kind == "B" or (kind == "I" and name != _split(before)[1])
        converted.append(OUTSIDE if kind == OUTSIDE else f"{'B' if begins else 'I'}-{name}")
        before = tag
    return converted
