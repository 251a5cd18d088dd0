"""Classification metrics from counts, over many resamples at once: a resample is a row of counts (how often each example was drawn), so
that a metric over ten thousand of them is a few matrix products. Training, tables and `finecomb runs verify` all compute them here.

Where a metric is 0 / 0 it is 0, as scikit-learn's `zero_division=0` and its `matthews_corrcoef` have it: precision without a predicted
positive, recall without a labeled one, the Matthews correlation of constant predictions or labels, a label of a macro average that neither
occurs nor is predicted. `zero_divisions` says of which runs that holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _ratio(numerator: Floats, denominator: Floats, zero_division: float) -> Floats:
    return np.divide(numerator, denominator, out=np.full(numerator.shape, zero_division), where=denominator != 0)


@dataclass(frozen=True)
class ClassCounts:
    """Counts for each resample and class [B, K]: true positives, predicted, labeled; and for each resample [B]: examples, those all right.

    exclusive: each example has exactly one class. Classes that occur in neither labels nor predictions are then left out of averages, as
    scikit-learn does without `labels`; with label sets, which are indicator matrices to scikit-learn, they count as 0.
    """

    hit: Floats
    predicted: Floats
    labeled: Floats
    total: Floats
    right: Floats
    exclusive: bool


def class_counts(weights: Floats, truth: Floats, predicted: Floats, *, exclusive: bool = True) -> ClassCounts:
    """Counts under `weights` [B, N] from indicators [N, K] of 0 and 1."""
    right = (truth == predicted).all(axis=1).astype(np.float64)
    return ClassCounts(weights @ (truth * predicted), weights @ predicted, weights @ truth, weights.sum(axis=1), weights @ right, exclusive)


Metric = Callable[[ClassCounts, float], Floats]
"""A metric [B] of counts; the second argument is its value where it is 0 / 0."""


def accuracy(counts: ClassCounts, zero_division: float = 0.0) -> Floats:
    """Share of examples that are right; of a set of labels all must be."""
    return _ratio(counts.right, counts.total, zero_division)


def _over_classes(score: Callable[[Floats, Floats, Floats, float], Floats], average: str) -> Metric:
    """A score of (hits, predicted, labeled), for each class, averaged. micro: of the counts summed over classes; binary: of class 1."""

    def averaged(counts: ClassCounts, zero_division: float = 0.0) -> Floats:
        sides = counts.hit, counts.predicted, counts.labeled
        if average == "micro":
            hit, predicted, labeled = (side.sum(axis=1) for side in sides)
            return score(hit, predicted, labeled, zero_division)
        if average == "binary":
            hit, predicted, labeled = (side[:, 1] for side in sides)
            return score(hit, predicted, labeled, zero_division)
        present = (counts.predicted + counts.labeled > 0) if counts.exclusive else np.ones_like(counts.hit, dtype=bool)
        share = counts.labeled if average == "weighted" else present.astype(np.float64)
        return _ratio((score(*sides, 0.0) * share).sum(axis=1), share.sum(axis=1), zero_division)

    return averaged


def precision(hit: Floats, predicted: Floats, labeled: Floats, zero_division: float) -> Floats:
    """Hits / predicted."""
    return _ratio(hit, predicted, zero_division)


def recall(hit: Floats, predicted: Floats, labeled: Floats, zero_division: float) -> Floats:
    """Hits / labeled."""
    return _ratio(hit, labeled, zero_division)


def f1(hit: Floats, predicted: Floats, labeled: Floats, zero_division: float) -> Floats:
    """2 hits / (predicted + labeled), van Rijsbergen 1979; averaged over classes (not F1 of the averaged precision and recall)."""
    return _ratio(2 * hit, predicted + labeled, zero_division)


def mcc(counts: ClassCounts, zero_division: float = 0.0) -> Floats:
    """Matthews correlation for K classes (Gorodkin 2004, equation 8), from the margins."""
    covariance = counts.hit.sum(axis=1) * counts.total - (counts.predicted * counts.labeled).sum(axis=1)
    predicted = counts.total**2 - (counts.predicted**2).sum(axis=1)
    labeled = counts.total**2 - (counts.labeled**2).sum(axis=1)
    return _ratio(covariance, np.sqrt(predicted * labeled), zero_division)


CLASS_METRICS: dict[str, Metric] = {"accuracy": accuracy} | {
    f"{score.__name__}_{average}": _over_classes(score, average)
    for average in ("macro", "micro", "weighted", "binary")
    for score in (f1, precision, recall)
}
CLASS_METRICS["mcc"] = mcc


def class_scores(
    weights: Floats, truth: Floats, predictions: Floats, metrics: Sequence[str], *, exclusive: bool = True, zero_division: float = 0.0
) -> Floats:
    """Classification metrics [B, R, M] of R runs' indicators [R, N, K] against the truth's [N, K]."""
    counts = [class_counts(weights, truth, predicted, exclusive=exclusive) for predicted in predictions]
    return np.stack([np.stack([CLASS_METRICS[metric](each, zero_division) for metric in metrics], axis=1) for each in counts], axis=1)


def zero_divisions(truth: Floats, predictions: Floats, metrics: Sequence[str], *, exclusive: bool = True) -> NDArray[np.bool_]:
    """Whether each metric of each run [R, M] is 0 / 0 as a whole and therefore counts as 0; a class inside an average is not counted."""
    plain = class_scores(np.ones((1, len(truth))), truth, predictions, metrics, exclusive=exclusive, zero_division=np.nan)
    return np.isnan(plain[0])
