"""Metrics of plug-ins in tables: next to finecomb's, on every resample, by the function that training calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from finecomb.config import plugins
from finecomb.config.plugins.parts import Metric, Plugin
from finecomb.core.errors import ConfigError
from finecomb.runs import plugin_metrics
from finecomb.studies.analysis.scores import Labels, ordered, scorer, zero_divisions
from finecomb.studies.analysis.statistics import two_way

NAMES = ["low", "middle", "high"]


def hits(targets: Any, predictions: Any) -> float:
    return float((targets == predictions).mean())


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = ("sequence_classification", "sequence_classification multi_label", "regression")
    monkeypatch.setattr(plugins, "_loaded", {"here": Plugin(None, metrics={"hits": Metric(hits, tasks=tasks)})})


def runs(count: int = 2, examples: int = 30) -> list[Any]:
    draw = np.random.default_rng(0)
    label = [NAMES[index] for index in draw.integers(0, 3, examples)]
    answers = [[NAMES[index] for index in draw.integers(0, 3, examples)] for _ in range(count)]
    return [ordered([str(n) for n in range(examples)], label, each) for each in answers]


@pytest.mark.usefixtures("added")
def test_a_plug_ins_metric_is_computed_on_each_resample_in_the_requested_order() -> None:
    predictions, counts = runs(), np.random.default_rng(1).multinomial(30, [1 / 30] * 30, size=4).astype(np.float64)
    found = scorer(predictions, ["f1_macro", "hits", "accuracy"], Labels(NAMES))(counts)
    alone = scorer(predictions, ["f1_macro", "accuracy"], Labels(NAMES))(counts)
    np.testing.assert_allclose(found[:, :, 1], alone[:, :, 1], rtol=1e-12)  # the plug-in's metric is the accuracy
    np.testing.assert_array_equal(found[:, :, [0, 2]], alone)
    assert not zero_divisions(predictions, ["hits", "f1_macro"], Labels(NAMES))[:, 0].any()


@pytest.mark.usefixtures("added")
def test_intervals_of_a_plug_ins_metric_equal_those_of_the_same_metric_of_finecomb() -> None:
    score = scorer(runs(), ["hits", "accuracy"], Labels(NAMES))
    values, left_out = score(np.ones((1, 30)))[0], two_way.replicates(score, 30)
    ours, theirs = (two_way.difference(values[:, metric], None, left_out[:, :, metric], None) for metric in (0, 1))
    assert ours.value == pytest.approx(theirs.value)
    assert vars(ours.interval) == pytest.approx(vars(theirs.interval))


@pytest.mark.usefixtures("added")
def test_sets_of_labels_and_numbers_reach_the_function_as_arrays() -> None:
    several = [ordered(["0", "1"], [["low"], []], [["low", "high"], []])]
    assert scorer(several, ["hits"], Labels(NAMES, exclusive=False))(np.ones((1, 2)))[0, 0, 0] == pytest.approx(5 / 6)
    numbers = [ordered(["0", "1"], [0.5, 1.0], [0.5, 2.0])]
    assert scorer(numbers, ["hits", "mae"], Labels(None))(np.ones((1, 2)))[0, 0].tolist() == [0.5, 0.5]


def test_what_a_function_raises_is_a_users_error_and_nan_is_undefined(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = {"broken": Metric(lambda targets, predictions: 1 / 0), "nothing": Metric(lambda targets, predictions: float("nan"))}
    monkeypatch.setattr(plugins, "_loaded", {"here": Plugin(None, metrics={"nothing": metrics["nothing"]})})
    answers = np.zeros(3, dtype=np.int64)
    assert plugin_metrics.values("sequence_classification", answers, answers) == {"nothing": None}
    monkeypatch.setattr(plugins, "_loaded", {"here": Plugin(None, metrics=metrics)})
    with pytest.raises(ConfigError, match="the metric broken failed on 3 examples: ZeroDivisionError"):
        plugin_metrics.values("sequence_classification", answers, answers)
