"""JSON schemas of the YAML files, made from the dataclasses, so that editors complete and check keys.

`python -m finecomb.config.json_schema` writes them to schemas/ beside conf/: one file for each config group, and train.json for
train.yaml, experiment/ and debug/. Within a group, `name`, or else the schema or base file in the defaults list, decides which keys a file
may have. Each YAML file names its schema in a line at its top (`# yaml-language-server: $schema=...`, below `# @package`, which Hydra wants
first); a file outside the repository may do the same. A test checks that the committed files are current.
"""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from finecomb.config import plugins, sources
from finecomb.config.fields import Field, fields_of
from finecomb.config.locate import conf_dir
from finecomb.config.schema.augmenter import OPERATIONS
from finecomb.config.schema.train import BUNDLES, GROUPS, Config

Schema = dict[str, Any]
_DRAFT = "http://json-schema.org/draft-07/schema#"
_INTERPOLATION: Schema = {"type": "string", "pattern": r"^(\?\?\?|.*\$\{.*)$"}
_DEFAULTS: Schema = {
    "type": "array",
    "description": "what the file builds on, and the choices it makes",
    "items": {"type": ["string", "object"]},
}
# Definitions of a group's schema: the keys of any choice, and whether `name` is one of the choices.
_ANY, _KNOWN = "any", "is_known"
_WIDTH = 160


def schemas() -> dict[str, Schema]:
    """Each schema by its file name: `tuning.json` for the choices of a group, and `train.json`."""
    return {**{f"{group}.json": _group(group) for group in GROUPS}, "train.json": _train()}


class _Definitions:
    """The shared definitions of one schema file: each dataclass once, whatever refers to it."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {"interpolation": _INTERPOLATION}

    def refer(self, cls: type) -> Schema:
        """A reference to the definition of a dataclass."""
        name = cls.__name__.removesuffix("Options")
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = {"description": _summary(cls), **self._object(cls)}
        return _ref(name)

    def _object(self, cls: type) -> Schema:
        properties = {name: self.property(cls, field) for name, field in fields_of(cls).items()}
        return {"type": "object", "additionalProperties": False, "properties": properties}

    def property(self, cls: type, field: Field) -> Schema:
        """The schema of one field's value."""
        if field.nested is not None:
            return self.refer(field.nested)
        if found := _kinds_of(cls, field):
            return self._named(field, *found)
        if field.allowed is not None:
            values = [*field.allowed, *([None] if field.optional else [])]
            return {"description": field.help, "enum": list(dict.fromkeys(values))}
        if field.type is Any and field.number_or is None:
            return {"description": field.help}
        alternatives = [_bounded(_plain_type(float if field.number_or is not None else field.type), field)]
        if field.number_or is not None:
            alternatives.append({"enum": list(field.number_or)})
        if field.optional:
            alternatives.append({"type": "null"})
        if field.type is not str:
            alternatives.append(_ref("interpolation"))
        return {"description": field.help, **(alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives})}

    def _named(self, field: Field, key: str, kinds: Mapping[str, type]) -> Schema:
        """A mapping of named entries: the kind of an entry is what its key `key` holds, or its name, or was set in another file."""
        for kind, cls in kinds.items():
            entry = self._object(cls)
            entry["properties"][key] = {}
            self.found[kind] = {"description": _summary(cls), **entry, "type": ["object", "null"]}
        given = {"type": "object", "required": [key]}
        known = [{"if": _is(key, [kind]), "then": _ref(kind)} for kind in kinds]
        self.found[key] = {
            "description": f"an entry whose {key} is given by a key of its own, as its name is not a kind of {key}",
            "if": given,
            "then": {"properties": {key: {"enum": list(kinds)}}, "allOf": known},
            "else": {"anyOf": [_ref(kind) for kind in kinds]},
        }
        named = {kind: {"if": given, "then": _ref(key), "else": _ref(kind)} for kind in kinds}
        return {"type": "object", "description": field.help, "properties": named, "additionalProperties": _ref(key)}


