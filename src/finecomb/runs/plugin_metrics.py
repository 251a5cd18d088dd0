"""Metrics of plug-ins: the one implementation that training, tables and `runs verify` call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from finecomb.config.plugins import Metric, metrics
from finecomb.core.errors import ConfigError, Problem
from finecomb.runs.class_metrics import Floats

if TYPE_CHECKING:
    from finecomb.config.plugins.parts import Answers


def values(task_variant: str, targets: Answers, predictions: Answers) -> dict[str, float | None]:
    """Every metric that plug-ins add to a variant of a task, on all examples; None where a metric is undefined."""
    found = {name: _value(name, metric, targets, predictions) for name, metric in metrics(task_variant).items()}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def resampled(counts: Floats, targets: Answers, predictions: Sequence[Answers], task_variant: str, names: Sequence[str]) -> Floats:
    """Metrics [B, R, M] of R runs' predictions; a row of counts [B, N] holds how often each example was drawn. NaN where undefined."""
    known, found = metrics(task_variant), np.empty((len(counts), len(predictions), len(names)))
    for sample, drawn in enumerate(counts):
        rows = np.repeat(np.arange(len(drawn)), drawn.astype(np.int64))
        for run, answers in enumerate(predictions):
            found[sample, run] = [_value(name, known[name], targets[rows], answers[rows]) for name in names]
    return found


def _value(name: str, metric: Metric, targets: Answers, predictions: Answers) -> float:
    """Raises ConfigError for a function that fails or returns no number."""
    try:
        return float(metric.function(targets, predictions))
    except Exception as error:  # The function is the user's own: so is whatever it raises.
        what = f"the metric {name} failed on {len(targets)} examples: {type(error).__name__}: {error}"
        raise ConfigError(Problem(what, f"METRICS[{name!r}] of a plug-in", "a number; NaN where the metric is undefined")) from error
