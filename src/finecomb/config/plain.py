"""A config as plain JSON values, and back: what run directories hold and the worker reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from finecomb.config import plugins, renamed
from finecomb.config.fields import Field, fields_of
from finecomb.config.schema.base import UNSET
from finecomb.config.schema.train import GROUPS, Config
from finecomb.core.errors import ConfigError, Problem


def to_plain(config: Any) -> dict[str, Any]:
    """The config as nested dicts and lists of str, int, float, bool and None. Raises TypeError for anything else."""
    plain = _plain(config, "")
    assert isinstance(plain, dict)
    return plain


def _plain(value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        cls: type = type(value)
        return {name: _plain(getattr(value, name), f"{key}.{name}") for name in fields_of(cls)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, key) for item in value]
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise TypeError(f"{key.removeprefix('.')} holds a {type(value).__name__}; a config holds JSON values only")


def from_plain(plain: Mapping[str, Any]) -> Config:
    """The typed config of a frozen one, which an earlier version may have written. Plug-ins it was made with must have been loaded.

    Raises ConfigError when the keys fit no schema, as with a config that a newer or older version wrote.
    """
    plain = renamed.current(plain)
    classes = {group: _class_of(group, plain[group]) for group in GROUPS if isinstance(plain.get(group), Mapping)}
    config: Config = _build(Config, plain, classes, "")
    return config


def _class_of(group: str, plain: Mapping[str, Any]) -> type:
    """The schema of a group's values: the one of its name, else the first whose keys are the same (several choices share a schema)."""
    known = plugins.schemas(group)
    candidates = [known[plain["name"]]] if plain.get("name") in known else []
    for cls in [*candidates, *known.values()]:
        fields = fields_of(cls)
        if set(plain) <= set(fields) and all(name in plain or field.before is not UNSET for name, field in fields.items()):
            return cls
    what = f"{group}={plain.get('name')}: no choice has the keys {', '.join(plain)}"
    raise ConfigError(
        Problem(what, "the frozen config", hint="it was written by another version, or its plug-in (--config-dir) is not loaded")
    )


def _build(cls: type, plain: Mapping[str, Any], classes: Mapping[str, type], prefix: str) -> Any:
    values = {}
    for name, field in fields_of(cls).items():
        key = f"{prefix}{name}"
        nested = classes.get(key, field.nested)
        if name not in plain:
            if field.before is UNSET:
                raise ConfigError(Problem(f"{key} is missing", "the frozen config", hint="it was written by another version"))
            values[name] = field.before
        elif nested is not None:
            values[name] = _build(nested, plain[name], classes, f"{key}.")
        elif field.entry is not None:
            values[name] = entry_of(field.entry, plain[name], key)
        else:
            values[name] = _convert(plain[name], field)
    unknown = set(plain) - set(values)
    if unknown:
        what = f"{prefix}{sorted(unknown)[0]}: there is no such key"
        raise ConfigError(Problem(what, "the frozen config", hint="it was written by another version"))
    return cls(**values)


def entry_of(cls: type, plain: Mapping[str, Any] | None, key: str) -> Any:
    """The typed value of a mapping that may be empty; None when it is."""
    return _build(cls, plain, {}, f"{key}.") if plain else None


def _convert(value: Any, field: Field) -> Any:
    if field.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if field.type is str and value is not None and not isinstance(value, str):
        return str(value)
    return value


def from_values(values: Mapping[str, Any], classes: Mapping[str, type]) -> Config:
    """The config of dotted keys (`{"tuning.r": 8, ...}`) whose chosen classes are known; what is not given becomes None."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        place = nested
        for parent in parents:
            inner = place.setdefault(parent, {})
            place = inner if isinstance(inner, dict) else place
        place[name] = dict(value) if isinstance(value, dict) else value
    config: Config = _build(Config, _filled(Config, nested, classes, ""), classes, "")
    return config


def _filled(cls: type, plain: Mapping[str, Any], classes: Mapping[str, type], prefix: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, field in fields_of(cls).items():
        nested = classes.get(f"{prefix}{name}", field.nested)
        given = plain.get(name)
        nested = field.entry if field.entry is not None and given else nested
        result[name] = given if nested is None else _filled(nested, given or {}, classes, f"{prefix}{name}.")
    return result


def flatten(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one level of dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
