"""Whether a difference would be seen again with other seeds *and* other test examples.

Runs by examples is a crossed layout: every run of both arms answers the same examples, and every run has its seed. With x_s the metric of
the run with seed s, the variance of an arm's mean over m seeds has three parts (crossed random effects; Owen 2007, section 3):

    examples      Var_examples(mean_s x_s)        which holds the interaction of seeds and examples once
    seeds         Var_seeds(x_s) / m              which holds it once more
    interaction   what is counted twice, and so taken off once

Variances over examples come from the delete-a-group jackknife, which serves any smooth metric (Efron & Tibshirani 1993, chapter 11), for
accuracy exactly. The variance of a difference is then split into two independent parts: `examples`, without the interaction, known from
many examples, and `seeds`, with the interaction, known from few seeds (Welch's degrees of freedom). The critical value combines those of
Student's t of each part,

    critical^2 = t(examples freedom)^2 examples + t(seeds freedom)^2 seeds,

which keeps the level whatever the ratio of the two, because the two-sided normal tail is a convex function of the squared critical value
(Hajek 1962, for two arms of unequal variance). Satterthwaite's single degrees of freedom do not: they rise when the seeds happen to agree,
which of two or three seeds happens often. benchmarks/statistics.py simulates level and coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finecomb.runs.class_metrics import Floats
from finecomb.studies.analysis.statistics.resampling import LEVEL, Interval

VERSION = "2"

_SMALLEST = 1e-50  # p values below are all given as this
# Groups of the jackknife: as many as there are examples up to here.
GROUPS = 2000


@dataclass(frozen=True)
class Parts:
    """The independent parts of a variance, each with its degrees of freedom. runs: the fewest seeds of an arm, None without any arm."""

    examples: float
    seeds: float
    examples_freedom: float
    seeds_freedom: float
    runs: int | None

    def half_width(self, quantile: Callable[[float], float]) -> float:
        """How far from 0 a difference must be. quantile: the critical value of a statistic with so many degrees of freedom."""
        return math.sqrt(quantile(self.examples_freedom) ** 2 * self.examples + quantile(self.seeds_freedom) ** 2 * self.seeds)


@dataclass(frozen=True)
class Difference:
    """Of an arm to its baseline (or of an arm to nothing). deviation, parts, p and interval answer for seeds and examples together.

    by_seeds, by_examples: the two standard deviations apart. p is None, and the interval too, where an arm has one seed: how much seeds
    matter was then not measured; `over_examples` still says what other examples would have shown of these very runs. They are None as well
    where the metric is undefined (nan) for a run, or for a run with some examples left out: `undefined` is then True.
    """

    value: float
    by_seeds: float | None
    by_examples: float
    deviation: float | None
    parts: Parts | None
    interval: Interval | None
    p: float | None
    over_examples: Interval
    undefined: bool = False


def leave_out_weights(examples: int, groups: int = GROUPS) -> Floats:
    """Weights [G, N], each leaving one group of examples out.

    Where groups hold several examples these are dealt at random (always alike): files are often sorted by label, and groups that each held
    one of every label would vary too little.
    """
    count = min(groups, examples)
    weights = np.ones((count, examples))
    weights[np.arange(examples) % count, np.random.default_rng(0).permutation(examples)] = 0.0
    return weights


def replicates(evaluate: Callable[[Floats], Floats], examples: int) -> Floats:
    """The metric [G, R] of R runs with each group of examples left out."""
    weights = leave_out_weights(examples)
    block = max(1, 250_000 // examples)
    return np.concatenate([evaluate(weights[start : start + block]) for start in range(0, len(weights), block)])


def _covariance(left_out: Floats) -> Floats:
    """Jackknife covariance [R, R] over examples of the runs' metrics, from replicates [G, R]."""
    groups = len(left_out)
    centred = left_out - left_out.mean(axis=0)
    return (groups - 1) / groups * centred.T @ centred


@dataclass(frozen=True)
class _Side:
    """Variance of an arm's mean by seeds, and the interaction in it. runs: its number of seeds, None where seeds change nothing."""

    seeds: float
    twice: float
    runs: int | None


_SEEDLESS = _Side(0.0, 0.0, None)


def interaction(single: Floats, mean: Floats, seeds: int) -> Floats:
    """Variance of an arm's mean by the interaction of seeds and examples.

    single, mean: variances over examples of one of its runs and of the mean of its runs; elementwise.
    """
    # Var of a single run over examples is examples + interaction; of the mean over m seeds, examples + interaction / m.
    return np.maximum(0.0, (single - mean) / (seeds - 1))


