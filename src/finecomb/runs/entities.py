"""Entities of a sequence of BIO tags, as seqeval (https://github.com/chakki-works/seqeval) finds them: strictly, or by its default.

Their counts are what the metrics of `runs.sum_metrics` sum.
"""

from __future__ import annotations

from collections.abc import Sequence

from finecomb.runs.sum_metrics import PREFIX

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


def sums(labels: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]], names: Sequence[str]) -> dict[str, list[float]]:
    """What each row adds to the metrics, as columns `sum.NAME`: tokens, right ones, and entities in all and of each type (`hit@TYPE`).

    Without a scheme each token is a unit of its own.

    Args:
        labels: Tags of each row by name.
        predictions: Likewise, of the same lengths.
        names: Of all tags.
    """
    pairs = list(zip(labels, predictions, strict=True))
    scheme = is_bio(names)
    columns: dict[str, list[float]] = {
        "tokens": [float(len(label)) for label, _ in pairs],
        "right": [float(sum(map(str.__eq__, label, predicted))) for label, predicted in pairs],
    }
    types = sorted({name[2:] for name in names if name != OUTSIDE}) if scheme else sorted(names)
    both = [tuple(map(strict if scheme else single, pair)) for pair in pairs]
    for of in (None, *types):
        chosen = [tuple({each for each in side if of in (None, each[0])} for side in sides) for sides in both]
        columns |= _counts(chosen, "{}" if of is None else f"{{}}@{of}")
    columns |= _counts([tuple(map(lenient, pair)) for pair in pairs] if scheme else both, "default_{}")
    return {f"{PREFIX}{name}": values for name, values in columns.items()}


def _counts(both: Sequence[tuple[set[Entity], ...]], named: str) -> dict[str, list[float]]:
    """Units of labels and predictions of each row, and how many both have."""
    return {
        named.replace("{}", "labeled"): [float(len(label)) for label, _ in both],
        named.replace("{}", "predicted"): [float(len(predicted)) for _, predicted in both],
        named.replace("{}", "hit"): [float(len(label & predicted)) for label, predicted in both],
    }
