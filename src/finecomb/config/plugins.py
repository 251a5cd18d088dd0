"""A user's own choices: a folder with conf/ and finecomb_plugin.py, given by --config-dir, or an entry point in the group finecomb.plugins.

    my_choices/
      conf/tuning/my_method.yaml      like a shipped one; its defaults name `/schema/tuning/my_method@_here_`
      finecomb_plugin.py              CHOICES = [Choice("tuning", "my_method", MyMethod, build)]

It may also bring functions by name: LABELLING_FUNCTIONS = {"name": function}, where function(text) returns a label or None, is then
`annotator.functions.RULE.function=name`.

The YAML may also stand in groups directly under the folder, and Python is needed only for a choice that brings a schema or code of its own.
It may also hold cleaning steps of one's own, which are then used, checked and shown like built-in ones, and functions for the step
`predicate` (`cleaner.steps.polite={step: predicate, function: is_polite, min_score: 1, max_score: null}`):

      CLEANING_STEPS = {"shout": (ShoutSchema, Shout)}   a dataclass of `option` fields; a class that extends one of data/cleaner/step.py
      PREDICATES = {"is_polite": is_polite}              text -> bool or number, the same for the same text

What they compute is cached by the plug-in's code, so that a changed file computes anew; and the code is part of the fingerprint of each run
that uses a choice of the plug-in. The code is the file and the modules of its own folder that it imports; data that it reads is not seen.

An entry point names a module with CHOICES; its conf/ lies beside the module. Keep heavy imports inside `build`: the help imports this file.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finecomb.config.errors import Problem, UserError, nearest
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
from finecomb.config.schema.train import GROUPS, Train

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
# Values alone: the Trainer and its callbacks are built by finecomb, without a builder that a plug-in could replace.
_WITHOUT_BUILD = ("trainer", "callbacks")
ENTRY_POINTS = "finecomb.plugins"
MODULE = "finecomb_plugin.py"


@dataclass(frozen=True)
class Choice:
    """One choice of a user's own.

    group, name: as in `group=name`, and the `name:` of its YAML. `trainer` and `callbacks` take values alone, in a YAML file.
    schema: a dataclass that extends the group's own.
    build: what the room of the group calls with the config instead of its own builder.
    """

    group: str
    name: str
    schema: type
    build: Callable[..., Any]


@dataclass(frozen=True)
class Labelling:
    """A labelling function of a user's own, and the hash of the plug-in's code, by which results are cached."""

    function: Callable[[str], Any]
    digest: str


@dataclass(frozen=True)
class Own:
    """Something of a plug-in with the hash of the plug-in's code."""

    value: Any
    sha256: str


@dataclass(frozen=True)
class _Plugin:
    conf: Path | None
    choices: tuple[Choice, ...]
    labelling: Mapping[str, Labelling]
    # Cleaning steps as (schema, class), and predicates.
    steps: Mapping[str, Own] = field(default_factory=dict)
    predicates: Mapping[str, Own] = field(default_factory=dict)
    code: str = ""


# Process-wide, as Hydra's ConfigStore is: composing, the launcher and the wings all ask for the same choices.
_loaded: dict[Path, _Plugin] = {}
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
            _loaded[folder] = _of_module(module, conf, Path(module.__file__), str(folder))
    for directory in directories:
        folder = Path(directory).expanduser().resolve()
        if folder not in _loaded:
            _loaded[folder] = _from_folder(folder)


def load_files(directory: str, where: str) -> None:
    """Add a folder of config groups that brings no code, as `hydra.searchpath` does. where: what names it."""
    folder = Path(directory).expanduser().resolve()
    if folder in _loaded:
        return
    if not folder.is_dir():
        what = f"the folder {directory} does not exist"
        raise UserError(Problem(what, where, mend="name a folder; the choices of an installed package are found without this"))
    conf, module = _parts(folder)
    if module is not None:
        what = f"{module} would not be loaded: hydra.searchpath reads YAML files alone"
        raise UserError(Problem(what, where, mend=f"--config-dir {directory} loads the code too"))
    _loaded[folder] = _Plugin(conf, (), {})


