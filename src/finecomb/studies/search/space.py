"""What is searched: for each key a set of values or a range, as Hydra's overrides, a sweep.yaml or a study write it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finecomb.config.overrides import override
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Choice:
    """One of several values, each as likely as the others."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included. log: evenly in their logarithm. step: multiples above low. whole: integers."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def points(self) -> list[Any] | None:
        """All values where there are finitely many, else None."""
        if self.step is None and not self.whole:
            return None
        step = self.step or 1
        values = [self.low + number * step for number in range(int((self.high - self.low) / step + 1e-9) + 1)]
        return [int(value) for value in values] if self.whole else values


@dataclass(frozen=True)
class Quantile:
    """Any other distribution, searched by its quantiles from 0 to 1.

    kind: normal, log_normal (low: mean, high: deviation; of the logarithm), beta (low: a, high: b), log_uniform, inv_log_uniform (low,
    high: logarithms), categorical (values and their shares). step: rounded to multiples of it.
    """

    kind: str
    low: float = 0.0
    high: float = 1.0
    step: float | None = None
    values: tuple[Any, ...] = ()
    shares: tuple[float, ...] = ()

    def value(self, share: float) -> Any:
        """The value at a quantile."""
        from scipy import stats

        if self.kind == "categorical":
            reached = itertools.accumulate(self.shares)
            return next((each for each, sum_ in zip(self.values, reached, strict=True) if share <= sum_), self.values[-1])
        inside = min(max(share, 1e-6), 1 - 1e-6)
        if self.kind in ("normal", "log_normal"):
            found = float(stats.norm.ppf(inside, self.low, self.high))
        elif self.kind == "beta":
            found = float(stats.beta.ppf(inside, self.low, self.high))
        else:
            place = inside if self.kind == "log_uniform" else 1 - inside
            found = self.low + place * (self.high - self.low)
        found = math.exp(found) if self.kind.startswith(("log", "inv")) else found
        if self.kind == "inv_log_uniform":
            # Dense towards the upper bound, as a logarithm is towards the lower one.
            found = math.exp(self.low) + math.exp(self.high) - found
        return round(found / self.step) * self.step if self.step else float(f"{found:.4g}")


# What an Optuna trial is asked for; a study's own tables know the first two alone.
Dimension = Choice | Range | Quantile
Space = Mapping[str, Dimension]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space as Optuna has it. Choices are searched by their number, so that any value may be one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for key, each in space.items():
        if isinstance(each, Quantile):
            found[key] = FloatDistribution(0.0, 1.0)
        elif isinstance(each, Choice):
            found[key] = CategoricalDistribution(tuple(range(len(each.values))))
        elif each.whole:
            found[key] = IntDistribution(int(each.low), int(each.high), log=each.log, step=int(each.step or 1))
        else:
            found[key] = FloatDistribution(each.low, each.high, log=each.log, step=None if each.log else each.step)
    return found


def values_of(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's parameters as values. Drawn numbers are rounded to four digits, so that a command line can repeat them."""
    found = {}
    for key, dimension in space.items():
        value = params[key]
        if isinstance(dimension, Choice):
            value = dimension.values[int(value)]
        elif isinstance(dimension, Quantile):
            value = dimension.value(float(value))
        elif not dimension.whole and dimension.step is None:
            value = min(max(float(f"{value:.4g}"), dimension.low), dimension.high)
        found[key] = value
    return found


def setting(space: Space, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Optuna's parameters as overrides."""
    return tuple(override(key, value) for key, value in values_of(space, params).items())


def params_of(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters that stand for these values of the keys; None when one of them lies outside the space."""
    found: dict[str, Any] = {}
    for key, dimension in space.items():
        if key not in values:
            return None
        value = values[key]
        if isinstance(dimension, Quantile):
            return None
        if isinstance(dimension, Choice):
            place = next((number for number, each in enumerate(dimension.values) if each == value and type(each) is type(value)), None)
            if place is None:
                place = next((number for number, each in enumerate(dimension.values) if each == value), None)
            if place is None:
                return None
            found[key] = place
        elif isinstance(value, int | float) and _inside(dimension, value):
            found[key] = int(value) if dimension.whole else float(value)
        else:
            return None
    return found


def _inside(dimension: Range, value: float) -> bool:
    step = dimension.step or (1 if dimension.whole else None)
    steps = 0.0 if step is None or (dimension.log and not dimension.whole) else (value - dimension.low) / step
    return dimension.low <= value <= dimension.high and math.isclose(steps, round(steps), abs_tol=1e-9)


def grid(space: Space, where: str) -> list[dict[str, Any]]:
    """Every combination as parameters, the last key running fastest. Raises ConfigError for a range without end."""
    axes: list[Sequence[Any]] = []
    for key, dimension in space.items():
        if isinstance(dimension, Choice):
            axes.append(range(len(dimension.values)))
        elif isinstance(dimension, Range) and (points := dimension.points()) is not None:
            axes.append(points)
        else:
            raise ConfigError(
                Problem(f"{key}: a grid needs single values, and a range of numbers has no end", where, "values, or a range with a step")
            )
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]


def checked(key: str, low: float, high: float, *, log: bool, where: str, **more: Any) -> Range:
    """A range whose bounds make sense. Raises ConfigError."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ConfigError(Problem(f"{key}: {low:g} to {high:g} is no range", where, "a smaller and a larger number"))
    if log and low <= 0:
        raise ConfigError(Problem(f"{key}: a logarithm needs bounds above 0, and the lower one is {low:g}", where))
    return Range(low, high, log=log, **more)


def plain(space: Space) -> dict[str, Any]:
    """The space as JSON values, by which a search is recognised."""
    return {
        key: {"values": [repr(value) for value in each.values]} if isinstance(each, Choice) else {**vars(each)}
        for key, each in space.items()
    }
