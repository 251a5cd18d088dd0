"""Two tables for the reader of a finished run: its worst predictions, with their texts, and the confusion matrix.

They are derived from predictions/<split>.parquet and the prepared data, written beside the predictions, and repeated by W&B.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pyarrow.parquet

from finecomb.core import files
from finecomb.core.atomic import write_json, write_text
from finecomb.data.prepare import open_prepared
from finecomb.runs.directory import RunDirectory

# name -> (columns, rows)
Tables = dict[str, tuple[list[str], list[list[Any]]]]
ERRORS = 50  # rows of the table of errors


def write(run: RunDirectory) -> None:
    """Write predictions/<split>-errors.csv and, for single labels, <split>-confusion.json: of test, or else of validation."""
    split = next((name for name in ("test", "validation") if (run.predictions / f"{name}.parquet").exists()), None)
    if split is None:
        return
    predictions = pyarrow.parquet.ParquetFile(run.predictions / f"{split}.parquet").read(use_threads=False).to_pylist()
    prepared = open_prepared(Path(run.record.inputs.data.directory))
    columns, rows = errors(predictions, prepared.load()[split])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    write_text(run.predictions / f"{split}-errors.csv", text.getvalue())
    if prepared.label_kind == "class" and prepared.label_names:
        write_json(run.predictions / f"{split}-confusion.json", confusion(predictions, prepared.label_names))


def errors(predictions: list[dict[str, Any]], data: Any) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of the worst predictions: the wrong ones, or without classes all of them, by their loss."""
    wrong = [each for each in predictions if not each.get("correct", False)]
    worst = sorted(wrong, key=lambda each: (-each["loss"], each["id"]))[:ERRORS]
    texts = [name for name in ("text", "text_pair") if name in data.column_names]
    row_of = {identity: row for row, identity in enumerate(data["id"])}
    found = data.select([row_of[each["id"]] for each in worst])
    columns = [list(found[name]) for name in texts]
    rows = [
        [each["id"], *(column[at] for column in columns), _in_words(each["label"]), _in_words(each["prediction"]), each["loss"]]
        for at, each in enumerate(worst)
    ]
    return ["id", *texts, "label", "prediction", "loss"], rows


def confusion(predictions: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """How often each label (row) was predicted as each label (column)."""
    index = {name: at for at, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for each in predictions:
        counts[index[each["label"]]][index[each["prediction"]]] += 1
    return {"rows": "label", "columns": "prediction", "labels": names, "counts": counts}


def read(run: RunDirectory, *, limit: int) -> Tables:
    """The tables that `write` wrote, as <split>/errors (its first rows) and <split>/confusion (a row for each pair of labels)."""
    tables: Tables = {}
    for path in sorted(run.predictions.glob("*-errors.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            columns, *rows = csv.reader(file)
        tables[f"{path.stem.removesuffix('-errors')}/errors"] = (columns, [[*row[:-1], float(row[-1])] for row in rows[:limit]])
    for path in sorted(run.predictions.glob("*-confusion.json")):
        found = files.read_json(path)
        names, counts = found["labels"], found["counts"]
        rows = [[label, prediction, counts[i][j]] for i, label in enumerate(names) for j, prediction in enumerate(names)]
        tables[f"{path.stem.removesuffix('-confusion')}/confusion"] = (["label", "prediction", "count"], rows)
    return tables


def _in_words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
