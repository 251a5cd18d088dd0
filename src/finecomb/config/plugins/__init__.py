"""Plug-ins: a folder with conf/ and finecomb_plugin.py, given by --config-dir, or an entry point in the group finecomb.plugins.

    my_choices/
      conf/tuning/my_method.yaml      like a shipped one; its defaults name `/schema/tuning/my_method@_here_`
      finecomb_plugin.py              CHOICES = [Choice("tuning", "my_method", MyMethod, build)]

`finecomb.config.plugins.builders` declares the signature of each group's `build`; another signature is refused when the plug-in is loaded.
CONTRIBUTING.md shows a plug-in with an optimizer, a loss, a callback and a metric. The groups' YAML folders may also be directly in the
plug-in's folder, and Python is needed only for a choice with a schema or code of its own. A plug-in may also define:

    CHOICES with the group "callbacks"     one Lightning callback by name, configured by `callbacks.NAME.KEY=VALUE`; null: off
    METRICS = {"name": Metric(function)}   metrics, computed on every evaluation, by `compare` and by `runs verify`
    LABELING_FUNCTIONS = {"name": f}      f(text) -> label or None, for `annotator.functions.RULE.function=name`
    CLEANING_STEPS = {"shout": (ShoutOptions, Shout)}   cleaning steps, as in the files of data/cleaner/steps (see CONTRIBUTING.md)
    PREDICATES = {"is_polite": is_polite}  text -> bool or number, for the step `predicate`
                                           (`cleaner.steps.polite={step: predicate, function: is_polite, min_score: 1, max_score: null}`)

The code of a plug-in is the file and the modules of its own folder that it imports; data that it reads is not seen. Its hash is part of the
key of what is cached, and of the fingerprint of each run that uses one of its choices, callbacks or, as the monitored one, metrics.

An entry point names a module with CHOICES; its conf/ is next to the module. Keep heavy imports inside `build`: the help imports this file.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

from finecomb.config.cleaning_steps import shipped
from finecomb.config.plugins.module import plugin_of, run_file
from finecomb.config.plugins.parts import Choice, Labeling, Metric, Own, Plugin
from finecomb.config.schema import (
    annotator,
    augmenter,
    callbacks,
    cleaner,
    dataset,
    logger,
    loss,
    model,
    optimizer,
    sampler,
    scheduler,
    task,
    trainer,
    tuning,
)
from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem, nearest

__all__ = ["Choice", "Labeling", "Metric", "Own", "find_build", "load", "schemas"]

_SHIPPED: dict[str, Mapping[str, type]] = {
    "dataset": dataset.CHOICES,
    "cleaner": cleaner.CHOICES,
    "annotator": annotator.CHOICES,
    "augmenter": augmenter.CHOICES,
    "sampler": sampler.CHOICES,
    "task": task.CHOICES,
    "model": model.CHOICES,
    "tuning": tuning.CHOICES,
    "loss": loss.CHOICES,
    "optimizer": optimizer.CHOICES,
    "scheduler": scheduler.CHOICES,
    "trainer": trainer.CHOICES,
    "logger": logger.CHOICES,
    "callbacks": callbacks.CHOICES,
}
ENTRY_POINTS = "finecomb.plugins"
MODULE = "finecomb_plugin.py"

# Process-wide, as Hydra's ConfigStore is: composing, the launcher and the wings all ask for the same choices.
_loaded: dict[Path, Plugin] = {}
_entry_points_done = False


def load(directories: Iterable[Path | str] = ()) -> None:
    """Load the plug-ins of installed packages (once) and of these folders. Idempotent."""
    global _entry_points_done
    if not _entry_points_done:
        _entry_points_done = True
        for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
            module = entry.load()
            folder = Path(module.__file__).resolve().parent
            conf = folder / "conf" if (folder / "conf").is_dir() else None
            _loaded[folder] = _read(module, conf, Path(module.__file__))
    for directory in directories:
        folder = Path(directory).expanduser().resolve()
        if folder not in _loaded:
            _loaded[folder] = _from_folder(folder)


def load_files(directory: str, where: str) -> None:
    """Add a folder of config groups without code, as `hydra.searchpath` does. where: what names it. Raises ConfigError."""
    folder = Path(directory).expanduser().resolve()
    if folder in _loaded:
        return
    if not folder.is_dir():
        hint = "name a folder; the choices of an installed package are found without this"
        raise ConfigError(Problem(f"the folder {directory} does not exist", where, hint=hint))
    conf, module = _parts(folder)
    if module is not None:
        what = f"{module} would not be loaded: hydra.searchpath reads YAML files alone"
        raise ConfigError(Problem(what, where, hint=f"--config-dir {directory} loads the code too"))
    _loaded[folder] = Plugin(conf)


def directories() -> list[str]:
    """The folders loaded so far; a worker that gets them by `load` knows the same choices."""
    return [str(folder) for folder in _loaded]


def conf_dirs() -> list[Path]:
    """Folders of config groups that plug-ins bring."""
    return [plugin.conf for plugin in _loaded.values() if plugin.conf is not None]


def schemas(group: str) -> Mapping[str, type]:
    """Schema classes of a group by key, with those of plug-ins; with `callbacks`, a field for each callback of a plug-in is added."""
    if group == "callbacks":
        added = tuple((choice.name, choice.schema) for choice in _choices() if choice.group == group)
        return {name: _with_callbacks(cls, added) for name, cls in callbacks.CHOICES.items()}
    return {**_SHIPPED[group], **{choice.name: choice.schema for choice in _choices() if choice.group == group}}


@functools.cache
def _with_callbacks(cls: type, added: tuple[tuple[str, type], ...]) -> type:
    if not added:
        return cls
    fields: list[tuple[str, Any, Any]] = []
    for name, schema in added:
        metadata = option("callback of a plug-in; null: off", before=None, entry=schema).metadata
        fields.append((name, Optional[dict[str, Any]], dataclasses.field(default_factory=dict, metadata=metadata)))
    return dataclasses.make_dataclass(cls.__name__, fields, bases=(cls,), namespace={"__doc__": cls.__doc__})


def callback_names() -> list[str]:
    """The callbacks that plug-ins add to `callbacks`."""
    return [choice.name for choice in _choices() if choice.group == "callbacks"]


def optimizer_family(name: str) -> str | None:
    """The family of learning rates of an optimizer: `adam`, `sgd` or `adafactor`; None where nobody declares it."""
    return tuning.OPTIMIZER_FAMILY.get(name) or next((str(each) for each in _facts("optimizer", name)), None)


def learning_rates(method: str) -> Mapping[str, tuning.LearningRates]:
    """The usual learning rates of a tuning method by family of optimizers."""
    own = next((each for each in _facts("tuning", method) if isinstance(each, Mapping)), {})
    return tuning.LEARNING_RATES.get(method, own)


def usual_rates(method: str, optimizer_name: str) -> tuning.LearningRates | None:
    """The usual learning rates of a tuning method with an optimizer, None where nobody declares them."""
    return learning_rates(method).get(optimizer_family(optimizer_name) or "")


def _facts(group: str, name: str) -> list[Any]:
    return [choice.facts for choice in _choices() if (choice.group, choice.name) == (group, name) and choice.facts is not None]


def task_facts(task_variant: str) -> task.TaskFacts | None:
    """What a variant of a task needs and gives; None for a task that nobody declares."""
    return all_task_facts().get(task_variant)


def all_task_facts() -> dict[str, task.TaskFacts]:
    """The facts of every variant of a task, finecomb's first."""
    given = [(choice.name, choice.facts) for choice in _choices() if choice.group == "task"]
    known = dict(task.FACTS)
    for name, facts in given:
        if isinstance(facts, task.TaskFacts):
            known[name] = facts
    return known


