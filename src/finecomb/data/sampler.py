"""Samplers: which training rows count how often, so that labels or groups weigh alike.

Rows are told apart by cells: a label, a group, or a label within a group. From the rows n_c of each cell and the target's shares q_c, a
strength s asks for shares d_c in proportion to n_c^(1 - s) * q_c^s: those of the data at 0, the target's at 1, and with equal shares at
0.5 the square roots of the counts.

* oversample: copies of rows are added, in whole rounds, until the cells have these shares; no row goes.
* undersample: rows go until the cells have them; a weaker strength keeps what a stronger one keeps, and more.
* weights: no row comes or goes; each weighs d_c / n_c, scaled to a mean of 1 over all rows. With equal shares this is n / (C * n_c), as
  scikit-learn's "balanced"; with `independent` it is P(label) P(group) / P(label, group) (Kamiran & Calders 2012, "reweighing").

Equal shares of label and group are what Idrissi et al. (2022) found to serve the worst group as well as methods made for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from finecomb.config.plugins import find_build
from finecomb.config.schema import sampler as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.chance import rank

# Goes up when the same values give other rows or weights.
VERSION = 1


@dataclass(frozen=True)
class Sampled:
    """What becomes of the rows.

    rows: numbers of the rows that count, a row's copies behind it. copies: for each the number of the copy, 1 for the row itself.
    weights: how much each counts, None where all count alike. record: for the report.
    """

    rows: list[int]
    copies: list[int]
    weights: list[float] | None
    record: dict[str, Any]


# From ids, labels (classes by name) and groups (None where there are none) of the training rows.
Sample = Callable[[Sequence[str], Sequence[Any], Sequence[str] | None], Sampled]


def build(config: schema.Sampler) -> Sample | None:
    """The sampler of a config, None where every row counts once."""
    if own := find_build("sampler", config.name):
        sample: Sample = own(config)
        return sample
    if not isinstance(config, schema.Balanced):
        return None
    return lambda ids, labels, groups: balance(ids, labels, groups, config)


def balance(ids: Sequence[str], labels: Sequence[Any], groups: Sequence[str] | None, config: schema.Balanced) -> Sampled:
    """Balance rows by their cells. Raises ConfigError where there are no groups, or labels that are no classes, to balance by."""
    cells = _cells(labels, groups, config.by)
    counts = Counter(cells)
    asked = _asked(counts, config)
    record: dict[str, Any] = {"by": config.by, "method": config.method, "cells": {}}
    if empty := _empty(counts, config.by):
        record["cells_without_a_row"] = empty
    weights: list[float] | None = None
    if config.method == "weights":
        scale = len(ids) / sum(asked.values())
        of_cell = {cell: scale * asked[cell] / counts[cell] for cell in counts}
        weights, kept, copies = [of_cell[cell] for cell in cells], list(range(len(ids))), [1] * len(ids)
        record["cells"] = {_name(cell): {"rows": counts[cell], "weight": round(of_cell[cell], 6)} for cell in sorted(counts, key=_name)}
    else:
        wanted = _wanted(counts, asked, over=config.method == "oversample")
        kept, copies = _resampled(ids, cells, counts, wanted, config.seed)
        record["cells"] = {_name(cell): {"rows": counts[cell], "rows_out": wanted[cell]} for cell in sorted(counts, key=_name)}
    return Sampled(kept, copies, weights, record)


def _cells(labels: Sequence[Any], groups: Sequence[str] | None, by: str) -> list[Hashable]:
    if "group" in by and groups is None:
        hint = "name it by dataset.columns.group=NAME, or balance by label"
        raise ConfigError(Problem(f"sampler.by={by}: the data have no column of groups", "sampler.by", "label", hint))
    if "label" in by and not all(isinstance(label, str) for label in labels):
        what = f"sampler.by={by} needs one class for each text; these labels are numbers or sets of classes"
        raise ConfigError(Problem(what, "sampler.by", "group", "balance by group, or choose task=sequence_classification"))
    if by == "label":
        return list(labels)
    return list(groups or []) if by == "group" else list(zip(labels, groups or [], strict=True))


def _asked(counts: Counter[Hashable], config: schema.Balanced) -> dict[Hashable, float]:
    """The wanted size of each cell but for a factor common to all."""
    target = dict.fromkeys(counts, 1.0)
    if config.target == "independent":
        if config.by != "label_group":
            raise ConfigError(
                Problem("sampler.target=independent is about labels and groups", "sampler.target", hint="sampler.by=label_group")
            )
        sides: list[Counter[Any]] = [Counter(), Counter()]
        for cell, count in counts.items():
            for side, part in zip(sides, cell, strict=True):  # type: ignore[call-overload]
                side[part] += count
        target = {cell: float(sides[0][cell[0]] * sides[1][cell[1]]) for cell in counts}  # type: ignore[index]
    return {cell: count ** (1 - config.strength) * target[cell] ** config.strength for cell, count in counts.items()}


def _wanted(counts: Counter[Hashable], asked: dict[Hashable, float], *, over: bool) -> dict[Hashable, int]:
    """Rows of each cell: the least factor at which no cell shrinks, or the greatest at which none grows."""
    factor = (max if over else min)(counts[cell] / asked[cell] for cell in counts)
    return {cell: max(1, round(factor * asked[cell])) for cell in counts}


def _resampled(
    ids: Sequence[str], cells: Sequence[Hashable], counts: Counter[Hashable], wanted: dict[Hashable, int], seed: int
) -> tuple[list[int], list[int]]:
    """How often each row counts: every row of its cell as often as the others, but for one, chosen by its id alone."""
    members: dict[Hashable, list[int]] = {cell: [] for cell in counts}
    for row, cell in enumerate(cells):
        members[cell].append(row)
    times = [0] * len(ids)
    for cell, rows in members.items():
        rounds, rest = divmod(wanted[cell], len(rows))
        for place, row in enumerate(sorted(rows, key=lambda row: rank(seed, "sampler", ids[row]))):
            times[row] = rounds + (place < rest)
    repeats = [(row, number) for row, count in enumerate(times) for number in range(1, count + 1)]
    return [row for row, _ in repeats], [number for _, number in repeats]


def _empty(counts: Counter[Hashable], by: str) -> list[str]:
    """Pairs of label and group that no row has: nothing can be balanced there."""
    if by != "label_group":
        return []
    labels, groups = ({cell[side] for cell in counts} for side in (0, 1))  # type: ignore[index]
    return [_name((label, group)) for label in sorted(labels) for group in sorted(groups) if (label, group) not in counts]


def _name(cell: Hashable) -> str:
    return " / ".join(map(_name, cell)) if isinstance(cell, tuple) else str(cell) or "(no group)"
