"""Writes the configuration reference from the schemas and the YAML files, each time the documentation is built.

One page for each config group in `reference/config/` (not committed): its choices, and for each key its default, the values allowed and
its meaning. Choices that share a schema share a table; a key whose value differs between them has its values in the table of choices.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from finecomb.config import plugins
from finecomb.config.catalogue import catalogue
from finecomb.config.fields import Field, fields_of
from finecomb.config.locate import conf_dir
from finecomb.config.schema.augmenter import OPERATIONS
from finecomb.config.schema.train import BUNDLES, GROUPS, Config
from finecomb.config.sources import Entry, offered, options, read, schema_of, summary

FOLDER = Path("reference") / "config"
NOT_IDENTITY = "†"
# Entries of a mapping whose keys the user names: the group, the key, and the kinds an entry may be of.
KINDS: Mapping[str, tuple[str, str, Mapping[str, type]]] = {
    "cleaner": ("cleaner.steps.NAME", "Cleaning steps", plugins.cleaning_steps()),
    "augmenter": ("augmenter.operations.NAME", "Operations", OPERATIONS),
}
ABOUT = {
    "dataset": "What is read, and which column is what.",
    "cleaner": "An ordered recipe of cleaning steps.",
    "annotator": "Labels for rows that have none.",
    "augmenter": "Additional training rows made from those there are.",
    "sampler": "Balance of labels or groups among the training rows.",
    "task": "What is predicted, and the metrics.",
    "model": "The backbone and its tokenizer.",
    "tuning": "Which weights are trained, and which are added.",
    "loss": "The training loss.",
    "optimizer": "The optimizer and its learning rate.",
    "scheduler": "The learning rate over the steps.",
    "trainer": "Devices, precision, and the length of training.",
    "logger": "Where metrics are logged.",
    "callbacks": "Checkpoints, progress, and what else happens during training.",
}


@dataclass(frozen=True)
class Key:
    """A dotted key of a schema, with its field."""

    name: str
    field: Field


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages before Sphinx looks for its sources."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / FOLDER))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(folder: Path) -> None:
    """Write every page into `folder`, and leave files alone whose text is the same, so that Sphinx does not read them again."""
    texts = {f"{name}.md": text for name, text in pages().items()}
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in texts:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in texts.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The Markdown of each page by name."""
    groups = {group: group_page(group) for group in GROUPS}
    return {"index": index_page(), "train": train_page(), **groups, **{bundle: bundle_page(bundle) for bundle in BUNDLES}}


def index_page() -> str:
    """The table of groups, and how to read the pages."""
    usual = {group: next((name for name, _, default in choices if default), "") for group, choices in catalogue().items()}
    rows = [[f"[`{group}`]({group}.md)", code(usual[group]), ABOUT[group]] for group in GROUPS]
    rows += [[f"[`{bundle}`]({bundle}.md)", "", "Bundles of choices and values."] for bundle in BUNDLES]
    order = "\n".join(["train", *GROUPS, *BUNDLES])
    return f"""# Configuration

Generated from the schemas (`src/finecomb/config/schema/`) and the YAML files (`conf/`) of this version. A group takes one choice
(`tuning=lora`); a key takes a value (`tuning.r=8`). `finecomb explain OVERRIDES` shows the composed values with the file and line, or
override, that set each.

{table(["group", "default", ""], rows)}

Keys that belong to no group are on [the first page](train.md). {NOT_IDENTITY} marks keys that cannot change a result and are not part of
a run's fingerprint.

```{{toctree}}
:maxdepth: 1
:hidden:

{order}
```
"""


def train_page() -> str:
    """The keys outside groups, with the values of conf/train.yaml."""
    values = flat(plain(read(conf_dir() / "train.yaml").entries))
    keys = [key for key in keys_of(Config) if key.name.partition(".")[0] not in GROUPS]
    return f"# Run, batch, monitor\n\nKeys that belong to no config group.\n\n{key_table(keys, values)}\n"


def group_page(group: str) -> str:
    """A group: for each schema its choices and its keys."""
    by_schema: dict[type, list[str]] = {}
    for name, path in offered(group).items():
        if (cls := schema_of(group, path)) is not None:
            by_schema.setdefault(cls, []).append(name)
    parts = [f"# {group}", ABOUT[group]]
    parts += [section(group, cls, names) for cls, names in by_schema.items()]
    if group in KINDS:
        parts.append(kinds(*KINDS[group]))
    return "\n\n".join(parts) + "\n"


def section(group: str, cls: type, names: list[str]) -> str:
    """The choices of one schema: what they are, where their values differ from the usual ones, and the keys."""
    values = {name: composed(group, name) for name in names}
    keys = [key for key in keys_of(cls, f"{group}.") if key.name != f"{group}.name"]
    shared = usual_values(list(values.values()))
    differing = {key for each in values.values() for key, value in each.items() if shared.get(key, ...) != value} - {f"{group}.name"}
    usual = {name for name, _, default in catalogue()[group] if default}
    rows = []
    for name in names:
        own = [code(f"{key}={text(value)}") for key, value in values[name].items() if key in differing and shared.get(key, ...) != value]
        rows.append([code(f"{group}={name}") + (" (default)" if name in usual else ""), escaped(summary(group, name)), ", ".join(own)])
    # Recipes are shown in full below, and of a single choice every value is in the table of keys.
    columns = 3 if group not in KINDS and any(row[2] for row in rows) else 2
    title = ", ".join(f"`{name}`" for name in names) if len(names) <= 4 else f"Choices with the schema `{cls.__name__}`"
    recipes = "\n\n".join(recipe(group, name) for name in names) if group in KINDS else ""
    body = key_table(keys, shared, differing=differing) if keys else ""
    return "\n\n".join(
        part for part in (f"## {title}", table(["choice", "", "sets"][:columns], [row[:columns] for row in rows]), body, recipes) if part
    )


