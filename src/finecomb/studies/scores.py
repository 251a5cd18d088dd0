"""The numbers of a table: predictions read from run directories, laid side by side by example, scored and resampled together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.config.errors import Problem, UserError
from finecomb.config.schema.task import LOWER_IS_BETTER
from finecomb.studies import statistics
from finecomb.studies.statistics import Floats, Interval, Spread


@dataclass(frozen=True)
class Predictions:
    """One run's answers on a split, ordered by example id. Labels are a name, a list of names, or a number."""

    ids: tuple[str, ...]
    label: list[Any]
    prediction: list[Any]

    def same_examples(self, other: Predictions) -> bool:
        """Whether both are about the same examples with the same labels, so that they pair."""
        return self.ids == other.ids and self.label == other.label


@dataclass(frozen=True)
class Score:
    """One metric of one row: its value averaged over seeds, and what chance may have added.

    value: nan where the metric is undefined. interval: over test examples. difference, difference_interval: to the row it is compared with
    (None for that row itself), paired by example. better: True or False when the difference is distinguishable from none, else None.
    """

    value: float
    interval: Interval
    spread: Spread
    difference: float | None = None
    difference_interval: Interval | None = None
    better: bool | None = None


def read_predictions(path: Path) -> Predictions:
    """Read predictions/<split>.parquet. Raises UserError when the file is broken."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        columns = pyarrow.parquet.ParquetFile(path).read(columns=["id", "label", "prediction"], use_threads=False).to_pydict()
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(
            Problem(f"the predictions cannot be read: {error}", where=str(path), mend="delete the run directory and run it again")
        ) from error
    return ordered(columns["id"], columns["label"], columns["prediction"])


def ordered(ids: Sequence[str], label: Sequence[Any], prediction: Sequence[Any]) -> Predictions:
    """Predictions in the order of their ids."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    return Predictions(tuple(ids[row] for row in order), [label[row] for row in order], [prediction[row] for row in order])


@dataclass(frozen=True)
class Labels:
    """What is predicted. names: the classes in their order; None for numbers. exclusive: each example has exactly one class."""

    names: Sequence[str] | None
    exclusive: bool = True


def scorer(predictions: Sequence[Predictions], metrics: Sequence[str], labels: Labels) -> Callable[[Floats], Floats]:
    """A function from counts [B, N] to metrics [B, R, M] of R runs on the same examples."""
    if labels.names is None:
        truth = np.asarray(predictions[0].label, dtype=np.float64)
        answers = np.asarray([each.prediction for each in predictions], dtype=np.float64)
        return lambda counts: statistics.number_scores(counts, truth, answers, metrics)
    index = {name: column for column, name in enumerate(labels.names)}
    truth = _indicators(predictions[0].label, index)
    answers = np.stack([_indicators(each.prediction, index) for each in predictions])
    return lambda counts: statistics.class_scores(counts, truth, answers, metrics, exclusive=labels.exclusive)


def _indicators(values: Sequence[Any], index: dict[str, int]) -> NDArray[np.float64]:
    matrix = np.zeros((len(values), len(index)))
    for row, value in enumerate(values):
        for name in value if isinstance(value, list) else [value]:
            matrix[row, index[name]] = 1.0
    return matrix


def score_rows(
    rows: Sequence[Sequence[Predictions]], metrics: Sequence[str], labels: Labels, baseline: int | None
) -> list[dict[str, Score]]:
    """Scores of each row, a row being one or more runs (seeds) on the same examples; `baseline` None: the best row of each metric."""
    score = scorer([each for row in rows for each in row], metrics, labels)
    examples = len(rows[0][0].ids)
    plain = score(np.ones((1, examples)))[0]
    resampled = statistics.bootstrap(score, examples)
    ends = np.cumsum([len(row) for row in rows])
    members = [slice(end - len(row), end) for end, row in zip(ends, rows, strict=True)]
    found: list[dict[str, Score]] = [{} for _ in rows]
    for column, metric in enumerate(metrics):
        values = [plain[member, column] for member in members]
        samples = [resampled[:, member, column].mean(axis=1) for member in members]
        against = best([value.mean() for value in values], metric) if baseline is None else baseline
        for row, scores in enumerate(found):
            scores[metric] = _score(values[row], samples[row], metric, None if row == against else (values[against], samples[against]))
    return found


def best(values: Sequence[float], metric: str) -> int:
    """Index of the best value, the first of equals; a metric that is undefined (nan) is never best, unless all are."""
    array = np.asarray(values, dtype=np.float64)
    worst = np.inf if metric in LOWER_IS_BETTER else -np.inf
    array = np.where(np.isnan(array), worst, array)
    return int(array.argmin() if metric in LOWER_IS_BETTER else array.argmax())


def _score(values: Floats, samples: Floats, metric: str, against: tuple[Floats, Floats] | None) -> Score:
    value, interval, spread = float(values.mean()), statistics.percentile_interval(samples), statistics.spread(values.tolist())
    if against is None:
        return Score(value, interval, spread)
    difference = value - float(against[0].mean())
    between = statistics.paired_difference(samples, against[1])
    better = (difference > 0) != (metric in LOWER_IS_BETTER) if between.excludes(0.0) else None
    return Score(value, interval, spread, difference, between, better)
