"""The steps of a recipe that compare train with held-out splits which were split from it: they run once these splits exist."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.cleaner import Cleaned, Recipe
from finecomb.data.dataset.labels import as_names
from finecomb.data.dataset.rows import Rows, to_table
from finecomb.data.engine import Engine
from finecomb.data.shards import write_shards
from finecomb.data.texts import pieces


def run(
    recipe: Recipe, splits: dict[str, Rows], held_out: Collection[str], names: Sequence[str] | None, engine: Engine, folder: Path
) -> tuple[dict[str, Rows], Cleaned]:
    """The rows that stay, in their order, and the account of the steps.

    Args:
        recipe: steps that drop rows and change no text.
        splits: rows with encoded labels.
        held_out: the splits that were split from train.
        names: the classes, by which dropped rows are listed.
        engine: what the steps run on.
        folder: for the texts meanwhile; needed until the account has been read.

    Raises:
        ConfigError: no row is left in a split.
    """
    if not recipe.steps:
        return splits, Cleaned({})
    cleaned = recipe.run(
        {split: list(write_shards(folder / "after-split", split, _tables(rows, names))) for split, rows in splits.items()},
        engine,
        held_out=held_out,
    )
    kept = {}
    for split, rows in splits.items():
        stay = {name for shard in cleaned.splits[split] for name in shard.table().column("id").to_pylist()}
        kept[split] = rows if len(stay) == len(rows) else rows.take([row for row, name in enumerate(rows.id) if name in stay])
        if not stay:
            reasons = [f"{entry['step']}: {why} {count:,}" for entry in cleaned.funnel if entry["split"] == split
                       for why, count in entry["reasons"].items()]  # fmt: skip
            raise ConfigError(
                Problem(f"no row is left in {split}", rows.file, "; ".join(reasons), "check the file, or the cleaner's steps")
            )
    return kept, cleaned


def _tables(rows: Rows, names: Sequence[str] | None) -> Any:
    named = dataclasses.replace(rows, label=as_names(rows.label, names))
    return (to_table(named.take(at)) for at in pieces(rows.text))