def usual_values(values: list[dict[str, Any]]) -> dict[str, Any]:
    """The value of each key that more than half of the choices have."""
    found = {}
    for key in dict.fromkeys(key for each in values for key in each):
        texts = Counter(text(each[key]) for each in values if key in each)
        most, count = texts.most_common(1)[0]
        if count * 2 > len(values):
            found[key] = next(each[key] for each in values if key in each and text(each[key]) == most)
    return found


def recipe(group: str, name: str) -> str:
    """The entries of a choice that is a mapping of named entries, as its YAML file has them."""
    lines = options(group)[name].read_text(encoding="utf-8").splitlines()
    source = "\n".join(line for line in lines if not line.startswith("# yaml-language-server"))
    return f"`conf/{group}/{name}.yaml`:\n\n```yaml\n{source}\n```"


def kinds(prefix: str, title: str, classes: Mapping[str, type]) -> str:
    """The kinds of entries of a mapping, each with its keys."""
    parts = [f"## {title}", f"Keys are `{prefix}.KEY`."]
    for kind, cls in classes.items():
        keys = list(keys_of(cls))
        about = (cls.__doc__ or "").strip().split("\n")[0]
        parts += [f"### `{kind}`", escaped("" if about.startswith(f"{cls.__name__}(") else about)]
        parts += [key_table(keys, {}, defaults=False)] if keys else []
    return "\n\n".join(part for part in parts if part)


def bundle_page(bundle: str) -> str:
    """The files of experiment/ or debug/."""
    parts = [f"# {bundle}", f"Chosen as `{bundle}=NAME`. A bundle sets choices and values; overrides on the command line win over it."]
    for name in options(bundle):
        parts += [f"## `{bundle}={name}`", escaped(summary(bundle, name)), recipe(bundle, name)]
    return "\n\n".join(parts) + "\n"


def composed(group: str, name: str) -> dict[str, Any]:
    """The values of one choice by dotted key, interpolations as written. The file's parents come first, as Hydra merges them."""
    return merged(group, options(group)[name])


def merged(group: str, path: Path) -> dict[str, Any]:
    """The values of a file of a group and of the files it builds on. Hydra's own composition gives the same and takes a minute for all."""
    values: dict[str, Any] = {}
    for item, _ in read(path).defaults:
        parent = path.parent / f"{str(item).partition('@')[0].removeprefix(f'/{group}/')}.yaml"
        if isinstance(item, str) and parent.is_file():
            values |= merged(group, parent)
    return values | flat(plain(read(path).entries), f"{group}.")


def plain(entries: Mapping[str, Entry]) -> dict[str, Any]:
    """The values of a parsed file as a mapping."""
    return {name: entry.value if entry.children is None else plain(entry.children) for name, entry in entries.items()}


def flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; empty mappings are values."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {f"{prefix}{name}": value}
    return found


def keys_of(cls: type, prefix: str = "") -> Iterator[Key]:
    """Every key under a schema, with the dots of nested ones."""
    for name, field in fields_of(cls).items():
        if field.nested is None:
            yield Key(f"{prefix}{name}", field)
        elif not (cls is Config and name in GROUPS):
            yield from keys_of(field.nested, f"{prefix}{name}.")


def key_table(keys: Iterable[Key], values: Mapping[str, Any], *, differing: Container[str] = (), defaults: bool = True) -> str:
    """A table of keys. differing: keys whose value some choices set otherwise."""
    rows = []
    for key in keys:
        mark = "" if key.field.identity else f" {NOT_IDENTITY}"
        below = any(name.startswith(f"{key.name}.") for name in values)
        default = code(text(values[key.name])) if key.name in values else "" if below else "by choice"
        default += ", or by choice" if key.name in values and key.name in differing else ""
        cells = [code(key.name) + mark, *([default] if defaults else []), escaped(key.field.allowed_text), escaped(key.field.help)]
        rows.append(cells)
    return table(["key", *(["default"] if defaults else []), "allowed", ""], rows)


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def text(value: Any) -> str:
    """A value as one would write it on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(text(item) for item in value)}]"
    return "''" if value == "" else f"{value:g}" if isinstance(value, float) else str(value) if not isinstance(value, dict) else "{}"


def code(value: str) -> str:
    """A literal inside a table cell."""
    return f"`{value}`".replace("|", "\\|") if value else ""


def escaped(value: str) -> str:
    """Text inside a table cell; only its `literals` are markup."""
    for character in ("\\", "|", "*", "_", "<", "[", "$"):
        value = value.replace(character, f"\\{character}")
    return value
