"""Labels that are probably wrong, by confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70): a queue for a person to look at."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def suspects(labels: NDArray[np.int64], probabilities: Floats) -> NDArray[np.int64]:
    """Rows whose given label is confidently another class, the least believable first.

    labels [n]: class indices. probabilities [n, k]: out of fold, or the model has seen the labels it judges.
    A row counts as class c when its probability of c reaches the mean that rows labelled c have (section 3.1, equation 2); of several such
    classes the most probable. Ordered by the probability of the given label less that of the class it seems to be.
    """
    classes = probabilities.shape[1]
    means = [probabilities[labels == c, c].mean() if (labels == c).any() else np.inf for c in range(classes)]
    reached = probabilities >= np.asarray(means)
    seems = np.where(reached, probabilities, -1.0).argmax(axis=1)
    wrong = np.flatnonzero(reached.any(axis=1) & (seems != labels))
    margin = probabilities[wrong, labels[wrong]] - probabilities[wrong, seems[wrong]]
    found: NDArray[np.int64] = wrong[np.argsort(margin, kind="stable")]
    return found
