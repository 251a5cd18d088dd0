"""Labels as names become labels as numbers: which classes there are, in which order, and what does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.dataset.rows import Rows

VERSION = "2"

# Kinds of labels that become indices of names; of the latter a row has any number.
WITH_NAMES, SEVERAL = ("class", "classes", "tags"), ("classes", "tags")
_SEPARATORS = (";", "|", ",")
# So many different fractions are measurements, not the names of classes.
_MANY_NUMBERS = 12


def encode(splits: dict[str, Rows], kind: str, names: list[str] | None) -> tuple[dict[str, Rows], list[str] | None]:
    """Replace names by class indices in every split; numbers stay, and so do rows without labels (kind "none").

    names: the classes in order; None: as found in train (tags: in any split), sorted (as numbers where all are whole numbers).
    A label may also be the index of a class, as benchmarks' files write it. Raises ConfigError for a label that is no class.
    """
    if kind not in WITH_NAMES:
        return splits, None
    # A tag that train lacks is no mistake: the rarest types of entities occur a few times in all.
    present = set(_each(splits["train"].label if kind != "tags" else [label for rows in splits.values() for label in rows.label], kind))
    if names is None:
        if kind == "class" and (problem := _several_in_one(splits["train"]) or _numbers(splits["train"], present)):
            raise ConfigError(problem)
        names = sorted(present, key=_natural)
        declared = False
    else:
        declared = True
    if len(names) < (1 if kind in SEVERAL else 2):
        only = f"the only label in train is {names[0]!r}" if names else "train has no label"
        raise ConfigError(Problem(only, f"{splits['train'].file}, column dataset.columns.label", allowed="two or more classes"))
    index = _index(names, present)
    problems = [problem for split, rows in splits.items() for problem in _unknown(split, rows, kind, index, names, declared)]
    if problems:
        raise ConfigError(problems)
    return {split: replace(rows, label=_encoded(rows.label, kind, index)) for split, rows in splits.items()}, names


def as_names(labels: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """Encoded labels as the names of their classes; numbers and missing labels as they are."""
    if names is None:
        return list(labels)
    return [[names[each] for each in label] if isinstance(label, list) else names[label] for label in labels]


def counts(rows: Rows, kind: str, names: list[str] | None) -> dict[str, int]:
    """How many rows (tags: tokens) have each label, by name; empty for labels without names."""
    if names is None:
        return {}
    tally = Counter(_each(rows.label, kind))
    return {name: tally[position] for position, name in enumerate(names)}


def _each(labels: Iterable[Any], kind: str) -> Iterable[Any]:
    return (name for label in labels for name in label) if kind in SEVERAL else labels


def _several_in_one(rows: Rows) -> Problem | None:
    """The problem of a column of single labels whose cells hold several, as `long;neg`; None where they seem to be single.

    They hold several where at least one row in twenty has a label with a separator whose parts are all labels elsewhere, alone or in
    another combination. `Paris, France` is no such label unless Paris occurs in another one too.
    """
    tally = Counter(label for label in rows.label if label is not None)
    for separator in _SEPARATORS:
        parts = {label: tuple(part.strip() for part in label.split(separator)) for label in tally}
        places = Counter(part for each in parts.values() for part in set(each))
        several = [label for label, each in parts.items() if len(each) > 1 and all(part and places[part] > 1 for part in each)]
        if several and 20 * sum(tally[label] for label in several) >= tally.total():
            listed = ", ".join(repr(label) for label in sorted(several, key=lambda label: -tally[label])[:3])
            count = sum(tally[label] for label in several)
            what = f"{count:,} of {tally.total():,} rows of train seem to have several labels in one cell, such as {listed}"
            hint = (
                f"for several labels a row: task.multi_label=true dataset.label_separator='{separator}'; "
                "where these are single labels, name every one in dataset.label_names=[...]"
            )
            return Problem(what, f"{rows.file}, column dataset.columns.label", "one label in each cell", hint)
    return None


def _numbers(rows: Rows, present: set[str]) -> Problem | None:
    """The problem of many different numbers, fractions among them, where classes are expected; None for anything else."""
    try:
        values = [float(label) for label in present]
    except ValueError:
        return None
    if len(present) < _MANY_NUMBERS or all(value.is_integer() for value in values):
        return None
    what = f"the labels of train are {len(present):,} different numbers, from {min(values):g} to {max(values):g}"
    hint = "to predict numbers: task=regression; where these are the names of classes, list them in dataset.label_names=[...]"
    return Problem(what, f"{rows.file}, column dataset.columns.label", "names of classes", hint)


def _natural(name: str) -> tuple[bool, int, str]:
    """Whole numbers first and by size, then names by code point."""
    digits = name.removeprefix("-")
    whole = digits.isascii() and digits.isdigit()
    return (not whole, int(name) if whole else 0, name)


def _index(names: list[str], present: set[str]) -> dict[str, int]:
    """Label as written -> class. Indices are understood only where no label in train is a name."""
    index = {name: position for position, name in enumerate(names)}
    if not present & index.keys():
        index |= {str(position): position for position in range(len(names))}
    return index


def _encoded(labels: list[Any], kind: str, index: dict[str, int]) -> list[Any]:
    if kind == "tags":
        return [[index[name] for name in label] for label in labels]
    if kind == "classes":
        return [sorted({index[name] for name in label}) for label in labels]
    return [index[label] for label in labels]


def _unknown(split: str, rows: Rows, kind: str, index: dict[str, int], names: list[str], declared: bool) -> Iterable[Problem]:
    """One problem for each label of a split that is no class."""
    places: dict[str, list[int]] = {}
    for row, label in enumerate(rows.label):
        for name in label if kind in SEVERAL else (label,):
            if name not in index:
                places.setdefault(name, []).append(row)
    for name in sorted(places)[:5]:
        near = nearest(name, index)
        count = len(places[name])
        where = f"{count:,} row{'s' if count > 1 else ''} of {split}, first {rows.place(places[name][0])}"
        what = f"label {name!r} is not in dataset.label_names" if declared else f"label {name!r} stands in {split} but not in train"
        listed = ", ".join(names[:20]) + (" ..." if len(names) > 20 else "")
        hint = "correct the file, or name every label in dataset.label_names=[...]"
        yield Problem(what, where, allowed=listed + (f"; nearest: {near}" if near else ""), hint=hint)
