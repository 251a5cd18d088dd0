"""Configs and rows that the tests of the data wing start from."""

from typing import Any

import yaml

from finecomb.config.locate import conf_dir
from finecomb.config.schema import cleaner as cleaner_schema
from finecomb.config.schema import dataset as schema

_PARTS = {"columns": schema.Columns, "split": schema.Split, "limit": schema.Limit, "require": schema.Require, "files": schema.FileSplits}


def make_dataset(name: str, **changes: Any) -> Any:
    """A shipped dataset's config with some values changed: `split={"seed": 1}` changes that one key."""
    values = yaml.safe_load((conf_dir() / "dataset" / f"{name}.yaml").read_text())
    kind = values.pop("defaults")[0].split("@")[0].rsplit("/", 1)[1]
    for key, value in changes.items():
        values[key] = values[key] | value if key in _PARTS else value
    return schema.CHOICES[kind](**{key: _PARTS[key](**value) if key in _PARTS else value for key, value in values.items()})


def make_cleaner(name: str = "basic", **steps: Any) -> cleaner_schema.Cleaner:
    values = yaml.safe_load((conf_dir() / "cleaner" / f"{name}.yaml").read_text())["steps"]
    return cleaner_schema.Cleaner(name, values | steps)


def rows(count: int, labels: tuple[str, ...] = ("bad", "good"), start: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"sentence number {n}", "label": labels[n % len(labels)]} for n in range(start, start + count)]
