"""An interval of a number, and the level of every interval in a table."""

from __future__ import annotations

from dataclasses import dataclass

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Both ends of an interval; nan where the metric is undefined."""

    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """True when `value` lies outside (an undefined interval excludes nothing)."""
        return bool(value < self.low or value > self.high)
