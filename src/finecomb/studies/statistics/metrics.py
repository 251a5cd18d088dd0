"""Metrics recomputed from predictions, over many resamples at once: a resample is a row of counts (how often each example was drawn), so
that a metric over ten thousand of them is a few matrix products.

Each takes counts [B, N], of which a row says how often each example was drawn; a row of ones gives the plain metric.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient, nan where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


@dataclass(frozen=True)
class ClassCounts:
    """Counts for each resample and class [B, K]: true positives, predicted, labelled; and for each resample [B]: examples, those all right.

    exclusive: each example has exactly one class. Classes that occur in neither labels nor predictions are then left out of averages;
    with label sets they count as 0 (both as torchmetrics does).
    """

    hit: Floats
    predicted: Floats
    labelled: Floats
    total: Floats
    right: Floats
    exclusive: bool


def class_counts(weights: Floats, truth: Floats, predicted: Floats, *, exclusive: bool = True) -> ClassCounts:
    """Counts under `weights` [B, N] from indicators [N, K] of 0 and 1."""
    right = (truth == predicted).all(axis=1).astype(np.float64)
    return ClassCounts(weights @ (truth * predicted), weights @ predicted, weights @ truth, weights.sum(axis=1), weights @ right, exclusive)


def accuracy(counts: ClassCounts) -> Floats:
    """Share of examples that are right; of a set of labels all must be."""
    return counts.right / counts.total


def _over_classes(score: Callable[[Floats, Floats, Floats], Floats], average: str) -> Callable[[ClassCounts], Floats]:
    """A score of (hits, predicted, labelled), for each class, averaged. micro: of the counts summed over classes; binary: of class 1."""

    def averaged(counts: ClassCounts) -> Floats:
        sides = counts.hit, counts.predicted, counts.labelled
        if average == "micro":
            return score(*(side.sum(axis=1) for side in sides))
        if average == "binary":
            return score(*(side[:, 1] for side in sides))
        present = (counts.predicted + counts.labelled > 0) if counts.exclusive else np.ones_like(counts.hit, dtype=bool)
        share = counts.labelled if average == "weighted" else present.astype(np.float64)
        return _ratio((np.nan_to_num(score(*sides)) * share).sum(axis=1), share.sum(axis=1))

    return averaged


def precision(hit: Floats, predicted: Floats, labelled: Floats) -> Floats:
    """Hits / predicted; nan (in an average: 0) for what is never predicted."""
    return _ratio(hit, predicted)


def recall(hit: Floats, predicted: Floats, labelled: Floats) -> Floats:
    """Hits / labelled; nan (in an average: 0) for what never occurs."""
    return _ratio(hit, labelled)


def f1(hit: Floats, predicted: Floats, labelled: Floats) -> Floats:
    """2 hits / (predicted + labelled), van Rijsbergen 1979; averaged over classes (not F1 of the averaged precision and recall)."""
    return _ratio(2 * hit, predicted + labelled)


def mcc(counts: ClassCounts) -> Floats:
    """Matthews correlation for K classes (Gorodkin 2004, equation 8), from the margins; nan when one side is constant."""
    covariance = counts.hit.sum(axis=1) * counts.total - (counts.predicted * counts.labelled).sum(axis=1)
    predicted = counts.total**2 - (counts.predicted**2).sum(axis=1)
    labelled = counts.total**2 - (counts.labelled**2).sum(axis=1)
    return _ratio(covariance, np.sqrt(predicted * labelled))


CLASS_METRICS: dict[str, Callable[[ClassCounts], Floats]] = {"accuracy": accuracy} | {
    f"{score.__name__}_{average}": _over_classes(score, average)
    for average in ("macro", "micro", "weighted", "binary")
    for score in (f1, precision, recall)
}
CLASS_METRICS["mcc"] = mcc


def class_scores(weights: Floats, truth: Floats, predictions: Floats, metrics: Sequence[str], *, exclusive: bool = True) -> Floats:
    """Classification metrics [B, R, M] of R runs' indicators [R, N, K] against the truth's [N, K]."""
    counts = [class_counts(weights, truth, predicted, exclusive=exclusive) for predicted in predictions]
    return np.stack([np.stack([CLASS_METRICS[metric](each) for metric in metrics], axis=1) for each in counts], axis=1)


def pearson(weights: Floats, truth: Floats, predicted: Floats) -> Floats:
    """Pearson's correlation under `weights` [B, N]; nan on a resample where one side is constant."""
    # Centred first: E[xy] - E[x]E[y] cancels when the mean is large beside the spread.
    truth, predicted = truth - truth.mean(), predicted - predicted.mean()
    moments = weights @ np.column_stack([truth, predicted, truth**2, predicted**2, truth * predicted])
    x, y, xx, yy, xy = (moments / weights.sum(axis=1, keepdims=True)).T
    return _correlation(xx - x**2, yy - y**2, xy - x * y, dust_x=1e-12 * xx, dust_y=1e-12 * yy)


def _correlation(variance_x: Floats, variance_y: Floats, covariance: Floats, dust_x: Floats | float, dust_y: Floats | float) -> Floats:
    """Covariance over the root of the variances; nan where a variance is no more than rounding dust."""
    defined = (variance_x > dust_x) & (variance_y > dust_y)
    return _ratio(covariance, np.sqrt(np.where(defined, variance_x * variance_y, 0.0)))


def centred_ranks(weights: Floats, values: Floats) -> Floats:
    """Rank [B, N] of each value less the mean rank, as if each example stood there `weights` times; ties share their mean rank."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) > 0])
    drawn = np.add.reduceat(weights[:, order], starts, axis=1)
    # The mean rank is (n + 1) / 2 whatever the ties.
    ranks = np.cumsum(drawn, axis=1) - (drawn + weights.sum(axis=1, keepdims=True)) / 2
    return ranks[:, group]


def rank_correlation(weights: Floats, truth_ranks: Floats, predicted_ranks: Floats) -> Floats:
    """Spearman's correlation (1904): Pearson's of the ranks, which are taken anew in each resample. All arguments are [B, N]."""
    sides = (truth_ranks, truth_ranks), (predicted_ranks, predicted_ranks), (truth_ranks, predicted_ranks)
    xx, yy, xy = (np.einsum("bn,bn,bn->b", weights, left, right) for left, right in sides)
    return _correlation(xx, yy, xy, dust_x=0.0, dust_y=0.0)


def number_scores(weights: Floats, truth: Floats, predictions: Floats, metrics: Sequence[str]) -> Floats:
    """Regression metrics [B, R, M] of R runs' predictions [R, N] against the truth [N]."""
    total = weights.sum(axis=1, keepdims=True)
    errors = predictions - truth
    scores: dict[str, Floats] = {}
    if "pearson" in metrics:
        scores["pearson"] = np.stack([pearson(weights, truth, row) for row in predictions], axis=1)
    if "spearman" in metrics:
        ranks = centred_ranks(weights, truth)
        scores["spearman"] = np.stack([rank_correlation(weights, ranks, centred_ranks(weights, row)) for row in predictions], axis=1)
    if "rmse" in metrics:
        scores["rmse"] = np.sqrt(weights @ (errors**2).T / total)
    if "mae" in metrics:
        scores["mae"] = weights @ np.abs(errors).T / total
    return np.stack([scores[metric] for metric in metrics], axis=2)


NUMBER_METRICS = ("pearson", "spearman", "rmse", "mae")
