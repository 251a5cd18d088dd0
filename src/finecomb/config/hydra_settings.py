"""Settings of Hydra itself (`hydra/sweeper`, `hydra.launcher.*`, ...) from the command line and from the `hydra:` block of an experiment.

finecomb takes those of its sweepers and launchers, the mode and the search path. Everything else would have no effect and is refused with
the finecomb way to do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Glob, Override
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from finecomb.config import plugins
from finecomb.config.hydra_private import Loader, discover_plugins
from finecomb.config.schema.train import BUNDLES
from finecomb.config.sources import Entry, Origin, options, parents, shown
from finecomb.config.sources import read as read_file
from finecomb.core.errors import ConfigError, Problem, nearest

LAUNCHER, SWEEPER = "hydra/launcher", "hydra/sweeper"
ALLOWED = "hydra/sweeper, hydra/launcher, hydra.sweeper.*, hydra.launcher.*, hydra.mode, hydra.searchpath"
_RUN_DIR = "output_dir=DIR sets the folder of the run directories, name=TEXT the beginning of their names"
_LOGS = "each run logs to the folder logs of its run directory"
_INSTEAD = {
    "run": _RUN_DIR,
    "sweep": _RUN_DIR,
    "output_subdir": _RUN_DIR,
    "job": "name=TEXT names a run; paths are relative to the folder in which the command is started",
    "verbose": _LOGS,
    "job_logging": _LOGS,
    "hydra_logging": _LOGS,
    "callbacks": "callbacks of the training are chosen with callbacks=NAME",
    "sweeper/sampler": "hydra.sweeper.sampler=tpe, gp, random or grid",
}
_SLOTS = "hydra.launcher.slots=N runs N jobs at once on this machine"
_SEARCH = "hydra/sweeper=optuna searches, with hydra.sweeper.sampler=tpe, gp, random or grid"
_LOCAL_LAUNCHERS = ("basic", "joblib", "submitit_local", "ray", "rq")
# Keys of the official plug-ins, with ours.
_OTHER_NAMES = {
    "n_jobs": _SLOTS,
    "study_name": "hydra.sweeper.name=TEXT names the search",
    "direction": "hydra.sweeper.mode=max or min",
    "storage": "the journal of a search is kept in OUTPUT_DIR/sweeps, and the same command resumes it",
    "search_space": "list the values in hydra.sweeper.params or on the command line",
    "submitit_folder": "SLURM's logs are in the folder logs of each run directory",
    "tasks_per_node": "trainer.devices sets the processes on each node",
    "nodes": "trainer.num_nodes sets the number of nodes",
}


@dataclass(frozen=True)
class HydraSetting:
    """A choice (`hydra/launcher`) or a value (`hydra.launcher.slots`), with what set it."""

    key: str
    value: Any
    origin: Origin


@dataclass
class HydraSettings:
    """What a command line and its experiment set of Hydra's own node, in the order in which it applies."""

    given: list[HydraSetting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def multirun(self) -> bool:
        """Whether `hydra.mode` is MULTIRUN."""
        modes = [str(each.value).upper() for each in self.given if each.key == "hydra.mode"]
        return modes[-1:] == ["MULTIRUN"]

    @property
    def params(self) -> dict[str, str]:
        """`hydra.sweeper.params`: sweeps by key."""
        prefix = "hydra.sweeper.params."
        return {each.key.removeprefix(prefix): str(each.value) for each in self.given if each.key.startswith(prefix)}

    def node(self, loader: Loader) -> DictConfig:
        """Compose Hydra's own node, without the config of any job. Raises OmegaConfBaseException."""
        choices = {"hydra/hydra_logging": "none", "hydra/job_logging": "none", **_chosen(self.given)}
        found = loader.hydra_node([f"{group}={name}" for group, name in choices.items()])
        # Hydra writes nothing.
        found.hydra.output_subdir, found.hydra.run.dir, found.hydra.sweep.dir, found.hydra.sweep.subdir = None, ".", ".", "."
        for each in self.given:
            top, _, rest = each.key.removeprefix("hydra.").partition(".")
            if top in ("launcher", "sweeper"):
                _set(found.hydra[top], rest, each.value)
            elif top == "searchpath":
                found.hydra.searchpath = each.value
        return found


def read(parsed: Sequence[Override]) -> HydraSettings:
    """Read the settings of the chosen bundles, then those of the command line, and load the folders of `hydra.searchpath`."""
    found = HydraSettings(problems=load_search_path(parsed))
    for override in parsed:
        if override.key_or_group in BUNDLES and not override.is_delete():
            _read_bundle(override, found)
    found.given += _of_overrides([override for override in parsed if override.is_hydra_override()], found.problems)
    found.problems = list(dict.fromkeys([*found.problems, *_check(found.given)]))
    return found


def load_search_path(parsed: Sequence[Override]) -> list[Problem]:
    """Load the folders of `hydra.searchpath`, from the command line first, because they may hold the bundles that name others."""
    problems = _load(_of_overrides([override for override in parsed if override.key_or_group == "hydra.searchpath"], []))
    chosen = [override for override in parsed if override.key_or_group in BUNDLES and not override.is_sweep_override()]
    paths = [options(override.key_or_group).get(str(override.value())) for override in chosen]
    return problems + _load([each for path in paths if path is not None for each in _of_file(path)])


def provided() -> Mapping[str, Mapping[str, type]]:
    """Finecomb's launchers and sweepers by group and name, each with the dataclass of its settings."""
    discover_plugins()
    from hydra_plugins.finecomb import launcher, optuna_sweeper, slurm_launcher, sweeper

    return {
        LAUNCHER: {"finecomb": launcher.LauncherConf, "submitit_slurm": slurm_launcher.SlurmConf},
        SWEEPER: {"finecomb": sweeper.SweeperConf, "optuna": optuna_sweeper.OptunaConf},
    }


def problem_of_choice(group: str, name: Any, origin: Origin) -> Problem | None:
    """The problem of `hydra/launcher=joblib` and of other choices that finecomb does not provide; None for its own."""
    known = provided().get(group)
    if known is None:
        return _refused(group, group.partition("/")[2], origin, name)
    if name in known:
        return None
    kind = "launcher would start no worker of finecomb" if group == LAUNCHER else "sweeper is not one of finecomb's"
    guess = None if name in _LOCAL_LAUNCHERS else nearest(str(name), known)
    hint = f"did you mean {group}={guess}?" if guess else _SLOTS if group == LAUNCHER else _SEARCH
    return Problem(f"{group}={name}: this {kind}", str(origin), ", ".join(known), hint)


def of_block(entry: Entry, source: str) -> list[HydraSetting]:
    """The settings of a `hydra:` block."""
    return list(_flat("hydra", entry, source))


def _flat(key: str, entry: Entry, source: str) -> Iterable[HydraSetting]:
    if entry.children is None:
        yield HydraSetting(key, entry.value, Origin(source, entry.line))
    for name, child in (entry.children or {}).items():
        yield from _flat(f"{key}.{name}", child, source)


def _of_overrides(overrides: Sequence[Override], problems: list[Problem]) -> list[HydraSetting]:
    found: list[HydraSetting] = []
    for override in overrides:
        key, line = override.key_or_group, (override.input_line or "").lstrip("+")
        origin = Origin(f"command line: {line}")
        if override.is_sweep_override():
            problems.append(Problem(f"{line}: a setting of Hydra takes one value", str(origin), hint="quote a text that has commas"))
        elif override.is_delete():
            problems.append(Problem(f"{line}: a setting of Hydra cannot be removed", str(origin), hint=f"set it instead: {key}=..."))
        else:
            found += _flat_value(key, override.value(), origin)
    return found


def _flat_value(key: str, value: Any, origin: Origin) -> Iterable[HydraSetting]:
    if isinstance(value, dict) and key != "hydra":
        for name, each in value.items():
            yield from _flat_value(f"{key}.{name}", each, origin)
    else:
        yield HydraSetting(key, value, origin)


def _read_bundle(override: Override, found: HydraSettings) -> None:
    group, known = override.key_or_group, options(override.key_or_group)
    value = override.value()
    if not override.is_sweep_override():
        if str(value) in known:
            found.given += _of_file(known[str(value)])
        return
    names = value.filter(list(known)) if isinstance(value, Glob) else list(override.sweep_string_iterator())
    for name in names:
        for each in _of_file(known[name]) if name in known else ():
            what = f"{each.key} of {group}={name} is not read, because {group} takes several values"
            found.problems.append(Problem(what, str(each.origin), hint="give settings of Hydra on the command line"))


def _of_file(path: Path) -> list[HydraSetting]:
    """The settings of a bundle's file, after those of the bundles in its defaults list."""
    try:
        file = read_file(path)
    except ConfigError:
        return []  # reported by the pass over all files
    found = [each for parent in (*parents(path, before=True), *parents(path, before=False)) for each in _of_file(parent)]
    for item, line in file.defaults:
        for key, value in item.items() if isinstance(item, Mapping) else ():
            name = str(key).removeprefix("override ").strip().removeprefix("/")
            if name.startswith("hydra/"):
                found.append(HydraSetting(name, value, Origin(shown(path), line)))
            elif name in BUNDLES and str(value) in options(name):
                found += _of_file(options(name)[str(value)])
    return found + (of_block(file.entries["hydra"], shown(path)) if "hydra" in file.entries else [])


def _load(given: Sequence[HydraSetting]) -> list[Problem]:
    problems: list[Problem] = []
    for each in (each for each in given if each.key == "hydra.searchpath"):
        if not isinstance(each.value, list) or not all(isinstance(folder, str) for folder in each.value):
            problems.append(Problem(f"hydra.searchpath={each.value} is not a list of folders", str(each.origin), "[DIR, ...]"))
            continue
        for folder in each.value:
            try:
                plugins.load_files(folder.removeprefix("file://"), str(each.origin))
            except ConfigError as error:
                problems += error.problems
    return problems


def _chosen(given: Sequence[HydraSetting]) -> dict[str, str]:
    return {LAUNCHER: "finecomb", SWEEPER: "finecomb"} | {each.key: str(each.value) for each in given if each.key in (LAUNCHER, SWEEPER)}


def _check(given: Sequence[HydraSetting]) -> list[Problem]:
    chosen = _chosen(given)
    return [problem for each in given for problem in [_problem(each, chosen)] if problem is not None]


def _problem(setting: HydraSetting, chosen: Mapping[str, str]) -> Problem | None:
    key, value, origin = setting.key, setting.value, setting.origin
    if "/" in key:
        return problem_of_choice(key, value, origin)
    top, _, rest = key.removeprefix("hydra.").partition(".")
    if top in ("launcher", "sweeper"):
        group = f"hydra/{top}"
        cls = provided()[group].get(chosen[group])
        return None if cls is None else _problem_of_value(setting, rest, f"{group}={chosen[group]}", cls)
    if top == "mode":
        fits = str(value).upper() in ("RUN", "MULTIRUN")
        return None if fits else Problem(f"hydra.mode={value} is not one of the allowed values", str(origin), "RUN, MULTIRUN")
    return None if key == "hydra.searchpath" else _refused(key, top, origin, value)


def _problem_of_value(setting: HydraSetting, rest: str, choice: str, cls: type) -> Problem | None:
    node = OmegaConf.structured(cls)
    names = [str(name) for name in node if name != "_target_"]
    name = rest.partition(".")[0]
    where, allowed = str(setting.origin), ", ".join(names)
    if not rest:
        return Problem(f"{setting.key}={setting.value}: {setting.key} holds keys of its own", where, allowed)
    if name not in names:
        what = f"{setting.key}: there is no such key with {choice}"
        if name == "_target_":
            return Problem(what, where, allowed, "leave it out; hydra/sweeper and hydra/launcher choose the class")
        guess = nearest(name, names)
        hint = _OTHER_NAMES.get(name, "") or (f"did you mean {setting.key.rpartition(name)[0]}{guess}?" if guess else "")
        return Problem(what, where, allowed, hint)
    try:
        _set(node, rest, setting.value)
    except OmegaConfBaseException as error:
        hint = 'write the values as text: "1,2"' if name == "params" else ""
        return Problem(f"{setting.key}={setting.value}: {str(error).splitlines()[0]}", where, hint=hint)
    return None


def _set(node: DictConfig, key: str, value: Any) -> None:
    """Set a field, or an entry of a field that is a mapping; the entry's name may have dots."""
    name, _, inner = key.partition(".")
    if inner:
        with open_dict(node[name]):
            node[name][inner] = value
    else:
        node[name] = value


def _refused(key: str, top: str, origin: Origin, value: Any) -> Problem:
    return Problem(f"{key}={value} would have no effect", str(origin), ALLOWED, _INSTEAD.get(top, ""))
