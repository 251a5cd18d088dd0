"""Predictions read from run directories, laid side by side by example, and their metrics under any weights of the examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.config import plugins
from finecomb.config.plugins import lower_is_better
from finecomb.core.errors import ConfigError, Problem
from finecomb.runs import plugin_metrics, sum_metrics
from finecomb.studies.analysis import statistics
from finecomb.studies.analysis.statistics import Floats


@dataclass(frozen=True)
class Predictions:
    """One run's answers on a split, ordered by example id. Labels are a name, a list of names, a number or a text.

    sums: what each example adds to the metrics of `runs.sum_metrics`, by name; empty for tasks that have none of these.
    """

    ids: tuple[str, ...]
    label: list[Any]
    prediction: list[Any]
    sums: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def same_examples(self, other: Predictions) -> bool:
        """Whether both are about the same examples with the same labels, so that they pair."""
        return self.ids == other.ids and self.label == other.label


def read_predictions(path: Path) -> Predictions:
    """Read predictions/<split>.parquet. Raises ConfigError when the file is broken."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        sums = [name for name in file.schema_arrow.names if name.startswith(sum_metrics.PREFIX)]
        columns = file.read(columns=["id", "label", "prediction", *sums], use_threads=False).to_pydict()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ConfigError(
            Problem(f"the predictions cannot be read: {error}", where=str(path), hint="delete the run directory and run it again")
        ) from error
    by_name = {name.removeprefix(sum_metrics.PREFIX): columns[name] for name in sums}
    return ordered(columns["id"], columns["label"], columns["prediction"], by_name)


def ordered(
    ids: Sequence[str], label: Sequence[Any], prediction: Sequence[Any], sums: Mapping[str, Sequence[float]] | None = None
) -> Predictions:
    """Predictions in the order of their ids."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    sorted_sums = {name: [column[row] for row in order] for name, column in (sums or {}).items()}
    return Predictions(tuple(ids[row] for row in order), [label[row] for row in order], [prediction[row] for row in order], sorted_sums)


@dataclass(frozen=True)
class Labels:
    """What is predicted.

    names: the classes in their order; None for numbers. exclusive: each example has exactly one class. summed: the variant of a task whose
    metrics are of sums; None for one of labels and predictions.
    """

    names: Sequence[str] | None
    exclusive: bool = True
    summed: str | None = None

    @property
    def task(self) -> str:
        """The variant of the task."""
        if self.summed is not None:
            return self.summed
        if self.names is None:
            return "regression"
        return "sequence_classification" if self.exclusive else "sequence_classification multi_label"


def resampled_metrics(task: str) -> list[str]:
    """The metrics of a variant of a task that can be computed again from answers, and so have intervals over examples."""
    facts = plugins.task_facts(task)
    if facts is None:
        return []
    names = plugins.metric_names(task)
    if facts.answers == "sums":
        return list(sum_metrics.known(names, facts.own_metrics))
    shipped = statistics.NUMBER_METRICS if facts.answers == "numbers" else statistics.CLASS_METRICS
    return [name for name in (*shipped, *plugins.metrics(task)) if name in names]


def scorer(predictions: Sequence[Predictions], metrics: Sequence[str], labels: Labels) -> Callable[[Floats], Floats]:
    """A function from counts [B, N] to metrics [B, R, M] of R runs on the same examples."""
    if labels.summed is not None:
        summed = list(sum_metrics.known(metrics, plugins.sum_metrics(labels.summed)).values())
        return lambda counts: sum_metrics.scores(counts, [each.sums for each in predictions], summed)
    added = [name for name in metrics if name in plugins.metrics(labels.task)]
    if not added:
        return _shipped_scorer(predictions, metrics, labels)
    others = [name for name in metrics if name not in added]
    shipped = _shipped_scorer(predictions, others, labels) if others else None
    truth, *answers = (_as_metrics_take(side, labels) for side in (predictions[0].label, *(each.prediction for each in predictions)))
    order = [[*others, *added].index(name) for name in metrics]

    def score(counts: Floats) -> Floats:
        parts = [] if shipped is None else [shipped(counts)]
        return np.concatenate([*parts, plugin_metrics.resampled(counts, truth, answers, labels.task, added)], axis=2)[:, :, order]

    return score


def _shipped_scorer(predictions: Sequence[Predictions], metrics: Sequence[str], labels: Labels) -> Callable[[Floats], Floats]:
    if labels.names is None:
        truth = np.asarray(predictions[0].label, dtype=np.float64)
        answers = np.asarray([each.prediction for each in predictions], dtype=np.float64)
        return lambda counts: statistics.number_scores(counts, truth, answers, metrics)
    index = {name: column for column, name in enumerate(labels.names)}
    truth = _indicators(predictions[0].label, index)
    answers = np.stack([_indicators(each.prediction, index) for each in predictions])
    return lambda counts: statistics.class_scores(counts, truth, answers, metrics, exclusive=labels.exclusive)


def _as_metrics_take(values: Sequence[Any], labels: Labels) -> NDArray[Any]:
    """Labels or predictions as the metrics of plug-ins take them: see `plugins.Metric`."""
    if labels.names is None:
        return np.asarray(values, dtype=np.float64)
    matrix = _indicators(values, {name: column for column, name in enumerate(labels.names)}).astype(np.int64)
    return matrix.argmax(axis=1) if labels.exclusive else matrix


def zero_divisions(predictions: Sequence[Predictions], metrics: Sequence[str], labels: Labels) -> NDArray[np.bool_]:
    """Whether each metric of each run [R, M] is 0 / 0 and counts as 0; never for numbers, whose metrics are then undefined."""
    found = np.zeros((len(predictions), len(metrics)), dtype=bool)
    shipped = [column for column, name in enumerate(metrics) if name not in plugins.metrics(labels.task)]
    if labels.names is None or labels.summed is not None or not shipped:
        return found
    index = {name: column for column, name in enumerate(labels.names)}
    answers = np.stack([_indicators(each.prediction, index) for each in predictions])
    truth, names = _indicators(predictions[0].label, index), [metrics[column] for column in shipped]
    found[:, shipped] = statistics.zero_divisions(truth, answers, names, exclusive=labels.exclusive)
    return found


def _indicators(values: Sequence[Any], index: dict[str, int]) -> NDArray[np.float64]:
    matrix = np.zeros((len(values), len(index)))
    for row, value in enumerate(values):
        for name in value if isinstance(value, list) else [value]:
            matrix[row, index[name]] = 1.0
    return matrix


def best(values: Sequence[float], metric: str) -> int:
    """Index of the best value, the first of equals; a metric that is undefined (nan) is never best, unless all are."""
    array = np.asarray(values, dtype=np.float64)
    worst = np.inf if lower_is_better(metric) else -np.inf
    array = np.where(np.isnan(array), worst, array)
    return int(array.argmin() if lower_is_better(metric) else array.argmax())


def value_range(metric: str) -> tuple[float, float]:
    """The least and the greatest value that a metric can have; infinite for one of a plug-in, of which nothing is known."""
    if metric in ("mcc", "pearson", "spearman"):
        return -1.0, 1.0
    if (summed := sum_metrics.SUM_METRICS.get(metric)) is not None:
        return summed.low, summed.high
    if metric in ("rmse", "mae"):
        return 0.0, math.inf
    known = metric in ("accuracy", "auroc") or metric.partition("_")[0] in ("precision", "recall", "f1")
    return (0.0, 1.0) if known and not plugins.metric_code(metric) else (-math.inf, math.inf)