def sum_metrics(task_variant: str) -> Mapping[str, Any]:
    """The metrics of sums that a plug-in's task brings, by name; see `runs.sum_metrics`."""
    facts = task_facts(task_variant)
    return facts.own_metrics if facts is not None else {}


def metrics(task_variant: str) -> Mapping[str, Metric]:
    """The metrics that plug-ins add to a variant of a task, by name."""
    return {name: each for plugin in _loaded.values() for name, each in plugin.metrics.items() if task_variant in each.tasks}


def metric_names(task_variant: str) -> tuple[str, ...]:
    """The metrics of a variant of a task: finecomb's, then those of plug-ins."""
    facts = task_facts(task_variant)
    return (*(facts.metrics if facts is not None else ()), *metrics(task_variant))


def metric_code(name: str) -> list[str]:
    """The hash of the code behind a plug-in's metric; empty for finecomb's own."""
    return [plugin.code for plugin in _loaded.values() if name in plugin.metrics][:1]


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better. metric: without the split."""
    own = next((plugin.metrics[metric] for plugin in _loaded.values() if metric in plugin.metrics), None)
    return own.mode == "min" if own is not None else metric in task.LOWER_IS_BETTER


def find_build(group: str, name: str) -> Callable[..., Any] | None:
    """The builder of a plug-in's choice, or None when no plug-in brings it."""
    return next((choice.build for choice in _choices() if (choice.group, choice.name) == (group, name)), None)


