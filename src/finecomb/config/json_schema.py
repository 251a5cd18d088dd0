"""JSON schemas of the YAML files, made from the dataclasses, so that editors complete and check keys.

`python -m finecomb.config.json_schema` writes them to schemas/ beside conf/. Each YAML file names its own in a line at its top
(`# yaml-language-server: $schema=...`, below `# @package`, which Hydra wants first); a file of a user's own may do the same.
A test holds the written files to the dataclasses.
"""

from __future__ import annotations

import json
import sys
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from finecomb.config import plugins
from finecomb.config.fields import Field, fields_of
from finecomb.config.locate import conf_dir
from finecomb.config.schema.augmenter import OPERATIONS
from finecomb.config.schema.cleaner import STEPS
from finecomb.config.schema.train import BUNDLES, GROUPS, Train

Schema = dict[str, Any]
# Mappings with names of the user's own, whose values are of one of several kinds: which key names the kind, and the kinds.
_NAMED: dict[tuple[str, str], tuple[str, Mapping[str, type]]] = {
    ("Cleaner", "steps"): ("step", STEPS),
    ("Operations", "operations"): ("operation", OPERATIONS),
}
_INTERPOLATION: Schema = {"type": "string", "pattern": r"^(\?\?\?|.*\$\{.*)$"}
_DEFAULTS: Schema = {
    "type": "array",
    "description": "what the file builds on, and the choices it makes",
    "items": {"type": ["string", "object"]},
}


def schemas() -> dict[str, Schema]:
    """Each schema by its file name: `tuning.lora.json` for a choice, `train.json`, and `bundle.json` for experiment/ and debug/."""
    found = {
        f"{group}.{key}.json": _file(_object(cls), f"{group}={key}", cls.__doc__ or "")
        for group in GROUPS
        for key, cls in plugins.schemas(group).items()
    }
    bundle = _object(Train)
    # Which choice a bundle's keys meet is not known to an editor: any of the group's will do.
    for group in GROUPS:
        bundle["properties"][group] = {"anyOf": [_object(cls) for cls in _distinct(plugins.schemas(group).values())]}
    found["bundle.json"] = _file(bundle, "experiment or debug", "A bundle of choices and values.")
    train = _object(Train)
    train["properties"] = {name: value for name, value in train["properties"].items() if name not in GROUPS} | {"hydra": {"type": "object"}}
    found["train.json"] = _file(train, "train", "The composed experiment.")
    return found


def _distinct(classes: Iterable[type]) -> list[type]:
    return list(dict.fromkeys(classes))


def _file(schema: Schema, title: str, text: str) -> Schema:
    properties = {"defaults": _DEFAULTS, **schema["properties"]}
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": title, "description": text.strip().split("\n")[0]}
    return {**head, **schema, "properties": properties}


def _object(cls: type) -> Schema:
    properties = {name: _property(cls, field) for name, field in fields_of(cls).items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(cls: type, field: Field) -> Schema:
    if field.nested is not None:
        return {**_object(field.nested), "description": field.help}
    if found := _NAMED.get((cls.__name__, field.name)):
        key, kinds = found
        named = {kind: _one_of(key, kinds, _object(cls)["properties"]) for kind, cls in kinds.items()}
        other = _one_of(key, kinds, _of_any(kinds))
        return {"type": "object", "description": field.help, "properties": named, "additionalProperties": other}
    if field.allowed is not None:
        values = [*field.allowed, *([None] if field.optional else [])]
        return {"description": field.help, "enum": list(dict.fromkeys(values))}
    alternatives = [_type(field)]
    if field.number_or is not None:
        alternatives = [_bounded({"type": "number"}, field), {"enum": list(field.number_or)}]
    if field.type is Any and field.number_or is None:
        return {"description": field.help}
    if field.optional:
        alternatives.append({"type": "null"})
    if field.type is not str:
        alternatives.append(_INTERPOLATION)
    return {"description": field.help, **(alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives})}


def _of_any(kinds: Mapping[str, type]) -> Schema:
    """Values of an entry under a name of its own: of keys that several kinds have, any of their values."""
    keys: dict[str, list[Schema]] = {}
    for cls in kinds.values():
        for key, schema in _object(cls)["properties"].items():
            keys.setdefault(key, []).append(schema)
    return {key: found[0] if len(found) == 1 else {"anyOf": found} for key, found in keys.items()}


def _one_of(key: str, kinds: Mapping[str, type], values: Schema) -> Schema:
    kind = {"enum": list(kinds), "description": f"the kind of {key}, where its key is another name"}
    return {"type": ["object", "null"], "additionalProperties": False, "properties": {key: kind, **values}}


def _type(field: Field) -> Schema:
    return _bounded(_plain_type(field.type), field)


def _plain_type(wanted: Any) -> Schema:
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    if wanted in names:
        return {"type": names[wanted]}
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is list:
        return {"type": "array", "items": _plain_type(arguments[0])}
    if typing.get_origin(wanted) is dict:
        return {"type": "object", "additionalProperties": _plain_type(arguments[1])}
    return {}


def _bounded(schema: Schema, field: Field) -> Schema:
    bounds: Mapping[str, float | None] = {"minimum": field.low, "maximum": field.high}
    return {**schema, **{name: value for name, value in bounds.items() if value is not None}}


def schema_name(path: Path) -> str:
    """The schema of a YAML file of conf/."""
    from finecomb.config.sources import read

    group = path.parent.name
    if path.parent == conf_dir():
        return "train.json"
    if group in BUNDLES:
        return "bundle.json"
    named = (item for item, _ in read(path).defaults if isinstance(item, str) and item.startswith(f"/schema/{group}/"))
    return f"{group}.{next(named).removeprefix(f'/schema/{group}/').partition('@')[0]}.json"


def modeline(path: Path) -> str:
    """The line at the top of a YAML file of conf/ that tells editors its schema."""
    up = "../" if path.parent == conf_dir() else "../../"
    return f"# yaml-language-server: $schema={up}schemas/{schema_name(path)}"


def write(folder: Path) -> list[Path]:
    """Write every schema; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else conf_dir().parent / "schemas"
    print(f"{len(write(target))} schemas in {target}")
