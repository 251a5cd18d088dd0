"""Sources that repeat each other: pairs that agree far more often than two independent ones as good as they are would.

Label models take sources for independent given the class. A few copies of one source would then outvote all others and, in EM, even become
the class that is looked for; so such sources share one voice. How good a source is, is measured against the majority of all, which is the
one place where the copies do not yet decide.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
# Of what agreement could still be gained beyond chance, the share from which two sources count as repeating each other. Independent
# sources reach 0.5 where the majority is a poor measure of them; one that copies another seven times of ten reaches 0.6.
REPEATS = 0.55
_STANDARD_ERRORS, _LEAST_ROWS = 5.0, 50


def excess_agreement(votes: NDArray[Any], counts: Floats, confusion: Floats, balance: Floats) -> Floats:
    """[m, m]: (agreement - expected) / (1 - expected) of each pair, over rows where both vote; 0 where it may be chance, or below.

    votes [n, m]: classes, below 0 for none; counts [n]: how many rows each stands for. confusion [m, k, k]: P(vote | class)
    of a source that votes. Expected is the agreement of two sources that are independent given the class.
    """
    classes = len(balance)
    said = [(votes == c).astype(np.float64) for c in range(classes)]
    agree = sum((each * counts[:, None]).T @ each for each in said)
    spoke = (votes >= 0).astype(np.float64)
    both = (spoke * counts[:, None]).T @ spoke
    expected = np.einsum("y,iyc,jyc->ij", balance, confusion, confusion)
    share = agree / np.maximum(both, 1.0)
    error = np.sqrt(np.maximum(expected * (1 - expected), 1e-12) / np.maximum(both, 1.0))
    certain = (both >= _LEAST_ROWS) & (share - expected > _STANDARD_ERRORS * error) & (expected < 1 - 1e-6)
    excess: Floats = np.where(certain, (share - expected) / np.maximum(1 - expected, 1e-6), 0.0)
    np.fill_diagonal(excess, 0.0)
    return excess


def voices(excess: Floats) -> Floats:
    """Weight of each source [m]: 1, or for sources that repeat each other so much that all of them together count about as one."""
    weights: Floats = 1.0 / (1.0 + np.where(excess >= REPEATS, excess, 0.0).sum(axis=1))
    return weights
