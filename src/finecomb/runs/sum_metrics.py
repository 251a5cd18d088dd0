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


def _bleu(sums: Sums) -> Floats:
    """BLEU of sacreBLEU, 0 to 100: n-grams up to 4, orders without a match smoothed exponentially (Chen and Cherry 2014, method 3).

    0 without any match, and for texts that are all shorter than 4 tokens; NaN without texts.
    """
    matches, totals = (np.stack([sums[f"bleu_{name}{order}"] for order in range(1, 5)]) for name in ("match", "total"))
    missed = np.cumsum(matches == 0, axis=0)
    shown = np.where(matches > 0, matches, np.power(2.0, -missed))
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(totals > 0, np.log(shown) - np.log(totals), -math.inf)
    value = 100 * np.exp(precisions.mean(0) + np.minimum(1 - ratio(sums["bleu_reference"], sums["bleu_system"], math.inf), 0.0))
    return np.where(sums["generated"] > 0, np.where(matches.any(0), value, 0.0), math.nan)


CHARACTERS = 6
"""Characters of the longest n-grams of chrF."""


def _chrf(sums: Sums) -> Floats:
    """The chrF2 of sacreBLEU, 0 to 100: mean precision and recall of n-grams of 1 to 6 characters, as far as both sides have any."""
    system, reference, match = (
        np.stack([sums[f"chrf_{name}{order}"] for order in range(1, CHARACTERS + 1)]) for name in ("system", "reference", "match")
    )
    counts = (system > 0) & (reference > 0)
    precision, recall = (
        ratio(ratio(match, side, 0.0).sum(0, where=counts), counts.sum(0).astype(float), 0.0) for side in (system, reference)
    )
    value = 100 * ratio(5 * precision * recall, 4 * precision + recall, 0.0)
    return np.where(sums["generated"] > 0, value, math.nan)


SUM_METRICS: Mapping[str, SumMetric] = {
    "loss": mean_loss(),
    # exp of the mean of -log p over all tokens; a token that is cut counts nowhere.
    "perplexity": SumMetric(lambda sums: np.exp(ratio(sums["nll"], sums["tokens"])), low=1.0, high=math.inf),
    "bits_per_byte": SumMetric(lambda sums: ratio(sums["nll"], sums["bytes"]) / math.log(2), high=math.inf),
    "token_accuracy": mean("right", of="tokens"),
    # Of generated texts against their references; see `runs.text_statistics`.
    "bleu": SumMetric(_bleu, high=100.0),
    "chrf": SumMetric(_chrf, high=100.0),
    "rouge1": mean("rouge1", of="generated"),
    "rouge2": mean("rouge2", of="generated"),
    "rougeL": mean("rougeL", of="generated"),
    "rougeLsum": mean("rougeLsum", of="generated"),
    # Of generated texts, or where nothing is generated of all rows.
    "exact_match": SumMetric(lambda sums: ratio(sums["exact_match"], sums["generated" if "generated" in sums else "rows"])),
    # Tokens of sacreBLEU in the texts for each in the references.
    "length_ratio": SumMetric(lambda sums: ratio(sums["bleu_system"], sums["bleu_reference"]), high=math.inf),
    # Without an entity on one side they are 0, as in seqeval.
    "entity_precision": SumMetric(lambda sums: ratio(sums["hit"], sums["predicted"], 0.0)),
    "entity_recall": SumMetric(lambda sums: ratio(sums["hit"], sums["labeled"], 0.0)),
    "entity_f1": SumMetric(lambda sums: ratio(2 * sums["hit"], sums["predicted"] + sums["labeled"], 0.0)),
    "entity_f1_default": SumMetric(lambda sums: ratio(2 * sums["default_hit"], sums["default_predicted"] + sums["default_labeled"], 0.0)),
    # Of answers, as SQuAD scores them; see `runs.squad`.
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
    computed = {name: float(_of(metric, sums, 1)[0]) for name, metric in known(names, own).items()}
    return {name: value if math.isfinite(value) else None for name, value in computed.items()}


def _of(metric: SumMetric, sums: Sums, size: int) -> Floats:
    """The metric; NaN where what it sums was not measured, as with a run that generated no texts."""
    try:
        return metric.of(sums)
    except KeyError:
        return np.full(size, math.nan)


def _total(column: Sequence[float]) -> Floats:
    return np.asarray(column, dtype=np.float64).sum(keepdims=True)


def scores(counts: Floats, runs: Sequence[Mapping[str, Sequence[float]]], metrics: Sequence[SumMetric]) -> Floats:
    """Metrics [B, R, M] of R runs under counts [B, N]. runs: for each run its sums' columns [N] by name without the prefix."""
    of_runs = []
    for columns in runs:
        sums = {name: counts @ np.asarray(column, dtype=np.float64) for name, column in columns.items()}
        of_runs.append(np.stack([_of(metric, sums, len(counts)) for metric in metrics], axis=1))
    return np.stack(of_runs, axis=1)
