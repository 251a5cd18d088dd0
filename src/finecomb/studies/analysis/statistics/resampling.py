"""The bootstrap over test examples: how much a number would move had other examples been drawn, for the runs that were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from finecomb.runs.class_metrics import Floats

RESAMPLES = 10_000
LEVEL = 0.95
# Counts in one block of resamples: small enough to stay in a core's cache, which makes resampling four times faster.
_BLOCK = 250_000


@dataclass(frozen=True)
class Interval:
    """A percentile interval; both ends are nan where the metric is undefined on every resample."""

    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """True when `value` lies outside (an undefined interval excludes nothing)."""
        return bool(value < self.low or value > self.high)


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds; the deviation is None ("not measured") with fewer than two."""

    mean: float
    deviation: float | None


def spread(values: Sequence[float]) -> Spread:
    """Mean, and sample standard deviation with n - 1 in the denominator (Bessel), of one value for each seed."""
    array = np.asarray(values, dtype=np.float64)
    return Spread(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None)


def resampled_counts(examples: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Blocks [b, N] of counts: how often each of N examples was drawn, with replacement, in each resample of size N."""
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // examples)
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        drawn = generator.integers(0, examples, size=(block, examples)) + np.arange(block)[:, None] * examples
        yield np.bincount(drawn.ravel(), minlength=block * examples).reshape(block, examples).astype(np.float64)


def bootstrap(evaluate: Callable[[Floats], Floats], examples: int, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Evaluate every resample of the examples: `evaluate` turns counts [b, N] into values [b, ...]; returned as [resamples, ...].

    Whatever `evaluate` computes sees the same resamples, so that a difference of two of its values is paired by example
    (Efron & Tibshirani 1993, chapter 13; for the paired use in language processing Koehn 2004). Deterministic in `seed`.
    """
    return np.concatenate([evaluate(counts) for counts in resampled_counts(examples, resamples, seed)])


def percentile_interval(values: Floats, level: float = LEVEL) -> Interval:
    """The interval between the (1 - level) / 2 and (1 + level) / 2 quantiles of resampled `values` [resamples].

    Resamples on which the metric is undefined (nan) are left out. The percentile interval is degenerate where every example
    gives the same value (an accuracy of exactly 1): it cannot know of errors that were never seen.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return Interval(float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def paired_difference(values: Floats, baseline: Floats, level: float = LEVEL) -> Interval:
    """Interval of `values - baseline`, both [resamples] from one call of `bootstrap`, hence on the same examples."""
    return percentile_interval(values - baseline, level)
