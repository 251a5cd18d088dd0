"""Entities of a sequence of BIO tags, as seqeval (https://github.com/chakki-works/seqeval) finds them: strictly, or by its default."""

from __future__ import annotations

from collections.abc import Sequence

VERSION = "1"

OUTSIDE = "O"
Entity = tuple[str, int, int]
"""Type, number of the first token, and number of the token after the last."""


def is_bio(names: Sequence[str]) -> bool:
    """Whether tags are those of entities, rather than one for each token as parts of speech are."""
    return OUTSIDE in names and len(names) > 1 and all(name == OUTSIDE or (name[:2] in ("B-", "I-") and len(name) > 2) for name in names)


def strict(tags: Sequence[str]) -> set[Entity]:
    """Entities that begin with B (seqeval's mode="strict" with IOB2); an I that continues nothing belongs to none."""
    entities: set[Entity] = set()
    name, start = "", 0
    for number, tag in enumerate([*tags, OUTSIDE]):
        if name and tag != f"I-{name}":
            entities.add((name, start, number))
            name = ""
        if tag.startswith("B-"):
            name, start = tag[2:], number
    return entities


def lenient(tags: Sequence[str]) -> set[Entity]:
    """Entities of seqeval's default mode, which are those of conlleval: an I without a beginning begins one."""
    entities: set[Entity] = set()
    name, start = "", 0
    for number, tag in enumerate([*tags, OUTSIDE]):
        kind, of = tag[:1], tag[2:]
        if name and (kind != "I" or of != name):
            entities.add((name, start, number))
            name = ""
        if kind in "BI" and tag != OUTSIDE and not name:
            name, start = of, number
    return entities


def single(tags: Sequence[str]) -> set[Entity]:
    """One unit for each token that has a tag, for tags without a scheme."""
    return {(tag, number, number + 1) for number, tag in enumerate(tags) if tag}
