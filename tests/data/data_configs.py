"""Configs and rows that the tests of the data wing start from."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.assets.cache import cache_dir
from finecomb.config.schema import cleaner as cleaner_schema
from finecomb.config.schema import dataset as schema
from finecomb.config.sources import options, schema_of, values_of
from finecomb.data.cleaner.recipe import Cleaned, Recipe
from finecomb.data.dataset.rows import Rows, to_table
from finecomb.data.engine import Engine
from finecomb.data.prepare.reading_tasks import opened
from finecomb.data.shards import write_shards

_PARTS = {"columns": schema.Columns, "split": schema.Split, "limit": schema.Limit, "require": schema.Require, "files": schema.FileSplits,
          "fetch": schema.Fetch}  # fmt: skip


def make_dataset(name: str, **changes: Any) -> Any:
    """A shipped dataset's config with some values changed: `split={"seed": 1}` changes that one key."""
    path = options("dataset")[name]
    values = values_of(path)
    for key, value in changes.items():
        values[key] = values[key] | value if key in _PARTS else value
    kind = schema_of("dataset", path)
    assert kind is not None
    return kind(**{key: _PARTS[key](**value) if key in _PARTS else value for key, value in values.items()})


def make_cleaner(name: str = "basic", **steps: Any) -> cleaner_schema.Cleaner:
    values = values_of(options("cleaner")[name])
    return cleaner_schema.Cleaner(name, values["steps"] | steps, values["keep_given_test"])


def rows(count: int, labels: tuple[str, ...] = ("bad", "good"), start: int = 0) -> list[dict[str, Any]]:
    return [{"text": f"sentence number {n}", "label": labels[n % len(labels)]} for n in range(start, start + count)]


@dataclass
class Result:
    """What a recipe made of rows, opened."""

    splits: dict[str, Rows]
    cleaned: Cleaned

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cleaned, name)

    @property
    def gone(self) -> list[dict[str, Any]]:
        return [row | {"split": split} for split, parts in self.cleaned.dropped for part in parts() for row in part.to_pylist()]

    @property
    def values(self) -> dict[str, list[float]]:
        """The values of each score, over all splits."""
        found: dict[str, list[float]] = {}
        for entry in self.cleaned.scores:
            for _, values in entry.parts():
                found.setdefault(entry.score, []).extend(values)
        return found


def clean(recipe: Recipe, splits: Mapping[str, Rows], engine: Engine | None = None) -> Result:
    """Take rows through a recipe, as `prepare` does."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=cache_dir()))
    shards = {split: list(write_shards(folder, split, [to_table(rows)])) for split, rows in splits.items()}
    cleaned = recipe.run(shards, engine)
    return Result(opened(cleaned.splits, folder / "opened"), cleaned)
