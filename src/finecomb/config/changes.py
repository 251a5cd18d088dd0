"""A config whose values were changed in Python: checked against the schemas, and written as the overrides that compose it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finecomb.config import auto, plugins
from finecomb.config.catalogue import defaults
from finecomb.config.fields import fields_of
from finecomb.config.fingerprint import canonical, composed_values
from finecomb.config.overrides import override
from finecomb.config.plain import flatten, to_plain
from finecomb.config.schema.derivation import Origin
from finecomb.config.schema.train import BUNDLES, GROUPS, Config
from finecomb.config.settings import Collected
from finecomb.config.sources import Entry
from finecomb.core.errors import ConfigError, Problem

_SOURCE = "the config"


def of(config: Config) -> tuple[dict[str, str | None], list[str], dict[str, Origin]]:
    """Choices, overrides and origins of a changed config. Raises ConfigError with every value that its schema does not permit."""
    check(config)
    choices = choices_of(config)
    now, derived = {**choices, **flatten(to_plain(config))}, config.derivation
    before = {**derived.choices, **derived.values}
    kept = {key: origin for key, origin in derived.origins.items() if key in now and now[key] == before.get(key)}
    return choices, overrides_of(config, choices), kept


def check(config: Config) -> None:
    """Raise ConfigError with every group that is of no known schema, and every value of a wrong type or out of bounds."""
    problems = []
    found = Collected(choices=choices_of(config))
    for group in GROUPS:
        value = getattr(config, group)
        known = tuple(dict.fromkeys(plugins.schemas(group).values()))
        if type(value) in known:
            found.classes[group] = type(value)
        else:
            found.unknown.add(group)
            names = ", ".join(cls.__name__ for cls in known)
            problems.append(Problem(f"{group} holds a {type(value).__name__}", _SOURCE, names, f"compose the config with {group}=..."))
    try:
        plain = to_plain(config)
    except TypeError as error:
        raise ConfigError([*problems, Problem(str(error), _SOURCE, "text, numbers, booleans, None, lists, mappings")]) from error
    found.walk(Config, {name: _entry(value) for name, value in plain.items()}, "", _SOURCE)
    found.check_steps()
    found.check_entries()
    if problems := [*problems, *found.problems]:
        raise ConfigError(problems)


def _entry(value: Any) -> Entry:
    children = {str(name): _entry(item) for name, item in value.items()} if isinstance(value, Mapping) else None
    return Entry(value, None, children)


def choices_of(config: Config) -> dict[str, str | None]:
    """The option of each group: as it was composed, unless the group has been replaced since; then its name."""
    derived = config.derivation
    choices: dict[str, str | None] = {}
    for group in GROUPS:
        name = getattr(getattr(config, group), "name", None)
        same = derived.values.get(f"{group}.name") == name
        choices[group] = derived.choices.get(group, name) if same else name
    # Bundles last, as their values win.
    return choices | {bundle: derived.choices.get(bundle) for bundle in BUNDLES}


def overrides_of(config: Config, choices: Mapping[str, str | None]) -> list[str]:
    """Overrides that compose these values: choices that are not the default, then values that differ from those of the chosen files."""
    usual, values, shipped = composed_values(choices), flatten(to_plain(config)), {**defaults(), **auto.usual(config)}
    words = [f"{group}={choice}" for group, choice in choices.items() if choice is not None and choice != shipped.get(group)]
    gone = {".".join(key.split(".")[:3]) for key in usual if key not in values and _below_mapping(config, key)}
    left = {".".join(key.split(".")[:3]) for key in values}
    words += [f"~{key}" for key in sorted(gone - left)]
    return words + [
        override(key, value) for key, value in values.items() if key not in usual or str(canonical(usual[key])) != str(canonical(value))
    ]


def _below_mapping(config: Config, key: str) -> bool:
    """Whether a key is inside a mapping with names of the user's own, such as `cleaner.steps.NAME.KEY`."""
    group, *parts = key.split(".")
    if group not in GROUPS or len(parts) < 2:
        return False
    cls: type = type(getattr(config, group))
    known = fields_of(cls).get(parts[0])
    return known is not None and known.is_dict
