"""Cleaners: recipes of named steps. The steps are in `steps/`; CONTRIBUTING.md shows how to add one.

Why the words and hashes are finecomb's own and not datatrove's: its rules tokenize each text by spaCy, several of them again. Measured
on two CPU cores, datatrove 0.10.1 did per core and second 0.57 MB of GopherQuality, 0.52 of GopherRepetition, 3.2 of FineWeb, 2.2 of C4
and 0.70 of MinHash signatures. benchmarks/filters.py and benchmarks/near_duplicates.py print the rates of the steps here on a folder of
texts; tests/data/test_datatrove_decisions.py holds their decisions against datatrove's.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

from finecomb.config import plugins
from finecomb.config.computing import raised
from finecomb.config.fields import fields_of
from finecomb.config.plugins import find_build
from finecomb.config.schema import cleaner as schema
from finecomb.config.schema.base import UNSET
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.cleaner.recipe import Cleaned, Recipe
from finecomb.data.cleaner.step import Step
from finecomb.data.cleaner.steps import find


def build(config: schema.Cleaner) -> Recipe:
    """The recipe of a cleaner's config. Raises ConfigError for a step or a value that does not exist."""
    if build_own := find_build("cleaner", config.name):
        recipe: Recipe = build_own(config)
        code = plugins.code("cleaner", config.name)
        return replace(recipe, identity=tuple([*each, *code] for each in recipe.identity))
    steps, identity = [], []
    for name, values in config.steps.items():
        if values is None:
            continue
        given = dict(values)
        kind = given.pop("step", name)
        settings, make = _settings(name, kind, given)
        own = plugins.own_steps().get(kind)
        steps.append((name, partial(make, settings)))
        inputs = getattr(make, "inputs", None)
        also = ([] if inputs is None else [inputs(settings)]) + ([] if own is None else [own.sha256])
        also += [f"{library} {version(library)}" for library in getattr(make, "LIBRARIES", ())] + raised("cleaner")
        identity.append([name, kind, dataclasses.asdict(settings), getattr(make, "VERSION", 1), *also])
    if config.keep_given_test:
        identity.append(["a given test set stays whole"])
    return Recipe(tuple(steps), tuple(identity), config, config.keep_given_test, rebuilt)


@lru_cache(maxsize=4)
def rebuilt(config: str) -> list[tuple[str, Step]]:
    """The steps of a recipe in another process. config: that of the cleaner, as JSON."""
    return build(schema.Cleaner(**json.loads(config))).built()


def _settings(name: str, kind: str, values: dict[str, Any]) -> tuple[Any, Callable[[Any], Step]]:
    """The options of a step, checked, and its class."""
    where = f"cleaner.steps.{name}"
    kinds = plugins.cleaning_steps()
    if kind not in kinds:
        raise ConfigError(Problem(f"unknown cleaning step {kind!r}", where, allowed=", ".join(kinds), hint=_meant(kind, kinds)))
    options, make = find(kind)
    fields = fields_of(options)
    for key in values:
        if key not in fields:
            raise ConfigError(Problem(f"unknown key {key!r}", where, allowed=", ".join(fields), hint=_meant(key, fields)))
    # A field that came later has the value that recipes had without it.
    given = {key: field.before for key, field in fields.items() if field.before is not UNSET} | values
    if missing := [key for key in fields if key not in given]:
        raise ConfigError(Problem(f"missing value: {', '.join(missing)}", where, allowed=", ".join(fields)))
    return options(**given), make


def _meant(name: str, names: Any) -> str:
    near = nearest(name, names)
    return f"did you mean {near}?" if near else ""


__all__ = ["Cleaned", "Recipe", "Step", "build"]
