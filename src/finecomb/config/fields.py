"""Reads the schema dataclasses: which keys there are, of which type, within which bounds; and checks a value against one of them."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import UNSET

MISSING = "???"


@dataclass(frozen=True)
class Field:
    """One field of a schema.

    type: the annotation without Optional. nested: the dataclass, when the value is a group of fields of its own.
    """

    name: str
    type: Any
    optional: bool
    nested: Optional[type]
    help: str
    allowed: Optional[tuple[Any, ...]]
    low: Optional[float]
    high: Optional[float]
    number_or: Optional[tuple[str, ...]]
    identity: bool
    before: Any
    identity_as: Any
    entry: Optional[type]

    @property
    def is_dict(self) -> bool:
        """Whether the value is a mapping with keys of the user's own."""
        return typing.get_origin(self.type) is dict

    @property
    def allowed_text(self) -> str:
        """What a user may write, in words."""
        null = ["null"] if self.optional and self.nested is None else []
        if self.allowed is not None:
            return ", ".join([*(str(value) for value in dict.fromkeys(map(str, self.allowed))), *null])
        if self.number_or is not None:
            return " or ".join([f"a number{self._bounds()}", *self.number_or, *null])
        return " or ".join([f"{_type_text(self.type)}{self._bounds()}", *null])

    def _bounds(self) -> str:
        if self.low is not None and self.high is not None:
            return f" from {self.low:g} to {self.high:g}"
        if self.low is not None:
            return f" of at least {self.low:g}"
        return f" of at most {self.high:g}" if self.high is not None else ""


@functools.cache
def fields_of(cls: type) -> Mapping[str, Field]:
    """The fields of a schema class by name, in the order of the class, without those that are no part of the config's values."""
    hints = typing.get_type_hints(cls)
    return {field.name: _field(field, hints[field.name]) for field in dataclasses.fields(cls) if "omegaconf_ignore" not in field.metadata}


def _field(field: dataclasses.Field, hint: Any) -> Field:
    metadata = field.metadata
    optional = hint is Any
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(hint) if arm is not type(None)]
        hint, optional = arms[0], True
    if metadata.get("allowed") is not None or metadata.get("number_or") is not None:
        optional = optional and hint is not Any
    return Field(
        name=field.name,
        type=hint,
        optional=optional,
        nested=hint if dataclasses.is_dataclass(hint) else None,
        help=metadata.get("help", ""),
        allowed=metadata.get("allowed"),
        low=metadata.get("low"),
        high=metadata.get("high"),
        number_or=metadata.get("number_or"),
        identity=metadata.get("identity", True),
        before=metadata.get("before", UNSET),
        identity_as=metadata.get("identity_as", UNSET),
        entry=metadata.get("entry"),
    )


def complaint(field: Field, value: Any) -> str | None:
    """What is wrong with `value` for `field`, or None when it fits. An interpolation is looked at once it is resolved."""
    if isinstance(value, str) and (value == MISSING or "${" in value):
        return None
    if value is None:
        return None if field.optional else "must not be null"
    if field.allowed is not None:
        # Compared as text: a YAML file or a shell may give a number for a text of digits. A switch is not a number.
        fits = not isinstance(value, bool) and str(value) in map(str, field.allowed)
        return None if fits else "is not one of the allowed values"
    if field.number_or is not None and isinstance(value, str):
        return None if value in field.number_or else "is neither a number nor one of the allowed words"
    wanted = float if field.number_or is not None else field.type
    if not _fits(value, wanted):
        return f"is not {_type_text(wanted)}"
    return _out_of_bounds(field, value)


def _fits(value: Any, wanted: Any) -> bool:
    if wanted is Any:
        return True
    if wanted is bool:
        return isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is str:
        return isinstance(value, str | int | float | bool)
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if typing.get_origin(wanted) is dict:
        return isinstance(value, Mapping) and all(_fits(item, arguments[1]) for item in value.values())
    return True


def _out_of_bounds(field: Field, value: Any) -> str | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value != value:
            return "is not a number"
        if field.low is not None and value < field.low:
            return f"is below {field.low:g}"
        if field.high is not None and value > field.high:
            return f"is above {field.high:g}"
    return None


def _type_text(wanted: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Any: "any value"}
    if wanted in names:
        return names[wanted]
    if typing.get_origin(wanted) is list:
        return "a list" if typing.get_args(wanted)[0] is Any else f"a list, each item {_type_text(typing.get_args(wanted)[0])}"
    return "a mapping"


def leaf_keys(cls: type, classes: Mapping[str, type], prefix: str = "") -> Iterable[str]:
    """Every dotted key under `cls` that has a value; `classes` names the chosen class of each group."""
    for name, field in fields_of(cls).items():
        if field.entry is not None:
            continue
        key = f"{prefix}{name}"
        nested = classes.get(key, field.nested) if not prefix else field.nested
        if nested is None:
            yield key
        else:
            yield from leaf_keys(nested, classes, f"{key}.")
