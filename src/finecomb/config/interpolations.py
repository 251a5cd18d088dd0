"""Interpolations that only Hydra resolves: `${hydra:runtime.choices.GROUP}` is replaced by the choice, the others are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from finecomb.config.sources import Origin, known_groups
from finecomb.core.errors import Problem

_CHOICE = re.compile(r"\$\{hydra:runtime\.choices\.(\w+)\}")
_OTHER = re.compile(r"\$\{(now|hydra|python_version):[^}]*\}?")
_HINTS = {
    "now": "leave the time out, because it would make each start another run; the record of a run has its time",
    "hydra": "write ${KEY} for another value of the config; output_dir=DIR sets the folder of the run directories",
    "python_version": "leave it out; the record of a run has the versions of Python and of the libraries",
}


def problem_of(key: str, value: Any, origin: Origin) -> Problem | None:
    """The problem of a value with an interpolation that finecomb does not resolve, else None."""
    text = str(value)
    for group in _CHOICE.findall(text):
        if group not in known_groups():
            return Problem(f"{key}: ${{hydra:runtime.choices.{group}}} names no group", str(origin), ", ".join(known_groups()))
    found = _OTHER.search(_CHOICE.sub("", text))
    if found is None:
        return None
    allowed = "${KEY}, ${oc.env:VARIABLE}, ${hydra:runtime.choices.GROUP}"
    return Problem(f"{key}={value}: {found[0]} is not resolved", str(origin), allowed, _HINTS[found[1]])


def has_choice(value: Any) -> bool:
    """Whether `with_choices` changes a value."""
    return _CHOICE.search(str(value)) is not None


def with_choices(value: Any, choices: Mapping[str, str | None]) -> Any:
    """Replace `${hydra:runtime.choices.GROUP}` in a text, or in the texts of a list or mapping."""
    if isinstance(value, str):
        return _CHOICE.sub(lambda found: choices.get(found[1]) or "null", value)
    if isinstance(value, list):
        return [with_choices(each, choices) for each in value]
    return {name: with_choices(each, choices) for name, each in value.items()} if isinstance(value, dict) else value
