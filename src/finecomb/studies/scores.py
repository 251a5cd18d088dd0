"""The numbers of a table: predictions read from run directories, laid side by side by example, scored and resampled together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.config.errors import Problem, UserError
from finecomb.config.schema.task import LOWER_IS_BETTER
from finecomb.studies import statistics
from finecomb.studies.statistics import Floats, Interval, Spread, two_way


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

    value: nan where the metric is undefined. interval: over seeds and test examples together, or with one seed over examples alone, which
    `seeds` tells. difference, difference_interval: to the row it is compared with (None for that row itself), likewise, paired by example.
    better: True or False when the difference is distinguishable from none, else None.
    """

    value: float
    interval: Interval
    spread: Spread
    difference: float | None = None
    difference_interval: Interval | None = None
    better: bool | None = None
    seeds: bool = False


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


@dataclass(frozen=True)
class _Side:
    """A row's metric: of each run, with each group of examples left out, and averaged over seeds on each resample of the examples."""

    values: Floats
    left_out: Floats
    samples: Floats
    seedless: bool


def score_rows(
    rows: Sequence[Sequence[Predictions]], metrics: Sequence[str], labels: Labels, baseline: int | None, seedless: Sequence[bool]
) -> list[dict[str, Score]]:
    """Scores of each row, a row being one or more runs (seeds) on the same examples; `baseline` None: the best row of each metric.

    seedless: rows that come out the same whatever the seed, as references do.
    """
    score = scorer([each for row in rows for each in row], metrics, labels)
    examples = len(rows[0][0].ids)
    plain = score(np.ones((1, examples)))[0]
    resampled = statistics.bootstrap(score, examples)
    left_out = two_way.replicates(score, examples)
    ends = np.cumsum([len(row) for row in rows])
    members = [slice(end - len(row), end) for end, row in zip(ends, rows, strict=True)]
    found: list[dict[str, Score]] = [{} for _ in rows]
    for column, metric in enumerate(metrics):
        sides = [
            _Side(plain[member, column], left_out[:, member, column], resampled[:, member, column].mean(axis=1), fixed)
            for member, fixed in zip(members, seedless, strict=True)
        ]
        against = best([side.values.mean() for side in sides], metric) if baseline is None else baseline
        for row, scores in enumerate(found):
            scores[metric] = _score(sides[row], metric, None if row == against else sides[against])
    return found


def best(values: Sequence[float], metric: str) -> int:
    """Index of the best value, the first of equals; a metric that is undefined (nan) is never best, unless all are."""
    array = np.asarray(values, dtype=np.float64)
    worst = np.inf if metric in LOWER_IS_BETTER else -np.inf
    array = np.where(np.isnan(array), worst, array)
    return int(array.argmin() if metric in LOWER_IS_BETTER else array.argmax())


def _score(side: _Side, metric: str, against: _Side | None) -> Score:
    value, spread = float(side.values.mean()), statistics.spread(side.values.tolist())
    own = two_way.difference(side.values, None, side.left_out, None, seedless=side.seedless)
    # References have no seeds to vary; the bootstrap over examples says all there is to say of them, and of single runs.
    measured = own.interval if own.interval is not None and not side.seedless else None
    interval = measured or statistics.percentile_interval(side.samples)
    if against is None:
        return Score(value, interval, spread, seeds=measured is not None)
    found = _difference(side, against)
    between = found.interval or statistics.paired_difference(side.samples, against.samples)
    better = (found.value > 0) != (metric in LOWER_IS_BETTER) if between.excludes(0.0) else None
    return Score(value, interval, spread, found.value, between, better, seeds=measured is not None)


def _difference(side: _Side, against: _Side) -> two_way.Difference:
    """To the other row; a row without seeds stands second, where it is taken as it is."""
    if against.seedless and not side.seedless:
        turned = two_way.difference(against.values, side.values, against.left_out, side.left_out, seedless=True)
        interval = None if turned.interval is None else Interval(-turned.interval.high, -turned.interval.low)
        return replace(turned, value=-turned.value, interval=interval)
    if against.seedless:
        plain = two_way.difference(side.values, against.values, side.left_out, against.left_out)
        return replace(plain, interval=None)
    return two_way.difference(side.values, against.values, side.left_out, against.left_out, seedless=side.seedless)
