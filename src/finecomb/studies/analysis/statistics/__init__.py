"""What a table may claim. Two kinds of chance are kept apart: over test examples, had others been drawn (`resampling`), and over seeds, had
training been repeated (`seeds`); `two_way` answers for both together, and decides. Everything is numpy and scipy on arrays."""

from finecomb.runs.class_metrics import CLASS_METRICS, Floats, class_scores, zero_divisions
from finecomb.studies.analysis.statistics.metrics import NUMBER_METRICS, number_scores
from finecomb.studies.analysis.statistics.resampling import (
    LEVEL,
    RESAMPLES,
    Interval,
    Spread,
    bootstrap,
    paired_difference,
    percentile_interval,
    resampled_counts,
    spread,
)

__all__ = [
    "CLASS_METRICS",
    "LEVEL",
    "NUMBER_METRICS",
    "RESAMPLES",
    "Floats",
    "Interval",
    "Spread",
    "bootstrap",
    "class_scores",
    "number_scores",
    "paired_difference",
    "percentile_interval",
    "resampled_counts",
    "spread",
    "zero_divisions",
]
