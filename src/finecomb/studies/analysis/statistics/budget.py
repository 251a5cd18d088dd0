"""Expected validation performance: the best score to expect from a budget of random trials (Dodge et al. 2019, "Show Your Work")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

from finecomb.runs.class_metrics import Floats


def expected_best(values: Sequence[float], *, unbiased: bool = True) -> Floats:
    """Expected maximum [n] of 1, 2, ..., n trials out of those made.

    unbiased: drawn without replacement, the U-statistic of Tang et al. 2020 (equation 4), whose last value is the best trial itself;
    otherwise with replacement, the V-statistic of Dodge et al. 2019 (equation 7), biased downwards and less noisy (Dodge et al. 2021).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)
    ranks = np.arange(1, count + 1, dtype=np.float64)
    found = np.empty(count)
    for budget in range(1, count + 1):
        if unbiased:
            # The i-th smallest is the maximum of a subset of this size with chance C(i - 1, k - 1) / C(n, k).
            weights = np.where(
                ranks >= budget, np.exp(_log_choose(np.maximum(ranks - 1, budget - 1), budget - 1) - _log_choose(count, budget)), 0.0
            )
        else:
            weights = (ranks / count) ** budget - ((ranks - 1) / count) ** budget
        found[budget - 1] = float(weights @ ordered)
    return found


def _log_choose(n: Floats | float, k: float) -> Floats:
    return np.asarray(gammaln(np.asarray(n) + 1) - gammaln(k + 1) - gammaln(np.asarray(n) - k + 1), dtype=np.float64)


def against_seconds(values: Sequence[float], seconds: Sequence[float]) -> tuple[Floats, Floats]:
    """Seconds [n] and expected best [n]: k trials cost k times the mean seconds of a trial."""
    spent = np.arange(1, len(values) + 1, dtype=np.float64) * float(np.mean(seconds))
    return np.asarray(spent, dtype=np.float64), expected_best(values)
