"""Reads a sweep.yaml as W&B does, and notes what W&B or Hydra would stumble over.

The format is W&B's (docs.wandb.ai, "Sweep configuration options"). YAML is read as W&B reads it, by YAML 1.1: 1e-4 without a point is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.studies.plan.study_file import StudyFile

KEYS = (
    "apiVersion", "kind", "controller", "description", "program", "job", "image_uri", "entity", "project", "method", "command", "name",
    "run_cap", "metric", "metrics", "scheduler", "early_terminate", "parameters",
)  # fmt: skip
METHODS = ("grid", "random", "bayes")
PARAMETER_KEYS = ("value", "values", "distribution", "min", "max", "mu", "sigma", "q", "a", "b", "probabilities", "parameters")
# What each distribution needs; those with q_ need q too.
NEEDS = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
    "uniform": ("min", "max"),
    "q_uniform": ("min", "max"),
    "int_uniform": ("min", "max"),
    "log_uniform": ("min", "max"),
    "q_log_uniform": ("min", "max"),
    "log_uniform_values": ("min", "max"),
    "q_log_uniform_values": ("min", "max"),
    "inv_log_uniform": ("min", "max"),
    "inv_log_uniform_values": ("min", "max"),
    "normal": (),
    "q_normal": (),
    "log_normal": (),
    "q_log_normal": (),
    "beta": (),
    "q_beta": (),
}
FINITE = ("constant", "categorical", "categorical_w_probabilities", "int_uniform", "q_uniform")
MACROS = (
    "${env}", "${interpreter}", "${program}", "${args}", "${args_no_hyphens}", "${args_no_equals}", "${args_no_boolean_flags}",
    "${args_json}", "${args_json_file}", "${args_append_hydra}", "${args_override_hydra}",
)  # fmt: skip
# Macros by which values arrive as overrides: --a.b=c is read as a.b=c. With + or ++ Hydra refuses choices of groups.
GOOD_MACROS = ("${args}", "${args_no_hyphens}")
DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")


@dataclass(frozen=True)
class Parameter:
    """One parameter: its distribution and what W&B calls its bounds."""

    name: str
    distribution: str
    given: Mapping[str, Any]

    @property
    def values(self) -> list[Any] | None:
        """Its values where they are listed."""
        return [self.given["value"]] if "value" in self.given else self.given.get("values")


@dataclass(frozen=True)
class WandbSweep:
    """A sweep.yaml. goal: maximize or minimize. early_terminate: as given, or empty."""

    path: Path
    name: str
    method: str
    metric: str | None
    goal: str
    parameters: tuple[Parameter, ...]
    command: tuple[str, ...]
    program: str | None
    run_cap: int | None
    early_terminate: Mapping[str, Any]


def read(path: Path) -> tuple[WandbSweep, StudyFile]:
    """The sweep and its file, in which problems are noted but not yet raised. Raises ConfigError when it is no YAML mapping."""
    file = StudyFile(path, yaml_1_1=True)
    file.only(KEYS)
    content = file.content
    method = str(content.get("method", ""))
    if method not in METHODS:
        file.unknown("method", "method", method, METHODS)
    metric = file.mapping("metric")
    file.only(("name", "goal", "target", "impute", "impute_while_running"), "metric")
    goal = str(metric.get("goal", "minimize"))
    if goal not in ("maximize", "minimize"):
        file.unknown("metric.goal", "goal", goal, ("maximize", "minimize"))
    if not metric.get("name") and (method == "bayes" or content.get("early_terminate")):
        file.problem("metric", "bayes and early_terminate need a metric", hint="metric: {name: validation/accuracy, goal: maximize}")
    parameters = tuple(_parameter(file, str(name), given) for name, given in file.mapping("parameters").items())
    if not parameters:
        file.problem("parameters", "there are no parameters to sweep")
    _early_terminate(file)
    sweep = WandbSweep(
        path,
        str(content.get("name") or path.stem),
        method,
        str(metric["name"]) if metric.get("name") else None,
        goal,
        parameters,
        _command(file),
        content.get("program"),
        content.get("run_cap"),
        file.mapping("early_terminate"),
    )
    return sweep, file


def _parameter(file: StudyFile, name: str, given: Any) -> Parameter:
    key = f"parameters.{name}"
    if not isinstance(given, Mapping):
        file.problem(key, f"{name} has no value, values or bounds", "value: 1, values: [1, 2], or min: and max:")
        return Parameter(name, "constant", {"value": given})
    file.only_of(given, PARAMETER_KEYS, key)
    if "parameters" in given:
        inner = next(iter(given["parameters"] or {"lr": None}))
        what = f"{name} holds nested parameters, which reach Hydra as {name}={{'{inner}': ...}} and cannot be parsed"
        file.problem(key, what, hint=f"write {name}.{inner}: as a key of its own")
    distribution = str(given.get("distribution") or _implied(given))
    if distribution not in NEEDS:
        file.unknown(key, "distribution", distribution, tuple(NEEDS))
        return Parameter(name, "constant", {"value": None})
    needs = (*NEEDS[distribution], *(("q",) if distribution.startswith("q_") and "uniform" in distribution else ()))
    if distribution == "categorical" and "value" in given:
        needs = ()
    if missing := [each for each in needs if each not in given] if "parameters" not in given else []:
        file.problem(key, f"{name}: {distribution} lacks {', '.join(missing)}", ", ".join(needs))
    for bound in ("min", "max", "mu", "sigma", "q", "a", "b"):
        value = given.get(bound)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            hint = "YAML 1.1 reads a number like 1e-4 as text; write 1.0e-4" if isinstance(value, str) else ""
            file.problem(f"{key}.{bound}", f"{name}: {bound} {value!r} is no number", hint=hint)
    _bounds(file, key, name, distribution, given)
    values = given.get("values")
    if values is not None and (not isinstance(values, list) or not values):
        file.problem(key, f"{name}: values are a list of at least one")
    shares = given.get("probabilities")
    if shares is not None and (not isinstance(values, list) or len(shares) != len(values) or abs(sum(shares) - 1) > 1e-6):
        file.problem(key, f"{name}: probabilities are one for each value, and 1 together")
    return Parameter(name, distribution, given)


def _bounds(file: StudyFile, key: str, name: str, distribution: str, given: Mapping[str, Any]) -> None:
    low, high = given.get("min"), given.get("max")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return
    if low >= high:
        file.problem(key, f"{name}: min {low:g} is not below max {high:g}")
    if distribution in ("log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values") and low <= 0:
        file.problem(key, f"{name}: a logarithm needs bounds above 0, and min is {low:g}")
    if distribution in ("log_uniform", "q_log_uniform", "inv_log_uniform") and low > 0 and high < 1:
        what = f"{name}: the bounds of {distribution} are exponents: this draws from {2.718281828**low:.3g} to {2.718281828**high:.3g}"
        file.problem(key, what, hint="for bounds that are values themselves: distribution: log_uniform_values")


def _implied(given: Mapping[str, Any]) -> str:
    """The distribution that W&B takes when none is named."""
    if "values" in given:
        return "categorical_w_probabilities" if "probabilities" in given else "categorical"
    if "min" in given or "max" in given:
        whole = all(isinstance(given.get(bound), int) for bound in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    return "normal" if "mu" in given or "sigma" in given else "constant"


def _early_terminate(file: StudyFile) -> None:
    given = file.mapping("early_terminate")
    if not given:
        return
    file.only(("type", "min_iter", "max_iter", "s", "eta", "strict"), "early_terminate")
    if given.get("type") != "hyperband":
        file.unknown("early_terminate.type", "early_terminate", str(given.get("type")), ("hyperband",))
    if ("min_iter" in given) == ("max_iter" in given):
        file.problem("early_terminate", "hyperband needs either min_iter or max_iter", "min_iter: 1, or max_iter: 9 with s: 2")
    elif "max_iter" in given and "s" not in given:
        file.problem("early_terminate", "max_iter needs s, the number of brackets", "s: 2")
    for name in ("min_iter", "max_iter", "s", "eta"):
        if name in given and (not isinstance(given[name], int) or given[name] < 1):
            file.problem(f"early_terminate.{name}", f"{name} {given[name]!r} is no whole number above 0")


def _command(file: StudyFile) -> tuple[str, ...]:
    given = file.content.get("command")
    if given is not None and not isinstance(given, list):
        file.problem("command", "the command is a list", "[finecomb, train, ${args_no_hyphens}]")
        given = None
    command = tuple(str(word) for word in given or DEFAULT_COMMAND)
    if given is None and file.content.get("program") is None:
        file.problem("command", "there is neither a command nor a program", hint="command: [finecomb, train, ${args_no_hyphens}]")
    words = [word for word in command if "${" in word and not word.startswith("${envvar:")]
    for word in words:
        if word not in MACROS:
            inside = next((macro for macro in MACROS if macro in word), None)
            hint = "a macro must be a word of its own" if inside else ""
            file.problem("command", f"{word} is no macro of W&B", ", ".join(MACROS), hint)
    for word in words:
        if word in MACROS and word.startswith("${args") and word not in GOOD_MACROS:
            file.problem("command", f"{word}: finecomb takes overrides, which this does not write", ", ".join(GOOD_MACROS))
    if not any(word in GOOD_MACROS for word in words) and not any(word.startswith("${args") for word in words):
        file.problem("command", "the command has no place for the values", "${args_no_hyphens}")
    if given is not None and "train" not in command:
        file.problem("command", "the command does not run finecomb train", hint="command: [finecomb, train, ${args_no_hyphens}]")
    return command
