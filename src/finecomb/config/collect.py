"""Every value that a command line and its YAML files set, with its origin; and everything that is wrong with them, at once.

Hydra stops at the first wrong key and names no line. This pass reads the same files in the order Hydra computes and checks each key against
the schemas before Hydra merges anything, so that a user mends all mistakes in one go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from finecomb.config import auto, hydra_settings, plugins, renamed
from finecomb.config.fields import Field, fields_of
from finecomb.config.locate import conf_dir
from finecomb.config.schema.train import BUNDLES, GROUPS, Config
from finecomb.config.settings import Collected
from finecomb.config.sources import Entry, Origin, YamlFile, file_of, known_groups, offered, options, read, shown
from finecomb.core.errors import ConfigError, Problem, nearest

PRIMARY = "train"


def collect(overrides: Sequence[str], defaults_list: Callable[[list[str]], Any]) -> Collected:
    """Read everything the overrides select. `defaults_list(overrides)` is Hydra's: the files to merge, in order, with their packages."""
    found = _collect(overrides, defaults_list, auto.GROUPS)
    chosen = auto.chosen(found)
    return found if chosen == found.auto else _collect(overrides, defaults_list, {**auto.GROUPS, **chosen})


def _collect(overrides: Sequence[str], defaults_list: Callable[[list[str]], Any], stands_for: Mapping[str, str]) -> Collected:
    found = Collected()
    parsed = [override for override in parse(overrides, found.problems) if not override.is_hydra_override()]
    picks = [override for override in parsed if is_choice(override) and _check_choice(override, found)]
    bundles = _check_bundles(picks, found)
    try:
        found.overrides = [_line(override) for override in picks]
        listed = defaults_list(found.overrides)
        known = listed.overrides.known_choices
        found.auto = {group: name for group, name in stands_for.items() if known.get(group) == auto.AUTO}
        listed = defaults_list(found.for_hydra()) if found.auto else listed
    except HydraException as error:
        found.problems.append(Problem(str(error).split("\n")[0], hint="correct the defaults list of the file"))
        return found
    _read_files(listed, found)
    _note_picks(picks, found)
    for bundle in bundles:
        found.walk(Config, bundle.entries, "", shown(bundle.path))
    for override in parsed:
        if not is_choice(override):
            _apply(override, found)
    found.check_steps()
    found.check_entries()
    return found


def parse(overrides: Sequence[str], problems: list[Problem]) -> list[Override]:
    """Parse overrides by Hydra's grammar; `--a.b=c` counts as `a.b=c`. What cannot be parsed becomes a problem."""
    parser = OverridesParser.create()
    parsed = []
    for text in without_null([normal(text) for text in overrides]):
        try:
            parsed.append(parser.parse_override(text))
        except HydraException:
            hint = "write key=value, and quote what holds spaces, commas or brackets: 'key=\"a, b\"'"
            problems.append(Problem(f"{text!r} is no override", f"command line: {text}", hint=hint))
    return parsed


def without_null(overrides: Sequence[str]) -> list[str]:
    """The overrides without `experiment=null` and `debug=null`, and without what these take back.

    null is the default of a bundle, and a sweep may choose it; Hydra 1.3 takes it in a defaults list but not on the command line.
    """
    kept: list[str] = []
    for line in overrides:
        key, _, value = line.partition("=")
        if key in BUNDLES and value.strip() == "null":
            kept = [earlier for earlier in kept if not earlier.startswith(f"{key}=")]
        else:
            kept.append(line)
    return kept


def normal(text: str) -> str:
    """An override as Hydra takes it: `--a.b=c` without its hyphens; `++` before a key of the user's own in a mapping.

    Hydra closes every mapping once the files are merged; ++ opens it.
    """
    line = text.removeprefix("--")
    key = line.lstrip("+").partition("=")[0]
    return f"++{line.lstrip('+')}" if "=" in line and _in_mapping(key) else line


def _in_mapping(key: str) -> bool:
    if f"{key}.".startswith("hydra.sweeper.params."):
        return True
    group, *parts = key.split(".")
    candidates = plugins.schemas(group).values() if group in GROUPS and parts else ()
    return any(field.is_dict for cls in candidates for field in (fields_of(cls).get(parts[0]),) if field is not None)


def is_choice(override: Override) -> bool:
    """Whether an override picks a choice of a group (`tuning=lora`), rather than a value."""
    if override.key_or_group not in known_groups():
        return False
    return override.is_sweep_override() or not isinstance(override.value(), dict)


