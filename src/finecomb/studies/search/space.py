"""What is searched: for each key a set of values or a range, as Hydra's overrides, a sweep.yaml or a study write it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finecomb.config.errors import Problem, UserError
from finecomb.config.overrides import override

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


Dimension = Choice | Range
Space = Mapping[str, Dimension]


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """The space as Optuna has it. Choices are searched by their number, so that any value may be one."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for key, each in space.items():
        if isinstance(each, Choice):
            found[key] = CategoricalDistribution(tuple(range(len(each.values))))
        elif each.whole:
            found[key] = IntDistribution(int(each.low), int(each.high), log=each.log, step=int(each.step or 1))
        else:
            found[key] = FloatDistribution(each.low, each.high, log=each.log, step=None if each.log else each.step)
    return found


def setting(space: Space, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Optuna's parameters as overrides. Drawn numbers are rounded to four digits, so that a command line can repeat them."""
    found = []
    for key, dimension in space.items():
        value = params[key]
        if isinstance(dimension, Choice):
            value = dimension.values[int(value)]
        elif isinstance(dimension, Range) and not dimension.whole and dimension.step is None:
            value = min(max(float(f"{value:.4g}"), dimension.low), dimension.high)
        found.append(override(key, value))
    return tuple(found)


def params_of(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters that stand for these values of the keys; None when one of them lies outside the space."""
    found: dict[str, Any] = {}
    for key, dimension in space.items():
        if key not in values:
            return None
        value = values[key]
        if isinstance(dimension, Choice):
            place = next((number for number, each in enumerate(dimension.values) if each == value and type(each) is type(value)), None)
            if place is None:
                place = next((number for number, each in enumerate(dimension.values) if each == value), None)
            if place is None:
                return None
            found[key] = place
        elif isinstance(value, int | float) and dimension.low <= value <= dimension.high:
            found[key] = int(value) if dimension.whole else float(value)
        else:
            return None
    return found


def grid(space: Space, where: str) -> list[dict[str, Any]]:
    """Every combination as parameters, the last key running fastest. Raises UserError for a range without end."""
    axes: list[Sequence[Any]] = []
    for key, dimension in space.items():
        if isinstance(dimension, Choice):
            axes.append(range(len(dimension.values)))
        elif (points := dimension.points()) is not None:
            axes.append(points)
        else:
            raise UserError(
                Problem(f"{key}: a grid needs single values, and a range of numbers has no end", where, "values, or a range with a step")
            )
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]


def checked(key: str, low: float, high: float, *, log: bool, where: str, **more: Any) -> Range:
    """A range whose bounds make sense. Raises UserError."""
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise UserError(Problem(f"{key}: {low:g} to {high:g} is no range", where, "a smaller and a larger number"))
    if log and low <= 0:
        raise UserError(Problem(f"{key}: a logarithm needs bounds above 0, and the lower one is {low:g}", where))
    return Range(low, high, log=log, **more)


def plain(space: Space) -> dict[str, Any]:
    """The space as JSON values, by which a search is recognised."""
    return {
        key: {"values": [repr(value) for value in each.values]} if isinstance(each, Choice) else {**vars(each)}
        for key, each in space.items()
    }
