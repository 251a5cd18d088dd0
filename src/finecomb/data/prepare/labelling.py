"""Labels for training rows that have none: what the annotator says, what becomes of rows it leaves open, and the table of all it said."""

from __future__ import annotations

import dataclasses
from typing import Any

from finecomb.config.errors import Problem, UserError
from finecomb.data.annotator import Annotate, Annotated
from finecomb.data.dataset.rows import Rows


def labelled(
    splits: dict[str, Rows], annotate: Annotate | None, kind: str
) -> tuple[dict[str, Rows], list[dict[str, Any]], Annotated | None]:
    """Labels for the training rows when they have none. Rows that got none are dropped and counted; other splits keep their own labels."""
    train = splits["train"]
    if annotate is None:
        if None in train.label and kind != "none":
            mend = "name the column of the labels, or let rules give them: annotator=labelling_functions"
            raise UserError(Problem("no column is named as the label", "dataset.columns.label=null", mend=mend))
        return splits, [], None
    if kind != "class":
        raise UserError(Problem("labelling functions give one class to each text", "annotator", "task=sequence_classification"))
    texts = train.text if train.text_pair is None else [f"{a}\n{b}" for a, b in zip(train.text, train.text_pair, strict=True)]
    found = annotate(texts)
    kept = [row for row, label in enumerate(found.labels) if label is not None]
    silent = sum(not origin for origin in found.origin)
    reasons = {"no function votes": silent, "not certain": len(train) - len(kept) - silent}
    entry: dict[str, Any] = {"step": "annotator", "split": "train", "rows_in": len(train), "rows_out": len(kept), "changed": 0}
    entry["reasons"] = {reason: count for reason, count in reasons.items() if count}
    known = [row for row in kept if train.label[row] is not None]
    if known:
        right = sum(train.label[row] == found.labels[row] for row in known)
        found.record["accuracy_on_given_labels"] = {"rows": len(known), "right": right, "share": round(right / len(known), 4)}
    rows = dataclasses.replace(train, label=found.labels).take(kept)
    return {**splits, "train": rows}, [entry], found


def annotation_table(rows: Rows, found: Annotated) -> Any:
    """The label that every row got, how certain it is, and which functions voted."""
    import pyarrow as pa

    columns = {"id": rows.id, "label": found.labels, "confidence": found.confidence, "origin": found.origin}
    return pa.table({name: pa.array(values, pa.float64() if name == "confidence" else pa.string()) for name, values in columns.items()})