def _line(override: Override) -> str:
    return override.input_line or ""


def _where(override: Override) -> Origin:
    return Origin(f"command line: {_line(override).removeprefix('++')}")


def _check_choice(override: Override, found: Collected) -> bool:
    group, value, where = override.key_or_group, override.value(), _where(override)
    if override.is_delete() and group in BUNDLES:
        return True
    if override.is_sweep_override():
        problem = _needs_multirun(override)
    elif override.is_delete():
        problem = Problem(f"{group} cannot be removed", str(where), hint=f"choose one of {', '.join(offered(group))}")
    elif override.is_add() or override.is_force_add() or override.package is not None:
        problem = Problem(f"{_line(override)}: a choice is made without + and @", str(where), hint=f"write {group}={value}")
    elif isinstance(value, list):
        problem = Problem(f"{group}={value}: a group takes one choice", str(where), ", ".join(offered(group)))
    else:
        if _check_option(group, value, where, found.problems):
            return True
        found.unknown.add(group)
        return False
    found.problems.append(problem)
    found.unknown.add(group)
    return False


def _check_option(group: str, name: Any, origin: Origin, problems: list[Problem]) -> bool:
    known = options(group)
    if name is None and group in BUNDLES:
        return True
    if str(name) in known:
        try:
            read(known[str(name)])
        except ConfigError as error:
            problems.extend(error.problems)
            return False
        return True
    listed = offered(group)
    guess = renamed.value_now(f"{group}.name", name)
    guess = _likely(group, str(name), listed) if guess == name else guess
    allowed = ", ".join([*listed, *(["null"] if group in BUNDLES else [])])
    what = f"{group}={'null' if name is None else name}: there is no such choice"
    now = renamed.CHOICES.get((group, str(name)))
    hint = f"{group}={name} is now {now}" if now else f"did you mean {group}={guess}?" if guess else ""
    problems.append(Problem(what, str(origin), allowed, hint))
    return False


def _likely(group: str, name: str, known: Mapping[str, Path]) -> str | None:
    """The choice that a wrong name most likely means: a model by its name on the hub, else the nearest spelling."""
    if group == "model":
        for choice, path in known.items():
            hub_id = read(path).entries.get("hub_id")
            if hub_id is not None and hub_id.value and name.lower() in (hub_id.value.lower(), hub_id.value.rpartition("/")[2].lower()):
                return choice
    return nearest(name.lower().replace("-", "_"), known)


def _needs_multirun(override: Override) -> Problem:
    hint = f"add -m to run a job for each; or, for a list, write {override.key_or_group}=[...]"
    return Problem(f"{override.input_line} asks for several values", str(_where(override)), hint=hint)


def _check_bundles(picks: list[Override], found: Collected) -> list[YamlFile]:
    """Check the choices that an experiment or debug preset makes itself; a broken one is taken out of `picks` and its file returned."""
    broken = []
    for override in list(picks):
        if override.key_or_group not in BUNDLES or override.value() is None or override.is_delete():
            continue
        before = len(found.problems)
        file = read(options(override.key_or_group)[str(override.value())])
        for item, line in file.defaults:
            _check_default(item, Origin(shown(file.path), line), found)
        if len(found.problems) > before:
            picks.remove(override)
            broken.append(file)
    return broken


def _check_default(item: Any, origin: Origin, found: Collected) -> None:
    for key, name in item.items() if isinstance(item, Mapping) else ():
        group = str(key).removeprefix("override ").strip().removeprefix("/")
        if group in known_groups():
            if not _check_option(group, name, origin, found.problems):
                found.unknown.add(group)
        elif group.startswith("hydra/"):
            problem = hydra_settings.problem_of_choice(group, name, origin)
            found.problems += [] if problem is None else [problem]
        else:
            guess = nearest(group, known_groups())
            hint = f"did you mean /{guess}?" if guess else ""
            found.problems.append(Problem(f"there is no group {group}", str(origin), ", ".join(known_groups()), hint))


def _note_picks(picks: Sequence[Override], found: Collected) -> None:
    """What made each choice: train.yaml, then a bundle's own defaults list, then the command line."""
    bundles = [options(group)[name] for group in BUNDLES if (name := found.choices.get(group)) is not None]
    for path in (conf_dir() / f"{PRIMARY}.yaml", *bundles):
        for item, line in read(path).defaults:
            for key in item if isinstance(item, Mapping) else ():
                found.picked[str(key).removeprefix("override ").strip().removeprefix("/")] = Origin(shown(path), line)
    for override in picks:
        found.picked[override.key_or_group] = _where(override)


