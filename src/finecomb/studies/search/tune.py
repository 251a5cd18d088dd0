"""Tune, then confirm: every arm gets the same budget on validation, and only the winner, on fresh seeds, sees the test set.

The setting of an arm that reads best on the runs by which it was chosen is flattered by the choice (Dodge et al. 2019; Cawley & Talbot
2010); so trials never read the test set, and the seed they share is none of those that are reported.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finecomb.config import plugins
from finecomb.config.compose import compose
from finecomb.config.overrides import override
from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.plan.study_plan import Arm, Column, Job, StudyPlan, Tune
from finecomb.studies.search.space import Choice, Dimension, Range

AUTO = "auto"
RATE = "optimizer.lr"


def points(range_: Range, count: int) -> list[Any]:
    """`count` values from low to high, evenly spaced and rounded to two digits, so that they can be typed."""
    spaced = (np.geomspace if range_.log else np.linspace)(range_.low, range_.high, count)
    values = [float(f"{value:.1e}") for value in spaced]
    return list(dict.fromkeys(round(value) for value in values)) if range_.whole else values


def draw(range_: Range, share: float) -> float:
    """The value at a share of the way, 0 to 1, rounded to three digits."""
    low, high = (math.log(range_.low), math.log(range_.high)) if range_.log else (range_.low, range_.high)
    value = low + share * (high - low)
    value = math.exp(value) if range_.log else value
    return round(value) if range_.whole else float(f"{value:.2e}")


def spaces(study: StudyPlan) -> dict[tuple[str, str], dict[str, Dimension]]:
    """What is searched in each cell, with `auto` resolved. Raises ConfigError with every problem, unequal budgets among them."""
    found: dict[tuple[str, str], dict[str, Dimension]] = {}
    problems: dict[Problem, None] = {}
    for arm, column in study.cells():
        try:
            found[arm.name, column.name] = {str(key): _dimension(study, arm, column, str(key), given) for key, given in arm.space.items()}
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    if study.tune is not None and study.tune.search == "grid" and not problems:
        sizes = {cell: _grid_size(space, study.tune) for cell, space in found.items()}
        for (name, _), size in sizes.items():
            if size != study.tune.trials:
                what = f"the grid of the arm {name} has {size} settings, and every arm gets {study.tune.trials} trials"
                problems[Problem(what, f"{study.path} (tune)", hint="give each arm as many settings as trials, or search: random")] = None
    if problems:
        raise ConfigError(problems)
    return found


def _dimension(study: StudyPlan, arm: Arm, column: Column, key: str, given: Any) -> Dimension:
    where = f"{study.path} (tune, {arm.name}, {key})"
    if given == AUTO:
        return _usual_rates(study, arm, column, key, where)
    if isinstance(given, list) and given:
        return Choice(tuple(given))
    if isinstance(given, Mapping) and {"low", "high"} <= set(given) <= {"low", "high", "log", "int"}:
        low, high, log = float(given["low"]), float(given["high"]), bool(given.get("log", False))
        if low < high and (low > 0 or not log):
            return Range(low, high, log=log, whole=bool(given.get("int", False)))
    allowed = "auto (optimizer.lr), a list of values, or {low, high, log: true}"
    raise ConfigError(Problem(f"{key}: {given} is no range to search", where, allowed))


def _usual_rates(study: StudyPlan, arm: Arm, column: Column, key: str, where: str) -> Range:
    """The range of learning rates of the arm's method and optimizer."""
    if key != RATE:
        raise ConfigError(Problem(f"{key}: auto is known for {RATE} alone", where, "a list of values, or {low, high, log: true}"))
    config = compose(study.overrides(arm, column)).config
    rates = plugins.usual_rates(config.tuning.name, config.optimizer.name)
    if rates is None:
        what = f"no usual rates are known for tuning={config.tuning.name} with optimizer={config.optimizer.name}"
        raise ConfigError(Problem(what, where, "a list of values, or {low, high, log: true}"))
    return Range(rates.low, rates.high, log=True)


def _grid_size(space: Mapping[str, Dimension], tune: Tune) -> int:
    return len(_grid(space, tune))


def _grid(space: Mapping[str, Dimension], tune: Tune) -> list[tuple[str, ...]]:
    """Every combination; a range has as many points as are left for it when the lists have taken theirs."""
    assert tune.trials is not None
    listed = math.prod(len(each.values) for each in space.values() if isinstance(each, Choice))
    ranges = sum(isinstance(each, Range) for each in space.values())
    each = max(1, round((tune.trials / listed) ** (1 / ranges))) if ranges else 1
    axes = [points(found, each) if isinstance(found, Range) else list(found.values) for found in space.values()]
    return [tuple(override(key, value) for key, value in zip(space, values, strict=True)) for values in itertools.product(*axes)]


def settings(study: StudyPlan, cell: tuple[str, str], space: Mapping[str, Dimension], trial: int) -> tuple[str, ...] | None:
    """The overrides of a cell's trial number `trial`, from 0; None when a grid has no more.

    Random values come from a hash of column, trial and key, so that they are the same whatever else the study holds, and arms that
    search the same space try the same settings.
    """
    assert study.tune is not None
    if study.tune.search == "grid":
        grid = _grid(space, study.tune)
        return grid[trial] if trial < len(grid) else None
    found = []
    for key, each in space.items():
        digest = hashlib.sha256(f"{study.tune.seed}\0{cell[1]}\0{trial}\0{key}".encode()).digest()
        share = int.from_bytes(digest[:7], "big") / 2**56
        found.append(override(key, draw(each, share) if isinstance(each, Range) else each.values[int(share * len(each.values))]))
    return tuple(found)


def trial_job(study: StudyPlan, arm: Arm, column: Column, number: int, setting: tuple[str, ...]) -> Job:
    """A run that helps to choose: it never reads the test set."""
    assert study.tune is not None
    overrides = (*study.overrides(arm, column), *setting, "evaluate.test=false", f"seed={study.tune.seed}")
    return Job(arm.name, column.name, "trial", study.tune.seed, overrides, number, setting)


def choose(trials: Sequence[tuple[Job, float | None]], lower_is_better: bool) -> dict[tuple[str, str], tuple[str, ...]]:
    """For each cell the setting of its best trial on validation, the earlier of equals. A cell without a finished trial has none."""
    best: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
    for job, value in sorted(trials, key=lambda trial: trial[0].trial or 0):
        if value is None or math.isnan(value):
            continue
        cell = (job.arm, job.column)
        better = cell not in best or (value < best[cell][0] if lower_is_better else value > best[cell][0])
        if better:
            best[cell] = (value, job.chosen)
    return {cell: setting for cell, (_, setting) in best.items()}


def at_the_edge(space: Mapping[str, Dimension], tried: Sequence[tuple[str, ...]], chosen: tuple[str, ...]) -> list[str]:
    """Overrides of the chosen setting that are the smallest or largest tried: the best may lie beyond what was searched."""
    found = []
    for word in chosen:
        key = word.partition("=")[0]
        values = sorted(
            {value for setting in tried for each in setting if each.startswith(f"{key}=") and (value := _number(each)) is not None}
        )
        mine = _number(word)
        if key in space and mine is not None and len(values) > 2 and mine in (values[0], values[-1]):
            found.append(word)
    return found


def _number(word: str) -> float | None:
    try:
        return float(word.partition("=")[2])
    except ValueError:
        return None
