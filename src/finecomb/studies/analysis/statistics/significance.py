"""Tests of a difference. Each says what varies: seeds, examples, or (in `two_way`) both. All are two-sided."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from finecomb.runs.class_metrics import Floats

# Up to here every assignment is tried; beyond, so many are drawn.
_EXACT = 2**16
_DRAWS = 20_000
_TINY = 1e-12


def sign_flip(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> float:
    """Paired by seed: the chance, were the sign of each difference arbitrary, of a mean difference at least as large (Fisher 1935).

    Exact up to 16 pairs, then by 20,000 draws with the observed one counted among them (Phipson & Smyth 2010).
    """
    differences = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    observed = abs(differences.sum()) - _TINY * np.abs(differences).sum()
    if 2 ** len(differences) <= _EXACT:
        signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(differences))))
        return float((np.abs(signs @ differences) >= observed).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(_DRAWS, len(differences)))
    return float((1 + (np.abs(signs @ differences) >= observed).sum()) / (1 + _DRAWS))


def permutation(ours: Sequence[float], theirs: Sequence[float], *, seed: int = 0) -> float:
    """Unpaired seeds: the chance of a difference of means at least as large, were the names of the arms dealt out at random."""
    pooled = np.concatenate([np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)])
    first, count = len(ours), len(pooled)

    def difference(chosen: Floats) -> Floats:
        sums = chosen @ pooled
        return np.abs(sums / first - (pooled.sum() - sums) / (count - first))

    observed = abs(float(np.mean(ours)) - float(np.mean(theirs))) - _TINY * float(np.abs(pooled).max() or 1.0)
    if math.comb(count, first) <= _EXACT:
        chosen = np.zeros((math.comb(count, first), count))
        for row, indices in enumerate(itertools.combinations(range(count), first)):
            chosen[row, indices] = 1.0
        return float((difference(chosen) >= observed).mean())
    generator = np.random.default_rng(seed)
    chosen = (generator.random((_DRAWS, count)).argsort(axis=1) < first).astype(np.float64)
    return float((1 + (difference(chosen) >= observed).sum()) / (1 + _DRAWS))


def mcnemar(ours_right: Sequence[bool], theirs_right: Sequence[bool], *, mid: bool = True) -> float:
    """Two runs on the same examples: whether those that one alone has right are as many as those the other alone has right.

    McNemar 1947, by the exact binomial; mid: Lancaster's mid-p, which holds its level and is less timid (Fagerland et al. 2013, page 4).
    """
    from scipy.stats import binom

    first, second = np.asarray(ours_right, dtype=bool), np.asarray(theirs_right, dtype=bool)
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant, fewer = only_first + only_second, min(only_first, only_second)
    if discordant == 0:
        return 1.0
    p = 2 * float(binom.cdf(fewer, discordant, 0.5))
    return min(1.0, p - float(binom.pmf(fewer, discordant, 0.5)) if mid else p)


def approximate_randomisation(score: Callable[[Floats, Floats], Floats], examples: int, *, draws: int = 9_999, seed: int = 0) -> float:
    """Two runs, any metric (Noreen 1989; Yeh 2000 for F1): the answers to each example change sides with chance 1/2.

    score: takes masks [b, N] of the examples whose answers are the first run's, and their opposite, and returns the difference [b] of the
    two sides' metrics; the observed difference is that of a mask of ones.
    """
    generator = np.random.default_rng(seed)
    observed = abs(float(score(np.ones((1, examples)), np.zeros((1, examples)))[0])) - _TINY
    extreme, block = 0, max(1, 250_000 // examples)
    for start in range(0, draws, block):
        mask = generator.integers(0, 2, size=(min(block, draws - start), examples)).astype(np.float64)
        extreme += int((np.abs(score(mask, 1 - mask)) >= observed).sum())
    return (1 + extreme) / (1 + draws)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment (1979) of a family of p values, so that false alarms over all together keep the level. None stays."""
    known = sorted((value, index) for index, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    running = 0.0
    for rank, (value, index) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * value))
        adjusted[index] = running
    return adjusted
