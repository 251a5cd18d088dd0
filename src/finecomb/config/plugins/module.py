"""Reads a plug-in's Python module, and checks what it defines; every problem at once."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from finecomb.config.cleaning_steps import shipped
from finecomb.config.plugins.builders import mismatch, signature_text
from finecomb.config.plugins.hashing import hash_of_code
from finecomb.config.plugins.parts import Choice, Labeling, Metric, Own, Plugin
from finecomb.config.schema import callbacks
from finecomb.config.schema.task import FACTS, TaskFacts
from finecomb.config.schema.train import GROUPS, Config
from finecomb.config.schema.tuning import OPTIMIZER_FAMILY, LearningRates
from finecomb.core.errors import ConfigError, Problem

# Values alone: the Trainer is built by finecomb.
_WITHOUT_BUILD = ("trainer",)
# The earlier spelling of LABELING_FUNCTIONS.
_LABELING_BEFORE = "LABELLING_FUNCTIONS"


def run_file(path: Path, name: str) -> ModuleType:
    """Import a file as the module `name`. Raises ConfigError with the line of that file where it fails."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(Problem(f"{path} cannot be read as Python", "command line: --config-dir"))
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name while they are made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # The file is the user's own: so is whatever it raises.
        del sys.modules[name]
        raise ConfigError(_broken(error, path)) from error
    return module


