"""Differences of several rows to one reference row: p values corrected for all of them, so that a table of equal rows has a finding in 5 %.

The reference was named in advance: Holm. It is the best of the rows, chosen on the same results: then every pair of rows was a candidate,
and the difference is referred to the range of as many equal rows, as Tukey and Kramer do, here with each pair's own variances (Games and
Howell 1976) and with the critical value of examples and seeds combined as in `two_way`. Of the procedures that were simulated (Bonferroni
over all pairs and the range, each with several degrees of freedom) the range finds most. It holds the level with up to 8 rows and fewer
rows than twice the seeds (benchmarks/statistics.py); with more rows the tails of so few seeds are too heavy for it (8 % for 16 rows of 3
seeds), and Bonferroni over all pairs is used, which keeps the level whatever the number of rows. Hsu's comparisons with the best (1984) do
not answer the question: of equal rows they assert no strict difference.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from finecomb.runs.class_metrics import Floats
from finecomb.studies.analysis.statistics.significance import holm
from finecomb.studies.analysis.statistics.two_way import Difference, Parts

LEVEL = 0.05
# Where the range was simulated to hold its level: up to here, with fewer rows than twice the seeds.
MOST_ROWS = 8
# Deviation over seeds from which the level was simulated to be higher than 5 %.
_WILD = 0.08
_LEVELS = np.geomspace(1e-6, 1.0, 500)


def corrected(found: Sequence[Difference], *, rows: int | None) -> list[float | None]:
    """Corrected p of each difference; None where it has none. rows: of how many rows the reference is the best; None: named in advance."""
    if rows is None:
        return holm([each.p for each in found])
    runs = [each.parts.runs for each in found if each.parts is not None and each.parts.runs is not None]
    by_range = uses_range(rows, min(runs, default=0))
    pairs = rows * (rows - 1) // 2
    adjusted: list[float | None] = []
    for each in found:
        if each.p is None or each.parts is None:
            adjusted.append(None)
        elif by_range:
            adjusted.append(range_p(each.value, each.parts, rows))
        else:
            adjusted.append(min(1.0, pairs * each.p))
    return adjusted


def few_seeds(seeds: Sequence[int]) -> str:
    """What to state of the level with so few seeds in each arm; empty where it holds in every simulated world."""
    if not any(2 < count < 5 for count in seeds):
        return ""
    return " With 3 or 4 seeds and arms of which some depend on the seed and some do not, it is up to 7 % (simulated)."


def uneven_seeds(deviations: Mapping[str, float | None]) -> str | None:
    """What to state of rows whose values vary so much over seeds that the level does not hold; None where there are none.

    deviations: standard deviation over seeds of each row, of a metric between 0 and 1. Where accuracies of one arm vary by 11 to 20 points
    and those of others do not, they are skewed, and few seeds hide it: 6 to 8 and 10 to 18 % of simulated tables of 3 or 5 equal arms with
    3 to 10 seeds had a finding (World(seed=0.15, uneven=True) and seed=0.3 of benchmarks/statistics.py); at 6 points 4 to 5 %.
    """
    wild = [name for name, deviation in deviations.items() if deviation is not None and deviation >= _WILD]
    if not wild:
        return None
    return (
        f"{', '.join(wild)}: varies over seeds by {100 * _WILD:g} points or more (standard deviation), as where some runs fail. With such "
        "a row, 6 to 18 % of simulated tables of equal rows had a finding, not 5 %: look at the values of the seeds."
    )


def uses_range(rows: int, seeds: int) -> bool:
    """Whether the range of the rows is used, or Bonferroni over all pairs. seeds: the fewest of an arm."""
    return 2 < rows <= MOST_ROWS and rows < 2 * seeds


def range_p(value: float, parts: Parts, rows: int) -> float:
    """Chance that the largest difference of so many equal rows is as large as `value`."""
    if value == 0 or parts.examples + parts.seeds == 0:
        return 1.0 if value == 0 else 0.0
    sides = (parts.examples, parts.examples_freedom), (parts.seeds, parts.seeds_freedom)
    squares = sum(variance * critical_range(rows, freedom) ** 2 / 2 for variance, freedom in sides)
    # Critical values fall as the level rises.
    return float(np.exp(np.interp(-np.log(abs(value)), -np.log(np.maximum(squares, 1e-300)) / 2, np.log(_LEVELS))))


def critical_range(rows: int, freedom: float) -> Floats:
    """Critical values [500] of the studentized range of so many normal values at levels from 1e-6 to 1."""
    return _critical_range(rows, round(min(freedom, 10_000.0), 3))


@functools.lru_cache(maxsize=4096)
def _critical_range(rows: int, freedom: float) -> Floats:
    from scipy.special import gammaln

    sizes, beyond = _range_beyond(rows)
    # The estimated deviation over the true one is chi / sqrt(freedom); integrated over its logarithm.
    logs = np.linspace(np.log(1e-5), np.log(8.0), 600)
    density = np.log(2) + freedom / 2 * np.log(freedom / 2) - gammaln(freedom / 2) + freedom * logs - freedom / 2 * np.exp(2 * logs)
    weights = np.exp(density) * (logs[1] - logs[0])
    tried = np.geomspace(1e-4, 1e5, 700)
    chance = np.interp(tried[:, None] * np.exp(logs), sizes, beyond) @ weights
    falling = np.minimum.accumulate(np.clip(chance, 1e-300, 1.0))
    found = np.exp(np.interp(np.log(_LEVELS), np.log(falling[::-1]), np.log(tried[::-1])))
    found[-1] = 0.0
    return np.asarray(found, dtype=np.float64)


@functools.lru_cache(maxsize=64)
def _range_beyond(rows: int) -> tuple[Floats, Floats]:
    """Sizes, and the chance that the range of so many standard normal values is larger."""
    from scipy.special import ndtr

    sizes, low = np.linspace(0, 14, 1401), np.linspace(-9, 9, 361)
    inside = ndtr(low + sizes[:, None]) - ndtr(low)
    weights = np.exp(-(low**2) / 2) / np.sqrt(2 * np.pi) * (low[1] - low[0])
    return sizes, np.clip(1 - rows * (inside ** (rows - 1)) @ weights, 0.0, 1.0)
