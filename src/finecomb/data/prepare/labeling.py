"""Labels for training rows that have none: what the annotator says, what becomes of rows it leaves open, and the table of all it said."""

from __future__ import annotations

import dataclasses
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.annotator import Annotate, Annotated
from finecomb.data.dataset.rows import Rows


def labeled(
    splits: dict[str, Rows], annotate: Annotate | None, kind: str
) -> tuple[dict[str, Rows], list[dict[str, Any]], Annotated | None]:
    """Labels for the training rows when they have none. Rows that got none are dropped and counted; other splits keep their own labels."""
    train = splits["train"]
    if annotate is None:
        if None in train.label and kind != "none":
            hint = "name the column of the labels, or let rules give them: annotator=labeling_functions"
            raise ConfigError(Problem("no column is named as the label", "dataset.columns.label=null", hint=hint))
        return splits, [], None
    if kind != "class":
        raise ConfigError(Problem("an annotator gives one class to each text", "annotator", "task=sequence_classification"))
    found = annotate(train.text, pairs=train.text_pair, given=train.label)
    kept = [row for row, label in enumerate(found.labels) if label is not None]
    silent = sum(not origin for origin in found.origin)
    reasons = {found.silent: silent, "not certain": len(train) - len(kept) - silent}
    entry: dict[str, Any] = {"step": "annotator", "split": "train", "rows_in": len(train), "rows_out": len(kept), "changed": 0}
    entry["reasons"] = {reason: count for reason, count in reasons.items() if count}
    rows = dataclasses.replace(train, label=found.labels, soft=None if found.soft is None else found.soft.tolist()).take(kept)
    return {**splits, "train": rows}, [entry], found


def soft_by_class(splits: dict[str, Rows], found: Annotated | None, names: list[str] | None) -> dict[str, Rows]:
    """Probabilities in the order in which labels were encoded. A class that no row has in the end gives its share to the others."""
    if found is None or found.soft is None or names is None:
        return splits
    place = [found.classes.index(name) if name in found.classes else None for name in names]
    soft = []
    for row in splits["train"].soft or []:
        chosen = [0.0 if at is None else row[at] for at in place]
        soft.append([share / sum(chosen) for share in chosen])
    return {**splits, "train": dataclasses.replace(splits["train"], soft=soft)}


def soft_in_train_alone(splits: dict[str, Rows]) -> dict[str, Rows]:
    """Validation and test rows that were carved are judged by their label."""
    return {name: rows if name == "train" else dataclasses.replace(rows, soft=None) for name, rows in splits.items()}


def annotation_table(rows: Rows, found: Annotated) -> Any:
    """The label that every row got, how certain it is, and which functions voted."""
    import pyarrow as pa

    columns = {"id": list(rows.id), "label": found.labels, "confidence": found.confidence, "origin": found.origin}
    return pa.table({name: pa.array(values, pa.float64() if name == "confidence" else pa.string()) for name, values in columns.items()})
