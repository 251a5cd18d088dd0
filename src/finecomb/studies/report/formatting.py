"""How numbers are written in the cells of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from finecomb.runs.sum_metrics import SUM_METRICS
from finecomb.studies.analysis.statistics import Interval

# Metrics whose values are no share of anything stay as they are; the others are shown in percent.
_NO_SHARE = ("pearson", "spearman", "mcc", "rmse", "mae")
NONE = "–"


def is_share(metric: str) -> bool:
    """Whether a metric is a share of something, and so shown in percent."""
    summed = SUM_METRICS.get(metric)
    return metric not in _NO_SHARE and (summed is None or summed.high == 1.0)


def writer_of(metric: str) -> Callable[[float, bool], str]:
    """How a value of this metric is written: percent with two decimals, or as it is with four (from 0 to 100: with two)."""
    in_hundreds = metric in SUM_METRICS and SUM_METRICS[metric].high == 100.0
    factor, places = (100, 2) if is_share(metric) else (1, 2 if in_hundreds else 4)

    def show(value: float, signed: bool) -> str:
        if value != value:
            return "undefined"
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        return f"{round(value * factor, places) + 0.0:{'+' if signed else ''}.{places}f}"

    return show


def interval_text(interval: Interval, show: Callable[[float, bool], str], signed: bool) -> str:
    """[low, high], or a dash where it is undefined."""
    return NONE if interval.low != interval.low else f"[{show(interval.low, signed)}, {show(interval.high, signed)}]"


def bytes_text(count: float | None) -> str:
    """An amount of memory as a reader wants it."""
    if count is None:
        return NONE
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def pipes(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