def directories() -> list[str]:
    """The folders loaded so far; a worker that gets them by `load` knows the same choices."""
    return [str(folder) for folder in _loaded]


def conf_dirs() -> list[Path]:
    """Folders of config groups that plug-ins bring."""
    return [plugin.conf for plugin in _loaded.values() if plugin.conf is not None]


def schemas(group: str) -> Mapping[str, type]:
    """Schema classes of a group by key: the shipped ones and those of plug-ins."""
    return {**_SHIPPED[group], **{choice.name: choice.schema for choice in _choices() if choice.group == group}}


def find_build(group: str, name: str) -> Callable[..., Any] | None:
    """The builder of a plug-in's choice, or None when no plug-in brings it."""
    return next((choice.build for choice in _choices() if (choice.group, choice.name) == (group, name)), None)


def code(group: str, name: str) -> list[str]:
    """The hash of the code behind a plug-in's choice, as what identifies a result takes it; empty when no plug-in brings the choice."""
    return [plugin.code for plugin in _loaded.values() for choice in plugin.choices if (choice.group, choice.name) == (group, name)][:1]


def labelling_functions() -> dict[str, Labelling]:
    """The labelling functions that plug-ins bring, by name."""
    return {name: found for plugin in _loaded.values() for name, found in plugin.labelling.items()}


def cleaning_steps() -> Mapping[str, type]:
    """Schema classes of cleaning steps by kind: the shipped ones and those of plug-ins."""
    return {**cleaner.STEPS, **{name: own.value[0] for name, own in own_steps().items()}}


def own_steps() -> Mapping[str, Own]:
    """Cleaning steps of plug-ins by kind, as (schema, class)."""
    return {name: own for plugin in _loaded.values() for name, own in plugin.steps.items()}


def predicates() -> Mapping[str, Own]:
    """Functions of plug-ins for the step `predicate`, by name."""
    return {name: own for plugin in _loaded.values() for name, own in plugin.predicates.items()}


def _choices() -> Iterable[Choice]:
    return (choice for plugin in _loaded.values() for choice in plugin.choices)


