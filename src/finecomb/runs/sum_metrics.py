"""Metrics that are functions of sums over examples: entity F1, perplexity, BLEU and the like.

A task writes what each example adds as columns `sum.NAME` of its predictions; training, tables, intervals and `finecomb runs verify`
compute the metric from the sums here. A resample of the examples is a row of counts (how often each was drawn), so that ten thousand of
them are a matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = "1"

PREFIX = "sum."
Floats = NDArray[np.float64]
Sums = Mapping[str, Floats]
"""Sums by name without the prefix, each [B]: one for each resample."""


@dataclass(frozen=True)
class SumMetric:
    """A metric of sums.

    Attributes:
        of: From sums [B] to values [B]; NaN where the metric is undefined.
        low: Least possible value.
        high: Greatest possible value.
    """

    of: Callable[[Sums], Floats]
    low: float = 0.0
    high: float = 1.0


def ratio(numerator: Floats, denominator: Floats, empty: float = math.nan) -> Floats:
    """Numerator / denominator; `empty` where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(numerator.shape, empty), where=denominator != 0)


def mean(name: str, of: str = "rows") -> SumMetric:
    """The sum of `name` over that of `of`: a mean of values in [0, 1]."""
    return SumMetric(lambda sums: ratio(sums[name], sums[of]))


def mean_loss() -> SumMetric:
    """Mean loss of all items: the sum of losses times weights over the sum of weights."""
    return SumMetric(lambda sums: ratio(sums["loss"], sums["weight"]), high=math.inf)


SUM_METRICS: Mapping[str, SumMetric] = {
    "loss": mean_loss(),
    # exp of the mean of -log p over all tokens; a token that is cut counts nowhere.
    "perplexity": SumMetric(lambda sums: np.exp(ratio(sums["nll"], sums["tokens"])), low=1.0, high=math.inf),
    "bits_per_byte": SumMetric(lambda sums: ratio(sums["nll"], sums["bytes"]) / math.log(2), high=math.inf),
    "token_accuracy": mean("right", of="tokens"),
    # Without an entity on one side they are 0, as in seqeval.
    "entity_precision": SumMetric(lambda sums: ratio(sums["hit"], sums["predicted"], 0.0)),
    "entity_recall": SumMetric(lambda sums: ratio(sums["hit"], sums["labeled"], 0.0)),
    "entity_f1": SumMetric(lambda sums: ratio(2 * sums["hit"], sums["predicted"] + sums["labeled"], 0.0)),
    "entity_f1_default": SumMetric(lambda sums: ratio(2 * sums["default_hit"], sums["default_predicted"] + sums["default_labeled"], 0.0)),
    "exact_match": mean("exact_match"),
    "f1": mean("f1"),
    "has_answer_exact_match": mean("has_answer_exact_match", of="has_answer"),
    "has_answer_f1": mean("has_answer_f1", of="has_answer"),
    "no_answer_accuracy": mean("no_answer_right", of="no_answer"),
}


def known(names: Sequence[str], own: Mapping[str, SumMetric] | None = None) -> dict[str, SumMetric]:
    """The metrics among `names`, of finecomb and of `own`."""
    everything = {**SUM_METRICS, **(own or {})}
    return {name: everything[name] for name in names if name in everything}


def values(
    table: Mapping[str, Sequence[float]], names: Sequence[str], own: Mapping[str, SumMetric] | None = None
) -> dict[str, float | None]:
    """Metrics of all examples of a table of predictions, from its columns `sum.NAME`; None where undefined."""
    sums = {name.removeprefix(PREFIX): _total(column) for name, column in table.items() if name.startswith(PREFIX)}
    computed = {name: float(metric.of(sums)[0]) for name, metric in known(names, own).items()}
    return {name: value if math.isfinite(value) else None for name, value in computed.items()}


def _total(column: Sequence[float]) -> Floats:
    return np.asarray(column, dtype=np.float64).sum(keepdims=True)


def scores(counts: Floats, runs: Sequence[Mapping[str, Sequence[float]]], metrics: Sequence[SumMetric]) -> Floats:
    """Metrics [B, R, M] of R runs under counts [B, N]. runs: for each run its sums' columns [N] by name without the prefix."""
    of_runs = []
    for columns in runs:
        sums = {name: counts @ np.asarray(column, dtype=np.float64) for name, column in columns.items()}
        of_runs.append(np.stack([metric.of(sums) for metric in metrics], axis=1))
    return np.stack(of_runs, axis=1)
