"""W&B's distributions as dimensions of a search."""

from __future__ import annotations

import math

from finecomb.studies.search.space import Choice, Dimension, Quantile, Range
from finecomb.studies.wandb_sweep.sweep_file import Parameter


def dimension(parameter: Parameter) -> Dimension:
    """What a search draws from for a parameter that has passed the checks. Probabilities and bells are drawn through their quantiles."""
    kind, given = parameter.distribution, parameter.given
    if kind in ("constant", "categorical") and parameter.values is not None:
        return Choice(tuple(parameter.values))
    if kind == "categorical_w_probabilities":
        return Quantile("categorical", values=tuple(given["values"]), shares=tuple(given["probabilities"]))
    low, high, step = float(given.get("min", 0.0)), float(given.get("max", 1.0)), given.get("q")
    if kind == "int_uniform":
        return Range(low, high, whole=True, step=step)
    if kind == "uniform":
        return Range(low, high)
    if kind == "q_uniform" and step:
        # W&B rounds to multiples of q, whatever min is.
        return Range(math.ceil(low / step) * step, math.floor(high / step) * step, step=float(step))
    if kind == "log_uniform":
        return Range(math.exp(low), math.exp(high), log=True)
    if kind == "log_uniform_values":
        return Range(low, high, log=True)
    if "uniform" in kind:
        logs = (low, high) if not kind.endswith("values") else (math.log(low), math.log(high))
        return Quantile("inv_log_uniform" if kind.startswith("inv") else "log_uniform", low=logs[0], high=logs[1], step=step)
    step = (step or 1.0) if kind.startswith("q_") else None
    bell = kind.removeprefix("q_")
    if bell == "beta":
        return Quantile("beta", low=float(given.get("a", 1.0)), high=float(given.get("b", 1.0)), step=step)
    return Quantile(bell, low=float(given.get("mu", 0.0)), high=float(given.get("sigma", 1.0)), step=step)


def extremes(parameter: Parameter) -> list[object]:
    """Values that show whether a parameter composes: all of a list, the ends and the middle of a range."""
    if parameter.values is not None:
        return list(parameter.values)
    found = dimension(parameter)
    if isinstance(found, Quantile):
        return [found.value(share) for share in (0.01, 0.5, 0.99)]
    assert isinstance(found, Range)
    return [int(found.low), int(found.high)] if found.whole else [found.low, found.high]