def code(group: str, name: str) -> list[str]:
    """The hash of the code behind a plug-in's choice, as what identifies a result takes it; empty when no plug-in brings the choice."""
    return [plugin.code for plugin in _loaded.values() for choice in plugin.choices if (choice.group, choice.name) == (group, name)][:1]


def labeling_functions() -> dict[str, Labeling]:
    """The labeling functions that plug-ins bring, by name."""
    return {name: found for plugin in _loaded.values() for name, found in plugin.labeling.items()}


def cleaning_steps() -> Mapping[str, type]:
    """Schema classes of cleaning steps by kind: the shipped ones and those of plug-ins."""
    options = {kind: step.options for kind, step in shipped().items()}
    return options | {name: own.value[0] for name, own in own_steps().items()}


def own_steps() -> Mapping[str, Own]:
    """Cleaning steps of plug-ins by kind, as (schema, class)."""
    return {name: own for plugin in _loaded.values() for name, own in plugin.steps.items()}


def predicates() -> Mapping[str, Own]:
    """Functions of plug-ins for the step `predicate`, by name."""
    return {name: own for plugin in _loaded.values() for name, own in plugin.predicates.items()}


def _choices() -> Iterable[Choice]:
    return (choice for plugin in _loaded.values() for choice in plugin.choices)


def _read(module: ModuleType, conf: Path | None, path: Path) -> Plugin:
    shipped = {(group, name) for group, known in _SHIPPED.items() for name in known}
    entries = {("callbacks", each.name) for each in dataclasses.fields(callbacks.Callbacks)}
    added = {(choice.group, choice.name) for choice in _choices()}
    return plugin_of(module, conf, path, list(_loaded.values()), shipped | entries | added)


def _from_folder(folder: Path) -> Plugin:
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        guess = nearest(folder.name, siblings)
        raise ConfigError(
            Problem(f"the folder {folder} does not exist", "command line: --config-dir", hint=f"did you mean {guess}?" if guess else "")
        )
    conf, path = _parts(folder)
    if path is None:
        return Plugin(conf)
    return _read(run_file(path, f"finecomb_plugin_{len(_loaded)}"), conf, path)


def _parts(folder: Path) -> tuple[Path, Path | None]:
    """The folder of the config groups, and the file of the code."""
    conf = folder / "conf" if (folder / "conf").is_dir() else folder
    path = folder / MODULE if (folder / MODULE).is_file() else folder.parent / MODULE
    return conf, path if path.is_file() and (path.parent == folder or folder.name == "conf") else None
