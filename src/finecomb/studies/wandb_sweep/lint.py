"""`finecomb sweep --lint`: everything that would break once the sweep is running, told before it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finecomb.config.compose import Composer, compose
from finecomb.config.plugins import metric_names
from finecomb.config.schema.task import variant
from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.plan.study_file import StudyFile
from finecomb.studies.wandb_sweep import sweep_file, words
from finecomb.studies.wandb_sweep.distributions import dimension, extremes
from finecomb.studies.wandb_sweep.sweep_file import Parameter, WandbSweep

LARGE = 1000


def lint(path: Path, extra: Sequence[str] = ()) -> WandbSweep:
    """Read and check a sweep.yaml: the file, the words it becomes, and the configs these compose. Raises ConfigError with all problems."""
    sweep, file = sweep_file.read(path)
    if not file.problems:
        _compose(sweep, file, extra)
    file.raise_problems()
    return sweep


def _compose(sweep: WandbSweep, file: StudyFile, extra: Sequence[str]) -> None:
    """Compose the first values of all parameters, then each other value in its turn."""
    first = {each.name: extremes(each)[0] for each in sweep.parameters}
    for parameter in sweep.parameters:
        for value in extremes(parameter):
            _value(sweep, file, parameter, value, {**first, parameter.name: value}, extra)
    if not file.problems:
        _metric(sweep, file, [*words.overrides(sweep, first), *extra])
        if sweep.method == "grid" and size(sweep) is None:
            names = [each.name for each in sweep.parameters if each.distribution not in sweep_file.FINITE]
            file.problem("method", f"a grid over {', '.join(names)} has no end", hint="list values, or method: random")


def _value(
    sweep: WandbSweep, file: StudyFile, parameter: Parameter, value: object, values: Mapping[str, Any], extra: Sequence[str]
) -> None:
    """Whether one value survives the way through the agent, the shell's words and Hydra into a config."""
    key = f"parameters.{parameter.name}"
    if value is None:
        hint = "leave it out, or sweep over a choice that stands for it"
        return file.problem(key, f"{parameter.name}: null reaches Hydra as the text None", hint=hint)
    if isinstance(value, Mapping):
        return file.problem(key, f"{parameter.name}: a mapping reaches Hydra in Python's spelling, which it cannot parse")
    if isinstance(value, str) and "," in value and not value.startswith(("[", "{", "'", '"')):
        return file.problem(
            key, f"{parameter.name}: the comma in {value!r} makes Hydra sweep over its parts", hint=f"\"'{value}'\" keeps it one text"
        )
    for problem in Composer().problems([[*words.overrides(sweep, values), *extra]]):
        file.problem(key, f"{parameter.name}={value}: {problem.what}", problem.allowed, problem.hint)


def _metric(sweep: WandbSweep, file: StudyFile, overrides: Sequence[str]) -> None:
    """Whether the metric is one that a run logs on validation."""
    if sweep.metric is None:
        return
    config = compose(list(overrides)).config
    logged = ["train/loss", "validation/loss", *(f"validation/{name}" for name in metric_names(variant(config.task)))]
    if sweep.metric.startswith("test/"):
        file.problem("metric.name", f"{sweep.metric}: the test set is not for choosing", ", ".join(logged[1:]))
    elif sweep.metric not in logged:
        file.unknown("metric.name", f"metric logged by task={config.task.name} that is called", sweep.metric, logged)


def size(sweep: WandbSweep) -> int | None:
    """Runs of the whole grid; None where a parameter has no end of values."""
    counts = []
    for each in sweep.parameters:
        found = dimension(each)
        points = getattr(found, "values", None) or (found.points() if hasattr(found, "points") else None)
        if points is None:
            return None
        counts.append(len(points))
    return math.prod(counts)


def summary(sweep: WandbSweep) -> list[str]:
    """What a clean file amounts to."""
    count = size(sweep)
    runs = f"{count:,} combinations" if count is not None else "values without end"
    lines = [
        f"{sweep.path}: {len(sweep.parameters)} parameters, {runs}, method {sweep.method}"
        + (f", run_cap {sweep.run_cap}" if sweep.run_cap else "")
    ]
    if sweep.method == "grid" and count is not None and count > LARGE:
        lines.append(f"a grid of {count:,} runs is large; run_cap limits it, method: random samples it")
    if sweep.method != "grid" and sweep.run_cap is None:
        lines.append("without run_cap, W&B goes on until it is stopped; finecomb sweep needs --count")
    return lines


def problem_of_count() -> ConfigError:
    """A search without end needs a number."""
    return ConfigError(Problem("how many runs?", "command line", "a whole number", "give --count N, or run_cap: N in the file"))