def _from_folder(folder: Path) -> _Plugin:
    if not folder.is_dir():
        siblings = [path.name for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        guess = nearest(folder.name, siblings)
        raise UserError(
            Problem(f"the folder {folder} does not exist", "command line: --config-dir", mend=f"did you mean {guess}?" if guess else "")
        )
    conf, path = _parts(folder)
    if path is None:
        return _Plugin(conf, (), {})
    name = f"finecomb_plugin_{len(_loaded)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(Problem(f"{path} cannot be read as Python", "command line: --config-dir"))
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name while they are made.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # The file is the user's own: whatever it raises is theirs to mend.
        del sys.modules[name]
        raise UserError(_broken(error, path)) from error
    return _of_module(module, conf, path, str(path))


def _parts(folder: Path) -> tuple[Path, Path | None]:
    """The folder of the config groups, and the file of the code."""
    conf = folder / "conf" if (folder / "conf").is_dir() else folder
    path = folder / MODULE if (folder / MODULE).is_file() else folder.parent / MODULE
    return conf, path if path.is_file() and (path.parent == folder or folder.name == "conf") else None


def _of_module(module: Any, conf: Path | None, path: Path, where: str) -> _Plugin:
    code = _hash_of_code(path)
    return _Plugin(conf, _checked(module, where), _labelling(module, path, code), *_cleaning(module, path, code), code)


def _hash_of_code(path: Path) -> str:
    """SHA-256 of a plug-in's file; with the modules of its own folder that it imports, of all these files and their names."""
    root = path.resolve().parent
    found, waiting = {path.resolve()}, [path.resolve()]
    while waiting:
        new = set(_imports_within(waiting.pop(), root)) - found
        found |= new
        waiting += new
    hashes = {file.relative_to(root).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}
    return hashes[path.name] if len(hashes) == 1 else hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


def _imports_within(path: Path, root: Path) -> Iterable[Path]:
    """Files below `root` that a file imports, anywhere in it, by any name that `root` may have on the path."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            imported = [([root, root.parent], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            bases = [path.parents[node.level - 1]] if node.level else [root, root.parent]
            imported = [(bases, f"{node.module}.{alias.name}" if node.module else alias.name) for alias in node.names]
        else:
            continue
        for bases, dotted in imported:
            parts = dotted.split(".")
            for stem in (base.joinpath(*parts[:count]) for base in bases for count in range(1, len(parts) + 1)):
                for file in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
                    if file.is_file() and file.resolve().is_relative_to(root):
                        yield file.resolve()


def _broken(error: Exception, path: Path) -> Problem:
    """What a plug-in's file raised, with the line of that file where it did."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == str(path) else lines[-1] if lines else None
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    where = f"{path}:{line}" if line else str(path)
    return Problem(f"the plug-in cannot be imported: {type(error).__name__}: {what}", where, mend="correct that file")


def _checked(module: Any, where: str) -> tuple[Choice, ...]:
    choices: Sequence[Choice] = getattr(module, "CHOICES", ())
    bases = {field.name: field.type for field in dataclasses.fields(Train)}
    problems = []
    for choice in choices:
        if not isinstance(choice, Choice):
            problems.append(Problem(f"CHOICES holds {choice!r}", where, 'Choice("group", "name", Schema, build)'))
        elif choice.group not in GROUPS:
            problems.append(Problem(f"a plug-in's choice names the group {choice.group!r}", where, allowed=", ".join(GROUPS)))
        elif choice.group in _WITHOUT_BUILD:
            problems.append(_never_called(choice, where))
        elif not dataclasses.is_dataclass(choice.schema) or bases[choice.group] not in {cls.__name__ for cls in choice.schema.__mro__}:
            problems.append(
                Problem(f"the schema of {choice.group}={choice.name} is not a dataclass that extends {bases[choice.group]}", where)
            )
    if problems:
        raise UserError(problems)
    return tuple(choices)


def _never_called(choice: Choice, where: str) -> Problem:
    name = f"{choice.group}={choice.name}"
    return Problem(
        f"{name}: a plug-in cannot bring code for the group {choice.group}; its build function would never be called",
        where,
        allowed=", ".join(group for group in GROUPS if group not in _WITHOUT_BUILD),
        mend=f"for other values of the existing keys, write conf/{choice.group}/{choice.name}.yaml without a Choice",
    )


def _labelling(module: Any, path: Path, code: str) -> dict[str, Labelling]:
    functions = getattr(module, "LABELLING_FUNCTIONS", {})
    if not isinstance(functions, Mapping) or not all(isinstance(name, str) and callable(each) for name, each in functions.items()):
        what = "LABELLING_FUNCTIONS is not a mapping of names to functions"
        raise UserError(Problem(what, str(path), 'LABELLING_FUNCTIONS = {"name": function}, function(text) -> label or None'))
    return {name: Labelling(function, code) for name, function in functions.items()}


def _cleaning(module: Any, path: Path, code: str) -> tuple[dict[str, Own], dict[str, Own]]:
    """The cleaning steps and predicates of a plug-in's module."""
    steps, functions = getattr(module, "CLEANING_STEPS", {}), getattr(module, "PREDICATES", {})
    problems = []
    for name, step in steps.items():
        fits = (
            isinstance(step, tuple) and len(step) == 2 and dataclasses.is_dataclass(step[0]) and callable(getattr(step[1], "decide", None))
        )
        if not fits:
            problems.append(
                Problem(f"CLEANING_STEPS[{name!r}] is not (schema, class)", str(path), "a dataclass, and a class with `decide`")
            )
        elif name in {*cleaner.STEPS, *own_steps()}:
            problems.append(Problem(f"CLEANING_STEPS[{name!r}]: there is such a step already", str(path), mend="choose another name"))
    for name, function in functions.items():
        if not callable(function):
            problems.append(Problem(f"PREDICATES[{name!r}] is no function", str(path), "a function of a text"))
        elif name in predicates():
            problems.append(Problem(f"PREDICATES[{name!r}]: there is such a function already", str(path), mend="choose another name"))
    if problems:
        raise UserError(problems)
    return {name: Own(step, code) for name, step in steps.items()}, {name: Own(each, code) for name, each in functions.items()}
