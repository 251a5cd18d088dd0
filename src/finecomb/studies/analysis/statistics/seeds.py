"""One number for each seed: centre, spread and interval, and what so few numbers can and cannot show. The test examples are held fixed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finecomb.runs.class_metrics import Floats
from finecomb.studies.analysis.statistics.resampling import LEVEL, Interval


@dataclass(frozen=True)
class Summary:
    """Of one value for each seed. deviation: with n - 1, None for one seed. iqm: mean of the middle half (Agarwal et al. 2021)."""

    mean: float
    median: float
    iqm: float
    deviation: float | None
    low: float
    high: float
    count: int


def summary(values: Sequence[float]) -> Summary:
    """Describe the values."""
    array = np.asarray(values, dtype=np.float64)
    deviation = float(array.std(ddof=1)) if len(array) > 1 else None
    ends = float(array.min()), float(array.max())
    return Summary(float(array.mean()), float(np.median(array)), iqm(array), deviation, *ends, len(array))


def iqm(values: Sequence[float] | Floats) -> float:
    """Interquartile mean: the mean of the middle half, where a quarter of the values is not whole its border values count in part."""
    array = np.sort(np.asarray(values, dtype=np.float64))
    count = len(array)
    # Value i covers the stretch [i, i + 1] of [0, n]; the middle half is [n/4, 3n/4].
    covered = np.clip(np.minimum(np.arange(count) + 1, 0.75 * count) - np.maximum(np.arange(count), 0.25 * count), 0, None)
    return float((array * covered).sum() / covered.sum())


def t_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Student's interval of the mean over seeds; None with one seed.

    With 3 to 10 seeds it covers as it says where the scores of seeds are near normal; percentile and BCa bootstraps of so few values
    are too narrow (about 0.85 at 5; see benchmarks/statistics.py).
    """
    from scipy.stats import t

    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2:
        return None
    half = float(t.ppf((1 + level) / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array)))
    return Interval(float(array.mean()) - half, float(array.mean()) + half)


def bootstrap_interval(values: Sequence[float], level: float = LEVEL, *, method: str = "BCa", seed: int = 0) -> Interval | None:
    """Bootstrap interval of the mean over seeds (percentile or BCa, Efron 1987); for ten seeds or more. None where it is undefined."""
    from scipy.stats import bootstrap

    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or np.ptp(array) == 0:
        return None
    found = bootstrap((array,), np.mean, confidence_level=level, method=method, rng=np.random.default_rng(seed)).confidence_interval
    return Interval(float(found.low), float(found.high))


def probability_of_improvement(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Chance that a run of ours beats a run of theirs, ties counting half (Mann & Whitney's U over the number of pairs)."""
    first, second = np.asarray(ours, dtype=np.float64)[:, None], np.asarray(theirs, dtype=np.float64)[None, :]
    return float(((first > second) + 0.5 * (first == second)).mean())


def smallest_p(seeds: int) -> float:
    """The smallest two-sided p that an exact paired sign-flip test of so many seeds can give, whatever the difference: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - seeds))


def seeds_needed(
    difference: float, variance_of_seeds: float, variance_of_examples: float, *, power: float = 0.8, level: float = LEVEL
) -> int | None:
    """Seeds for each arm to find a difference with this power; None where no number of seeds can, because the examples are too few.

    variance_of_seeds: of the two arms' single runs together, (deviation_a^2 + deviation_b^2). variance_of_examples: of the difference over
    test examples, which more seeds do not reduce. Normal approximation, with Student's quantiles for the number of seeds found.
    """
    from scipy.stats import nct, t

    for seeds in range(2, 1001):
        variance = variance_of_examples + variance_of_seeds / seeds
        by_seeds = variance_of_seeds / seeds
        freedom = 2 * (seeds - 1) * (variance / by_seeds) ** 2 if by_seeds > 0 else math.inf
        freedom = min(freedom, 1e6)
        critical = float(t.ppf((1 + level) / 2, freedom))
        if variance == 0 or 1 - float(nct.cdf(critical, freedom, abs(difference) / math.sqrt(variance))) >= power:
            return seeds
    return None
