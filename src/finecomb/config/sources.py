"""The YAML files: which choices each group offers, in which file each stands, and the keys of a file with their lines."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from finecomb.config import plugins
from finecomb.config.locate import conf_dir
from finecomb.config.schema.derivation import Origin as Origin
from finecomb.config.schema.train import BUNDLES, GROUPS
from finecomb.core.errors import ConfigError, Problem

# Choices that are no use to a user.
_FOR_TESTS = frozenset({("model", "tiny")})


@dataclass(frozen=True)
class Entry:
    """A key of a YAML file: its value, its line, and, for a mapping, the keys inside."""

    value: Any
    line: int | None
    children: Mapping[str, Entry] | None


@dataclass(frozen=True)
class YamlFile:
    """A parsed config file. `entries` leaves the defaults list out; `defaults` holds it with lines."""

    path: Path
    entries: Mapping[str, Entry]
    defaults: tuple[tuple[Any, int], ...]


def search_dirs() -> list[Path]:
    """Folders that hold config groups: the shipped one, then those of plug-ins."""
    return [conf_dir(), *plugins.conf_dirs()]


def files(group: str) -> dict[str, Path]:
    """Every file of a group by name: its choices, and the base files that they share. A shipped file cannot be shadowed."""
    found: dict[str, Path] = {}
    for directory in search_dirs():
        folder = directory / group
        for path in sorted(folder.rglob("*.yaml")):
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise ConfigError(
                    Problem(f"{group}={name} is in two files", shown(path), hint=f"rename yours; the other is {shown(found[name])}")
                )
            found[name] = path
    return found


def is_base(name: str) -> bool:
    """Whether a file holds what several choices share (`_base`). Such a file is not a choice."""
    return name.rpartition("/")[2].startswith("_")


def options(group: str) -> dict[str, Path]:
    """The choices of a group by name, with the file of each."""
    return {name: path for name, path in files(group).items() if not is_base(name)}


def offered(group: str) -> dict[str, Path]:
    """The choices that help, completion and messages list: all but those for tests."""
    return {name: path for name, path in options(group).items() if (group, name) not in _FOR_TESTS}


def is_offered(word: str) -> bool:
    """Whether completion may offer a word: any but `GROUP=NAME` where NAME is a base file or a choice for tests."""
    group, equals, name = word.lstrip("+~").partition("=")
    return not equals or group not in known_groups() or name in offered(group)


def file_of(config_path: str) -> Path | None:
    """The file of a config as Hydra names it ("tuning/lora"), or None for a schema."""
    candidates = (directory / f"{config_path}.yaml" for directory in search_dirs())
    return next((path for path in candidates if path.is_file()), None)


def summary(group: str, name: str) -> str:
    """One line about a choice: the first comment of its file, else the docstring of its schema."""
    path = options(group)[name]
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith(("# @package", "# yaml-language-server")):
            return line.removeprefix("# ").strip()
    schema = schema_of(group, path)
    text = (schema.__doc__ or "") if schema is not None else ""
    return "" if text.startswith(f"{schema.__name__ if schema else ''}(") else text.strip().split("\n")[0]


def schema_of(group: str, path: Path) -> type | None:
    """The schema class that a file names in its defaults list, or that a file it builds on names."""
    if group in BUNDLES:
        return None
    for item, _ in read(path).defaults:
        if isinstance(item, str) and (match := re.fullmatch(rf"/schema/{group}/([^@]+)@_here_", item)):
            return plugins.schemas(group).get(match[1])
    found = (schema_of(group, built_on) for before in (True, False) for built_on in parents(path, before=before))
    return next((cls for cls in found if cls is not None), None)


def parents(path: Path, *, before: bool) -> list[Path]:
    """The files of its group that a file builds on, in order: those merged before its own keys, or those merged after them."""
    items = [item for item, _ in read(path).defaults if isinstance(item, str)]
    place = items.index("_self_") if "_self_" in items else len(items)
    chosen = items[:place] if before else items[place + 1 :]
    group = next((path.parent.relative_to(directory) for directory in search_dirs() if path.is_relative_to(directory)), Path())
    names = [item.partition("@")[0] for item in chosen if not item.startswith("/schema/")]
    found = [file_of(name.removeprefix("/") if name.startswith("/") else (group / name).as_posix()) for name in names]
    return [parent for parent in found if parent is not None and parent != path]


def values_of(path: Path) -> dict[str, Any]:
    """The values that a file and the files it builds on give, merged as Hydra merges them. Interpolations stay as they are."""
    found: dict[str, Any] = {}
    for parent in parents(path, before=True):
        _merge(found, values_of(parent))
    _merge(found, {name: entry.value for name, entry in read(path).entries.items()})
    for parent in parents(path, before=False):
        _merge(found, values_of(parent))
    return found


def _merge(found: dict[str, Any], values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            inner = found.get(name)
            found[name] = dict(inner) if isinstance(inner, dict) else {}
            _merge(found[name], value)
        else:
            found[name] = value


def shown(path: Path) -> str:
    """A path as messages show it: `conf/...` for shipped files, relative to the working folder where it lies below it."""
    for base in (conf_dir().parent, Path.cwd()):
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return str(path)


def read(path: Path) -> YamlFile:
    """Parse one config file, keeping the line of each key. Values are read as Hydra reads them (1e-3 is a number)."""
    state = path.stat()
    return _read(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=512)
def _read(path: Path, changed: int, size: int) -> YamlFile:
    loader = get_yaml_loader()(path.read_text(encoding="utf-8"))
    try:
        node = loader.get_single_node()
        top = _entries(loader, node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(Problem(f"broken YAML: {error.problem}", str(Origin(shown(path), line)), hint="correct that line")) from None
    finally:
        loader.dispose()
    listed = top.pop("defaults", None)
    return YamlFile(path, top, _defaults(listed))


def _entries(loader: Any, node: yaml.Node) -> dict[str, Entry]:
    if not isinstance(node, yaml.MappingNode):
        raise yaml.MarkedYAMLError(problem="a config file must be a mapping of keys", problem_mark=node.start_mark)
    found: dict[str, Entry] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in found:
            raise yaml.MarkedYAMLError(problem=f"the key {key} stands twice", problem_mark=key_node.start_mark)
        children = _entries(loader, value_node) if isinstance(value_node, yaml.MappingNode) else None
        found[key] = Entry(loader.construct_object(value_node, deep=True), key_node.start_mark.line + 1, children)
        if key == "defaults" and isinstance(value_node, yaml.SequenceNode):
            lines = [item.start_mark.line + 1 for item in value_node.value]
            found[key] = Entry(list(zip(found[key].value, lines, strict=True)), key_node.start_mark.line + 1, None)
    return found


def _defaults(entry: Entry | None) -> tuple[tuple[Any, int], ...]:
    return tuple(entry.value) if entry is not None else ()


def known_groups() -> tuple[str, ...]:
    """The config groups and bundles, in the order of the help."""
    return (*GROUPS, *BUNDLES)
