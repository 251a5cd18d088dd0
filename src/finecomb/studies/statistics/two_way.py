"""Whether a difference would be seen again with other seeds *and* other test examples.

Runs by examples is a crossed layout: every run of both arms answers the same examples, and every run has its seed. With x_s the metric of
the run with seed s, the variance of an arm's mean over m seeds has three parts (crossed random effects; Owen 2007, section 3):

    examples      Var_examples(mean_s x_s)        which holds the interaction of seeds and examples once
    seeds         Var_seeds(x_s) / m              which holds it once more
    interaction   what is counted twice, and so taken off once

Variances over examples come from the delete-a-group jackknife, which serves any smooth metric (Efron & Tibshirani 1993, chapter 11), for
accuracy exactly. The ratio of the difference and its deviation is referred to Student's t with Satterthwaite's degrees of freedom (1946),
so that three seeds are not taken for certainty. In the simulations of benchmarks/statistics.py, where seeds matter hardly, as usual and
much, intervals of differences cover 94 to 96 % with 2 to 10 seeds, and tables of five equal arms are called different in 3.4 to 5.0 % after
Holm with three seeds or more (7 % with two). An arm's own interval covers 93 to 96 % from three seeds on, but 91 % where seeds matter much
and there are three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finecomb.studies.statistics.metrics import Floats
from finecomb.studies.statistics.resampling import LEVEL, Interval

# Groups of the jackknife: as many as there are examples up to here.
GROUPS = 2000


@dataclass(frozen=True)
class Difference:
    """Of an arm to its baseline (or of an arm to nothing). deviation, freedom, p and interval answer for seeds and examples together.

    by_seeds, by_examples: the two standard deviations apart. p is None, and the interval too, where an arm has one seed: how much seeds
    matter was then not measured; `over_examples` still says what other examples would have shown of these very runs.
    """

    value: float
    by_seeds: float | None
    by_examples: float
    deviation: float | None
    freedom: float | None
    interval: Interval | None
    p: float | None
    over_examples: Interval


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
    """An arm's part: seeds: variance of its mean by seeds; twice: the interaction in it; freedom: n - 1. None with one seed."""

    seeds: float
    twice: float
    freedom: int


def _side(values: Floats, covariance: Floats) -> _Side | None:
    count = len(values)
    if count < 2:
        return None
    single, mean = float(np.trace(covariance)) / count, float(covariance.sum()) / count**2
    # Var of a single run over examples is examples + interaction; of the mean over seeds, examples + interaction / m.
    interaction = max(0.0, (single - mean) * count / (count - 1))
    return _Side(float(values.var(ddof=1)) / count, interaction / count, count - 1)


def difference(
    ours: Floats,
    theirs: Floats | None,
    ours_left_out: Floats,
    theirs_left_out: Floats | None,
    *,
    seedless: bool = False,
    level: float = LEVEL,
) -> Difference:
    """Compare two arms, or (theirs None) an arm with 0.

    ours, theirs: the metric [m] of each run on all examples. *_left_out: `replicates` [G, m] of the same runs, from the same weights.
    seedless: ours comes out the same whatever the seed, as a reference's does, so that its one value has no spread to measure.
    """
    signed = ours_left_out if theirs_left_out is None else np.concatenate([ours_left_out, theirs_left_out], axis=1)
    weights = np.full(len(ours), 1 / len(ours))
    if theirs is not None:
        weights = np.concatenate([weights, np.full(len(theirs), -1 / len(theirs))])
    covariance = _covariance(signed)
    value = float(ours.mean()) - (0.0 if theirs is None else float(theirs.mean()))
    by_examples = max(0.0, float(weights @ covariance @ weights))
    groups = len(signed)
    sides = [_Side(0.0, 0.0, 1) if seedless else _side(ours, covariance[: len(ours), : len(ours)])]
    if theirs is not None:
        sides.append(_side(theirs, covariance[len(ours) :, len(ours) :]))
    known = [side for side in sides if side is not None]
    over_examples = _interval(value, by_examples, groups - 1, level)
    if len(known) < len(sides):
        return Difference(value, None, math.sqrt(by_examples), None, None, None, None, over_examples)
    by_seeds = sum(side.seeds for side in known)
    # Never less than either part alone: an estimate of what was counted twice is an estimate.
    total = max(by_examples + by_seeds - sum(side.twice for side in known), by_examples, by_seeds)
    freedom = _freedom(total, by_examples, groups - 1, known)
    return Difference(
        value,
        math.sqrt(by_seeds),
        math.sqrt(by_examples),
        math.sqrt(total),
        freedom,
        _interval(value, total, freedom, level),
        _p(value, total, freedom),
        over_examples,
    )


def _freedom(total: float, by_examples: float, examples_freedom: float, sides: Sequence[_Side]) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances."""
    parts = by_examples**2 / examples_freedom + sum(side.seeds**2 / side.freedom for side in sides)
    return total**2 / parts if parts > 0 else math.inf


def _interval(value: float, variance: float, freedom: float, level: float) -> Interval:
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, min(freedom, 1e9))) * math.sqrt(variance)
    return Interval(value - half, value + half)


def _p(value: float, variance: float, freedom: float) -> float:
    from scipy.stats import t

    if variance == 0:
        return 1.0 if value == 0 else 0.0
    return min(1.0, 2 * float(t.sf(abs(value) / math.sqrt(variance), min(freedom, 1e9))))
