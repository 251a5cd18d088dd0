"""Regression metrics recomputed from predictions, over many resamples at once (those of classes: `finecomb.runs.class_metrics`).

Each takes counts [B, N], of which a row says how often each example was drawn; a row of ones gives the plain metric.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finecomb.runs.class_metrics import Floats

VERSION = "2"


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """The quotient, nan where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


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