def split(by_examples: Floats, seeds: Sequence[Floats], twice: Sequence[Floats], freedoms: Sequence[int]) -> tuple[Floats, Floats, Floats]:
    """The part of examples, that of seeds, and Welch's degrees of freedom of the latter; elementwise.

    by_examples: variance over examples. seeds, twice, freedoms: of each arm the variance of its mean by seeds, the interaction, n - 1.
    """
    examples = np.maximum(0.0, by_examples - sum(twice))
    total = np.asarray(sum(seeds), dtype=np.float64)
    squares = np.asarray(sum(each**2 / freedom for each, freedom in zip(seeds, freedoms, strict=True)), dtype=np.float64)
    freedom = np.divide(total**2, squares, out=np.full(total.shape, float(min(freedoms, default=1))), where=squares > 0)
    return examples, total, freedom


def _side(values: Floats, covariance: Floats) -> _Side | None:
    count = len(values)
    if count < 2:
        return None
    single, mean = np.trace(covariance) / count, covariance.sum() / count**2
    return _Side(float(values.var(ddof=1)) / count, float(interaction(single, mean, count)), count)


def difference(
    ours: Floats,
    theirs: Floats | None,
    ours_left_out: Floats,
    theirs_left_out: Floats | None,
    *,
    seedless: bool = False,
    theirs_seedless: bool = False,
    level: float = LEVEL,
) -> Difference:
    """Compare two arms, or (theirs None) an arm with 0.

    ours, theirs: the metric [m] of each run on all examples. *_left_out: `replicates` [G, m] of the same runs, from the same weights.
    seedless, theirs_seedless: that side is the same for every seed, as a reference is, so that its one value has no spread to measure.
    """
    signed = ours_left_out if theirs_left_out is None else np.concatenate([ours_left_out, theirs_left_out], axis=1)
    weights = np.full(len(ours), 1 / len(ours))
    if theirs is not None:
        weights = np.concatenate([weights, np.full(len(theirs), -1 / len(theirs))])
    covariance = _covariance(signed)
    value = float(ours.mean()) - (0.0 if theirs is None else float(theirs.mean()))
    if not (math.isfinite(value) and np.isfinite(covariance).all()):
        return Difference(value, None, math.nan, None, None, None, None, Interval(math.nan, math.nan), undefined=True)
    by_examples = max(0.0, float(weights @ covariance @ weights))
    groups = len(signed)
    sides = [_SEEDLESS if seedless else _side(ours, covariance[: len(ours), : len(ours)])]
    if theirs is not None:
        sides.append(_SEEDLESS if theirs_seedless else _side(theirs, covariance[len(ours) :, len(ours) :]))
    over_examples = _interval(value, Parts(by_examples, 0.0, groups - 1, 1, None), level)
    known = [side for side in sides if side is not None]
    if len(known) < len(sides):
        return Difference(value, None, math.sqrt(by_examples), None, None, None, None, over_examples)
    parts = _parts(by_examples, groups - 1, known)
    deviations = math.sqrt(sum(side.seeds for side in known)), math.sqrt(by_examples), math.sqrt(parts.examples + parts.seeds)
    return Difference(value, *deviations, parts, _interval(value, parts, level), _p(value, parts), over_examples)


def _parts(by_examples: float, examples_freedom: int, sides: Sequence[_Side]) -> Parts:
    arms = [side for side in sides if side.runs is not None]
    seeds, twice = ([np.asarray(getattr(side, name)) for side in arms] for name in ("seeds", "twice"))
    counts = [side.runs for side in arms if side.runs is not None]
    examples, total, freedom = split(np.asarray(by_examples), seeds, twice, [count - 1 for count in counts])
    return Parts(float(examples), float(total), examples_freedom, float(freedom), min(counts, default=None))


def _interval(value: float, parts: Parts, level: float) -> Interval:
    half = parts.half_width(lambda freedom: _quantile(freedom, 1 - level))
    return Interval(value - half, value + half)


def _p(value: float, parts: Parts) -> float:
    """The level at which the critical value is the difference itself."""
    from scipy.optimize import brentq

    if parts.examples + parts.seeds == 0:
        return 1.0 if value == 0 else 0.0

    def beyond(log_level: float) -> float:
        return parts.half_width(lambda freedom: _quantile(freedom, math.exp(log_level))) - abs(value)

    if value == 0:
        return 1.0
    return _SMALLEST if beyond(math.log(_SMALLEST)) < 0 else math.exp(brentq(beyond, math.log(_SMALLEST), 0.0))


def _quantile(freedom: float, level: float) -> float:
    """Two-sided critical value of Student's t."""
    from scipy.special import stdtrit

    return -float(stdtrit(freedom, level / 2))
