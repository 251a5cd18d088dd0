"""What a table may claim. Two kinds of chance are kept apart: over test examples, had others been drawn, and over seeds, had
training been repeated (`seeds`); `two_way` answers for both together, and decides. Everything is numpy and scipy on arrays."""

from finecomb.runs.class_metrics import CLASS_METRICS, Floats, class_scores, zero_divisions
from finecomb.studies.analysis.statistics.interval import LEVEL, Interval
from finecomb.studies.analysis.statistics.metrics import NUMBER_METRICS, number_scores

__all__ = [
    "CLASS_METRICS",
    "LEVEL",
    "NUMBER_METRICS",
    "Floats",
    "Interval",
    "class_scores",
    "number_scores",
    "zero_divisions",
]
