"""Splits: what is carved from train, stratified and grouped, in which order rows come, and how many are used."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Sequence
from typing import Any

from finecomb.config.schema.dataset import Limit, Split
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.chance import rank, ranked
from finecomb.data.dataset.labels import SEVERAL
from finecomb.data.dataset.rows import SPLITS, Rows

_BINS = 10


def missing(given: Collection[str], config: Split) -> list[str]:
    """The splits that are split from train: validation where it is not given, test where train is all there is."""
    absent = [name for name in ("test", "validation") if name not in given and not (name == "test" and "validation" in given)]
    return [name for name in absent if name == "validation" or config.test]


def carve(splits: dict[str, Rows], config: Split, kind: str) -> tuple[dict[str, Rows], list[dict[str, Any]]]:
    """Carve what is missing from train: validation always; test only where train is all there is.

    Shares are of train as it was given. Labels are still names. Returns the splits and the funnel's entries.
    """
    train = splits["train"]
    absent = missing(splits, config)
    shares = {"validation": config.validation, "test": config.test}
    if "validation" in absent and not shares["validation"]:
        raise ConfigError(Problem(
            "there would be no validation rows",
            "dataset.split.validation=0",
            hint="give a share such as dataset.split.validation=0.1, or a file of validation rows",
        ))  # fmt: skip
    rest = list(range(len(train)))
    strata = _strata(train, kind) if config.stratify else [0] * len(train)
    carved: dict[str, Rows] = {}
    for name in absent:
        taken = set(_take(train, rest, strata, round(shares[name] * len(train)), config.seed, name))
        carved[name] = train.take([row for row in rest if row in taken])
        rest = [row for row in rest if row not in taken]
    if not carved:
        return splits, []
    for name, rows in (carved | {"train": train.take(rest)}).items():
        if not len(rows):
            _refuse_empty(name, train, shares)
    entry = {"step": "split", "split": "train", "rows_in": len(train), "rows_out": len(rest), "changed": 0}
    reasons = {f"to {name}": len(rows) for name, rows in carved.items()}
    return splits | {"train": train.take(rest)} | carved, [entry | {"reasons": reasons}]


def _refuse_empty(name: str, train: Rows, shares: dict[str, float]) -> None:
    units = f"{len(train):,} rows" + (f" in {len(set(train.group)):,} groups" if train.group else "")
    hint = "use more rows, a larger share (dataset.split.validation, dataset.split.test), or give the splits as files"
    if train.group:
        hint += "; or do not split by group (dataset.columns.group=null)"
    raise ConfigError(Problem(f"no row would be left for {name}: train has {units}", f"shares {shares}", hint=hint))


def _strata(rows: Rows, kind: str) -> list[Hashable]:
    """What is kept in equal shares.

    The class; for several labels the rarest of the row's; of questions whether they have an answer; for numbers the tenth it falls in.
    """
    if kind == "class":
        return list(rows.label)
    if kind in SEVERAL:
        tally = Counter(name for label in rows.label for name in label)
        return [min(label, key=lambda name: (tally[name], name)) if label else "" for label in rows.label]
    if kind == "answers":
        return [json.loads(label)["text"] == [] for label in rows.label]
    if kind != "number":
        return [0] * len(rows)
    ids = list(rows.id)
    order = sorted(range(len(rows)), key=lambda row: (rows.label[row], ids[row]))
    place = {row: position * _BINS // len(rows) for position, row in enumerate(order)}
    return [place[row] for row in range(len(rows))]


def _take(rows: Rows, available: Sequence[int], strata: Sequence[Hashable], target: int, seed: int, purpose: str) -> list[int]:
    """Indices of about `target` of the available rows, in the shares of the strata."""
    tally = Counter(strata[row] for row in available)
    quota = _quotas(tally, target)
    if rows.group is None:
        taken: list[int] = []
        for row in (available[place] for place in ranked(seed, purpose, rows.take(available).id)):
            if quota[strata[row]] > 0:
                quota[strata[row]] -= 1
                taken.append(row)
        return taken
    return _take_groups(rows, rows.group, available, strata, quota, seed, purpose)


def _quotas(tally: Counter[Hashable], target: int) -> dict[Hashable, int]:
    """Largest remainders; each stratum leaves at least one row behind."""
    total = tally.total()
    exact = {name: target * count / total for name, count in tally.items()}
    quota = {name: min(int(share), tally[name] - 1) for name, share in exact.items()}
    left = target - sum(quota.values())
    for name in sorted(exact, key=lambda name: (int(exact[name]) - exact[name], str(name))):
        if left > 0 and quota[name] < tally[name] - 1:
            quota[name] += 1
            left -= 1
    return quota


def _take_groups(
    rows: Rows, groups: list[str], available: Sequence[int], strata: Sequence[Hashable], quota: dict[Hashable, int], seed: int, purpose: str
) -> list[int]:
    """Whole groups, in pseudo-random order: one is taken when that brings the counts of the strata nearer to their quotas."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, identifier in zip(available, rows.take(available).id, strict=True):
        members[groups[row] or f"\0{identifier}"].append(row)  # a row without a group is a group of its own
    lacking = Counter(quota)
    taken: list[int] = []
    for name in sorted(members, key=lambda name: rank(seed, purpose, name)):
        size = Counter(strata[row] for row in members[name])
        if sum((lacking[s] - n) ** 2 - lacking[s] ** 2 for s, n in size.items()) < 0 and len(taken) + len(members[name]) < len(available):
            lacking.subtract(size)
            taken += members[name]
    return taken


def shuffled(splits: dict[str, Rows], seed: int) -> dict[str, Rows]:
    """Every split in an order that depends on its ids and the seed alone."""
    return {name: splits[name].take(ranked(seed, "order", splits[name].id)) for name in SPLITS if name in splits}


def limited(splits: dict[str, Rows], limit: Limit) -> tuple[dict[str, Rows], list[dict[str, Any]]]:
    """The first rows of each split, and the funnel's entries: a smaller limit is a prefix of a larger one."""
    limits = {"train": limit.train, "validation": limit.validation, "test": limit.test}
    result, funnel = {}, []
    for name, rows in splits.items():
        kept = range(len(rows))[: limits[name]]
        result[name] = rows.take(kept)
        if len(kept) < len(rows):
            reasons = {"beyond the limit": len(rows) - len(kept)}
            funnel.append({"step": "limit", "split": name, "rows_in": len(rows), "rows_out": len(kept), "changed": 0, "reasons": reasons})
    return result, funnel
