"""What a run is: the fingerprint of its resolved config and inputs; and the name that decorates its directory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finecomb.config import auto, renamed
from finecomb.config.catalogue import defaults
from finecomb.config.fields import fields_of
from finecomb.config.locate import conf_dir
from finecomb.config.plain import flatten, to_plain
from finecomb.config.resolve import usual_values
from finecomb.config.schema.base import UNSET
from finecomb.config.schema.train import BUNDLES, GROUPS, Config
from finecomb.config.sources import options, values_of

_MAX_NAME = 96


def fingerprint(config: Config, inputs: Mapping[str, str]) -> str:
    """12 hex digits of the SHA-256 of what decides the result.

    config: resolved (no auto left). inputs: content hashes of data, model and plug-in code, and the versions of the modules that compute.
    Left out: fields declared identity=False, and fields that have the value which runs had before the field existed. A renamed key has its
    old name (`renamed.RENAMED`).
    """
    document = {"config": renamed.as_before(_identity(config), resolved=True), "inputs": dict(inputs)}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def settings(config: Config) -> dict[str, Any]:
    """Dotted keys and values of what can change a result, under the names that the fingerprint has. config: as composed."""
    return flatten(renamed.as_before(_identity(config), resolved=False))


def _identity(config: Any) -> dict[str, Any]:
    kept = {}
    cls: type = type(config)
    for name, field in fields_of(cls).items():
        value = getattr(config, name)
        if not field.identity:
            if field.identity_as is not UNSET:
                kept[name] = canonical(field.identity_as)
            continue
        if canonical(value) == canonical(field.before):
            continue
        if dataclasses.is_dataclass(value):
            # A group of which nothing is left, as the logger, says nothing either.
            if inner := _identity(value):
                kept[name] = inner
        else:
            kept[name] = canonical(value)
    return kept


def canonical(value: Any) -> Any:
    """One spelling for each value: 1 for 1.0, and mappings as ordered pairs, since the order of a cleaner's steps matters."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return [[str(key), canonical(item)] for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def difference_name(config: Config, choices: Mapping[str, str | None]) -> str:
    """A short name of what was asked for: `movie_reviews-lora-r4-seed1`.

    The dataset and the tuning method are always told; other choices and values only where they differ from train.yaml, from the chosen
    files and from what auto stands for. config: resolved, or as composed.
    """
    shipped = {**defaults(), **auto.usual(config)}
    parts = [str(config.name)] if config.name else []
    parts += [str(choices[bundle]) for bundle in BUNDLES if choices.get(bundle)]
    always = ("dataset", "tuning")
    differing = [group for group in GROUPS if choices.get(group) != shipped.get(group) and group not in (*always, "logger", "callbacks")]
    # trainer=auto is one of these, depending on the machine.
    differing = [group for group in differing if (group, choices.get(group)) not in (("trainer", "cpu"), ("trainer", "gpu"))]
    parts += [str(choices.get(group)) for group in ("dataset", *differing, "tuning")]
    usual = {**composed_values(choices), **usual_values(config)}
    plain = flatten(to_plain(config))
    changed = {key: value for key, value in plain.items() if key in _identity_keys(config) and _differs(value, usual.get(key))}
    parts += [_part(key, value) for key, value in changed.items() if key != "seed"]
    parts += [_part(key, value) for key, value in changed.items() if key == "seed"]
    return re.sub(r"[^\w.+-]+", "_", "-".join(parts))[:_MAX_NAME].strip("-_.") or "run"


def _differs(value: Any, usual: Any) -> bool:
    return "auto" not in (value, usual) and str(canonical(value)) != str(canonical(usual))


def _part(key: str, value: Any) -> str:
    name = key.rpartition(".")[2]
    if isinstance(value, str) and "/" in value:
        return Path(value).stem
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    text = "_".join(map(str, value)) if isinstance(value, list) else str(canonical(value))
    return f"{name}{'_' if text[:1].isalpha() else ''}{text}"


def _identity_keys(config: Any, prefix: str = "") -> set[str]:
    keys: set[str] = set()
    cls: type = type(config)
    for name, field in fields_of(cls).items():
        value = getattr(config, name)
        # A place is no identity, but a good name.
        if name == "name" or (not field.identity and field.identity_as is UNSET):
            continue
        if dataclasses.is_dataclass(value):
            keys |= _identity_keys(value, f"{prefix}{name}.")
        elif isinstance(value, Mapping):
            keys |= set(flatten(value, f"{prefix}{name}."))
        else:
            keys.add(f"{prefix}{name}")
    return keys


def composed_values(choices: Mapping[str, str | None]) -> dict[str, Any]:
    """The values that train.yaml, the chosen files and the bundles give, before anything from the command line."""
    values = flatten(values_of(conf_dir() / "train.yaml"))
    for group, choice in choices.items():
        if choice is not None and choice in options(group):
            values.update(flatten(values_of(options(group)[choice]), "" if group in BUNDLES else f"{group}."))
    return values