def _broken(error: Exception, path: Path) -> Problem:
    """What a plug-in's file raised, with the line of that file where it did."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else lines[-1] if lines else None
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    where = f"{path}:{line}" if line else str(path)
    return Problem(f"the plug-in cannot be imported: {type(error).__name__}: {what}", where, hint="correct that file")


def plugin_of(module: ModuleType, conf: Path | None, path: Path, loaded: Sequence[Plugin], taken: set[tuple[str, str]]) -> Plugin:
    """What a module defines, checked.

    Args:
        module: the imported module.
        conf: its folder of config groups.
        path: its file.
        loaded: the plug-ins loaded before, whose names are taken.
        taken: group and name of finecomb's choices and of those of the plug-ins loaded before.

    Raises:
        ConfigError: with every problem.
    """
    code, where = hash_of_code(path), str(path)
    if hasattr(module, _LABELING_BEFORE):
        raise ConfigError(Problem(f"{_LABELING_BEFORE} is not read", where, hint=f"{_LABELING_BEFORE} is now LABELING_FUNCTIONS"))
    choices: Sequence[Choice] = getattr(module, "CHOICES", ())
    metrics, labeling, steps, functions = (
        getattr(module, name, {}) for name in ("METRICS", "LABELING_FUNCTIONS", "CLEANING_STEPS", "PREDICATES")
    )
    problems = [
        *(problem for choice in choices for problem in _of_choice(choice, where)),
        *_of_names([choice for choice in choices if isinstance(choice, Choice)], where, taken),
        *_of_metrics(metrics, where, {name for plugin in loaded for name in plugin.metrics}),
        *_of_labeling(labeling, where),
        *_of_steps(steps, where, {*shipped(), *(name for plugin in loaded for name in plugin.steps)}),
        *_of_predicates(functions, where, {name for plugin in loaded for name in plugin.predicates}),
    ]
    if problems:
        raise ConfigError(problems)
    return Plugin(
        conf,
        tuple(choices),
        dict(metrics),
        {name: Labeling(function, code) for name, function in labeling.items()},
        {name: Own(step, code) for name, step in steps.items()},
        {name: Own(each, code) for name, each in functions.items()},
        code,
    )


def _of_choice(choice: object, where: str) -> list[Problem]:
    if not isinstance(choice, Choice):
        return [Problem(f"CHOICES holds {choice!r}", where, 'Choice("group", "name", Schema, build)')]
    named = _named(choice.group, choice.name)
    if choice.group not in GROUPS:
        return [Problem(f"a plug-in's choice names the group {choice.group!r}", where, allowed=", ".join(GROUPS))]
    if choice.group in _WITHOUT_BUILD:
        return [_never_called(choice, where)]
    bases = {each.name: str(each.type) for each in dataclasses.fields(Config)} | {"callbacks": callbacks.Callback.__name__}
    problems = []
    if not dataclasses.is_dataclass(choice.schema) or bases[choice.group] not in {cls.__name__ for cls in choice.schema.__mro__}:
        problems.append(Problem(f"the schema of {named} is not a dataclass that extends {bases[choice.group]}", where))
    if wrong := mismatch(choice.group, choice.build):
        allowed = signature_text(choice.group)
        problems.append(Problem(f"the build function of {named} has another signature: {wrong}", where, allowed))
    return [*problems, *_of_facts(choice, named, where)]


def _named(group: str, name: str) -> str:
    return f"{group}{'.' if group == 'callbacks' else '='}{name}"


def _of_names(choices: Sequence[Choice], where: str, taken: set[tuple[str, str]]) -> list[Problem]:
    """Choices whose names exist: a second one would replace the first, or never be built."""
    own = [(choice.group, choice.name) for choice in choices]
    again = dict.fromkeys(each for at, each in enumerate(own) if each in taken or each in own[:at])
    problems = [Problem(f"{_named(*each)}: there is a choice of this name already", where, hint="choose another name") for each in again]
    return problems + [
        Problem(f"callbacks.{name!r} is not a valid name", where, "letters, digits and underscores")
        for group, name in own
        if group == "callbacks" and not name.isidentifier()
    ]


def _of_facts(choice: Choice, named: str, where: str) -> list[Problem]:
    """What is wrong with the facts of a choice: of the wrong kind for its group, or of an unknown family."""
    families, given = tuple(dict.fromkeys(OPTIMIZER_FAMILY.values())), choice.facts
    if given is None:
        return []
    if choice.group == "optimizer":
        fits, allowed = given in families, f"a family of learning rates: {', '.join(families)}"
    elif choice.group == "tuning":
        fits = isinstance(given, Mapping) and all(key in families and isinstance(each, LearningRates) for key, each in given.items())
        allowed = '{"adam": LearningRates(low=1e-5, default=5e-5, high=3e-4)}, with ' + ", ".join(families)
    elif choice.group == "task":
        fits, allowed = isinstance(given, TaskFacts), "TaskFacts(kind=..., label_kinds=..., losses=..., metrics=..., monitor=...)"
    else:
        fits, allowed = False, "none for this group"
    return [] if fits else [Problem(f"the facts of {named} are {given!r}", where, allowed)]


def _never_called(choice: Choice, where: str) -> Problem:
    name = f"{choice.group}={choice.name}"
    return Problem(
        f"{name}: a plug-in cannot bring code for the group {choice.group}; its build function would never be called",
        where,
        allowed=", ".join(group for group in GROUPS if group not in _WITHOUT_BUILD),
        hint=f"for other values of the existing keys, write conf/{choice.group}/{choice.name}.yaml without a Choice",
    )


def _of_metrics(metrics: object, where: str, taken: set[str]) -> list[Problem]:
    example = 'METRICS = {"name": Metric(function, mode="max", tasks=("sequence_classification",))}'
    if not isinstance(metrics, Mapping):
        return [Problem("METRICS is not a mapping of names to metrics", where, example)]
    problems = []
    for name, metric in metrics.items():
        shipped = {each for facts in FACTS.values() for each in facts.metrics}
        if not isinstance(metric, Metric) or metric.mode not in ("min", "max") or not set(metric.tasks) <= set(FACTS):
            problems.append(Problem(f"METRICS[{name!r}] is not a metric", where, f"{example}; tasks: {', '.join(FACTS)}"))
        elif wrong := mismatch("metric", metric.function):
            problems.append(Problem(f"the function of METRICS[{name!r}] has another signature: {wrong}", where, signature_text("metric")))
        if name in shipped | taken:
            problems.append(Problem(f"METRICS[{name!r}]: there is a metric of this name already", where, hint="choose another name"))
        elif not isinstance(name, str) or not name.isidentifier():
            problems.append(Problem(f"METRICS[{name!r}] is not a valid name", where, "letters, digits and underscores"))
    return problems


def _of_labeling(functions: object, where: str) -> list[Problem]:
    if isinstance(functions, Mapping) and all(isinstance(name, str) and callable(each) for name, each in functions.items()):
        return []
    what = "LABELING_FUNCTIONS is not a mapping of names to functions"
    return [Problem(what, where, 'LABELING_FUNCTIONS = {"name": function}, function(text) -> label or None')]


def _of_steps(steps: Mapping[str, object], where: str, taken: set[str]) -> list[Problem]:
    problems = []
    for name, step in steps.items():
        fits = (
            isinstance(step, tuple) and len(step) == 2 and dataclasses.is_dataclass(step[0]) and callable(getattr(step[1], "decide", None))
        )
        if not fits:
            problems.append(Problem(f"CLEANING_STEPS[{name!r}] is not (schema, class)", where, "a dataclass, and a class with `decide`"))
        elif name in taken:
            problems.append(Problem(f"CLEANING_STEPS[{name!r}]: there is such a step already", where, hint="choose another name"))
    return problems


def _of_predicates(functions: Mapping[str, object], where: str, taken: set[str]) -> list[Problem]:
    problems = []
    for name, function in functions.items():
        if not callable(function):
            problems.append(Problem(f"PREDICATES[{name!r}] is no function", where, "a function of a text"))
        elif name in taken:
            problems.append(Problem(f"PREDICATES[{name!r}]: there is such a function already", where, hint="choose another name"))
    return problems