def _group(group: str) -> Schema:
    """The schema of a group's files. The keys that a file may have are those of its choice; without a known one, those of any choice."""
    definitions = _Definitions()
    classes = {cls.__name__: cls for cls in plugins.schemas(group).values()}
    for name, cls in classes.items():
        definitions.refer(cls)
        definitions.found[name]["properties"]["defaults"] = _ref("defaults")
    definitions.found |= {f"is_{name}": _belongs(group, cls) for name, cls in classes.items()}
    definitions.found |= {
        "defaults": _DEFAULTS,
        _ANY: {"anyOf": [_ref(name) for name in classes]},
        _KNOWN: _is("name", sources.options(group)),
    }
    rules: list[Schema] = [{"if": _ref(f"is_{name}"), "then": _ref(name)} for name in classes]
    rules.append({"if": {"not": {"anyOf": [_ref(f"is_{name}") for name in classes]}}, "then": _ref(_ANY)})
    return {"$schema": _DRAFT, "title": group, "type": "object", "allOf": rules, "$defs": definitions.found}


def _belongs(group: str, cls: type) -> Schema:
    """Whether a file is a choice with this schema: by its name; where that is new, by what its defaults list builds on."""
    files = [name for name, path in sources.files(group).items() if sources.schema_of(group, path) is cls]
    keys = [key for key, other in plugins.schemas(group).items() if other is cls]
    listed = [*(f"/schema/{group}/{key}@_here_" for key in keys), *files, *(f"/{group}/{name}@_here_" for name in files)]
    by_defaults = {"required": ["defaults"], "properties": {"defaults": {"contains": {"enum": listed}}}}
    by_name = _is("name", [name for name in files if not sources.is_base(name)])
    return {"anyOf": [by_name, {"not": _ref(_KNOWN), **by_defaults}]}


def _train() -> Schema:
    definitions = _Definitions()
    properties = {
        name: {"$ref": f"{name}.json#/$defs/{_ANY}"} if name in GROUPS else definitions.property(Config, field)
        for name, field in fields_of(Config).items()
    }
    properties |= {"defaults": _DEFAULTS, "hydra": {"type": "object"}}
    head = {"$schema": _DRAFT, "title": "train", "description": "train.yaml, an experiment, or a debug preset."}
    return {**head, "type": "object", "additionalProperties": False, "properties": properties, "$defs": definitions.found}


def _kinds_of(cls: type, field: Field) -> tuple[str, Mapping[str, type]] | None:
    """For a mapping of named entries of several kinds: which key names the kind, and the kinds."""
    return {
        ("Cleaner", "steps"): ("step", plugins.cleaning_steps()),
        ("Operations", "operations"): ("operation", OPERATIONS),
    }.get((cls.__name__, field.name))


def _summary(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n")[0]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _is(key: str, values: Iterable[str]) -> Schema:
    return {"required": [key], "properties": {key: {"enum": list(values)}}}


def _plain_type(annotation: Any) -> Schema:
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    if annotation in names:
        return {"type": names[annotation]}
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is list:
        return {"type": "array", "items": _plain_type(arguments[0])}
    if typing.get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": _plain_type(arguments[1])}
    return {}


def _bounded(schema: Schema, field: Field) -> Schema:
    bounds: Mapping[str, float | None] = {"minimum": field.low, "maximum": field.high}
    return {**schema, **{name: value for name, value in bounds.items() if value is not None}}


def schema_name(path: Path) -> str:
    """The schema of a YAML file of conf/."""
    group = path.parent.name
    return "train.json" if path.parent == conf_dir() or group in BUNDLES else f"{group}.json"


def modeline(path: Path) -> str:
    """The line at the top of a YAML file of conf/ that names its schema to editors."""
    up = "../" if path.parent == conf_dir() else "../../"
    return f"# yaml-language-server: $schema={up}schemas/{schema_name(path)}"


def text(value: Any, indent: int = 0, used: int = 0) -> str:
    """JSON in which what fits on a line stays on it. used: characters of the first line before the value."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + used <= _WIDTH or not isinstance(value, dict | list) or not value:
        return line
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        names = {name: f"{pad}{json.dumps(name, ensure_ascii=False)}: " for name in value}
        lines = [f"{names[name]}{text(item, indent + 1, len(names[name]))}" for name, item in value.items()]
    else:
        lines = [f"{pad}{text(item, indent + 1, len(pad))}" for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n" + ",\n".join(lines) + f"\n{' ' * indent}{closing}"


def write(folder: Path) -> list[Path]:
    """Write every schema; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(text(schema) + "\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else conf_dir().parent / "schemas"
    print(f"{len(write(target))} schemas in {target}")