def _read_files(listed: Any, found: Collected) -> None:
    found.choices = {group: listed.overrides.known_choices.get(group) for group in known_groups()}
    files = [item for item in listed.defaults if item.config_path and not item.config_path.startswith("hydra/")]
    for item in files:
        if match := re.fullmatch(r"schema/([^/]+)/(.+)", item.config_path):
            found.classes[match[1]] = plugins.schemas(match[1])[match[2]]
    for item in files:
        path = file_of(item.config_path)
        if path is None:
            continue
        try:
            entries = dict(read(path).entries)
        except ConfigError as error:
            found.problems.extend(error.problems)
            continue
        package = (item.package or "").replace("_global_", "").strip(".")
        if not package:
            # Settings of Hydra itself, which `hydra_settings` reads.
            entries.pop("hydra", None)
        _read_package(package, entries, shown(path), found)


def _read_package(package: str, entries: Mapping[str, Entry], source: str, found: Collected) -> None:
    cls: type | None = Config
    parts = package.split(".") if package else []
    for depth, part in enumerate(parts):
        known = fields_of(cls).get(part) if cls is not None else None
        cls = found.classes.get(".".join(parts[: depth + 1]), known.nested if known else None)
    if cls is None:
        hint = "put the file in the folder of its group, or begin it with `# @package _global_`"
        found.problems.append(Problem(f"{package} is no place for keys", source, hint=hint))
    elif package not in found.unknown:
        found.walk(cls, entries, package, source)


def _apply(override: Override, found: Collected) -> None:
    """One `key=value` of the command line: find the field it means, then take the value."""
    key, where = override.key_or_group, _where(override)
    cls: type = Config
    parts = key.split(".")
    if parts[0] in found.unknown:
        return
    for depth, part in enumerate(parts):
        path = ".".join(parts[: depth + 1])
        known = fields_of(cls).get(part)
        if known is None:
            found.problems.append(found.unknown_key(path, where, cls, _value(override)))
            return
        nested = found.classes.get(path, known.nested)
        if nested is None:
            _apply_leaf(override, known, path, found)
            return
        cls = nested
    if override.is_delete() or not isinstance(override.value(), dict):
        found.problems.append(found.not_a_value(key, override.value(), where, cls))
        return
    found.walk(cls, _as_entries(override.value()), key, where.source)
    found.overrides.append(_line(override))


def _value(override: Override) -> Any:
    return None if override.is_delete() or override.is_sweep_override() else override.value()


def _apply_leaf(override: Override, known: Field, path: str, found: Collected) -> None:
    key, where = override.key_or_group, str(_where(override))
    own_key = known.is_dict and (key != path or isinstance(override.value(), dict))
    if override.is_sweep_override():
        found.problems.append(_needs_multirun(override))
    elif key != path and not known.is_dict:
        found.problems.append(Problem(f"{key}: {path} holds one value and no keys", where, known.allowed_text, f"write {path}=..."))
    elif override.is_delete():
        _delete(override, own_key, found)
    elif own_key:
        entries = _as_entries({key: override.value()})
        found.set_in_dict(key, entries[key], str(_where(override)))
        found.overrides.append(_line(override))
    elif override.is_add():
        found.problems.append(Problem(f"+{key}: the key is there already", where, hint=f"leave the + off: {_line(override)[1:]}"))
    else:
        found.set(key, known, override.value(), _where(override))
        found.overrides.append(_line(override).removeprefix("++"))


def _delete(override: Override, own_key: bool, found: Collected) -> None:
    key, where = override.key_or_group, str(_where(override))
    if not own_key:
        found.problems.append(Problem(f"~{key}: a key of the schema cannot be removed", where, hint=f"set it instead: {key}=..."))
    elif not found.below(key):
        parent = key.rpartition(".")[0]
        there = dict.fromkeys(name.removeprefix(f"{parent}.").split(".")[0] for name in found.below(parent) if name != parent)
        found.problems.append(Problem(f"~{key}: there is no such key", where, ", ".join(there)))
    else:
        found.drop(key)
        found.overrides.append(_line(override))


def _as_entries(values: Mapping[Any, Any]) -> dict[str, Entry]:
    return {str(key): Entry(value, None, _as_entries(value) if isinstance(value, dict) else None) for key, value in values.items()}
