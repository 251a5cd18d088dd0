"""`finecomb annotate errors`: labels that are probably wrong, as a queue to review."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.cli.annotate.rows import add_columns, read_rows, write_file
from finecomb.cli.arguments import listed, parser_of
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from finecomb.labeling.documents import Document
    from finecomb.labeling.label_errors import Suspect


def errors(args: list[str]) -> int:
    """Find labels that are probably wrong."""
    examples = """  finecomb annotate errors reviews.csv --output queue.jsonl
  finecomb annotate errors reviews.csv --method low_normalized_margin --output queue.csv
  finecomb annotate errors reviews.csv --predictions out_of_fold.jsonl --output queue.jsonl
  finecomb annotate serve queue.jsonl --labels good,bad --annotator ann --output labels"""
    about = "labels that are probably wrong, the least believable first, each with the label that it seems to have"
    parser = parser_of("annotate errors", about, examples)
    parser.add_argument("rows", nargs="+", help="labeled rows: CSV, TSV, JSON lines, Parquet, or a folder of finecomb prepare")
    parser.add_argument(
        "--predictions", help="out-of-fold predictions (id or text, and probabilities); without: made here by a linear model"
    )
    parser.add_argument("--classes", help="names of the classes in the order of the predictions, where these are lists of numbers")
    methods = ("confident_learning", "low_normalized_margin")
    parser.add_argument("--method", default=methods[0], choices=methods, help=f"how rows are chosen (default: {methods[0]})")
    parser.add_argument("--folds", type=int, default=5, help="folds of the linear model (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the folds")
    parser.add_argument("--output", required=True, help="JSON lines, whose label is the suggested one, or CSV with both labels")
    add_columns(parser)
    given = parser.parse_args(args)
    if given.folds < 2:
        raise ConfigError(Problem(f"--folds {given.folds}", "--folds", "2 or more"))
    every = read_rows(given.rows, given)
    rows = [row for row in every if len(row.labels) == 1]
    if len(rows) < len(every):
        print(f"{len(every) - len(rows):,} rows without exactly one label are left out", file=sys.stderr)
    if not rows:
        raise ConfigError(Problem("no row has a label", ", ".join(given.rows), hint="name the column of the labels: --label-column NAME"))
    from finecomb.labeling.label_errors import review_queue

    probabilities, classes = _predictions(given, rows)
    labels = [row.labels[0] for row in rows]
    queue = review_queue(
        [row.text for row in rows], labels, method=given.method, probabilities=probabilities, classes=classes,
        folds=given.folds, seed=given.seed,
    )  # fmt: skip
    text = _table(rows, queue) if given.output.endswith(".csv") else _lines(rows, queue, given.method)
    write_file(Path(given.output), text, given.rows)
    print(f"{len(queue):,} of {len(rows):,} labels are probably wrong, by {given.method}", file=sys.stderr)
    print(given.output)
    return 0


def _predictions(given: argparse.Namespace, rows: Sequence[Document]) -> tuple[Any, list[str] | None]:
    """Probabilities of a file and the names of their classes; None where there is no file."""
    import numpy as np

    if given.predictions is None:
        return None, None
    from finecomb.cli.annotate.rows import matched

    predicted = [each["probabilities"] for each in matched(Path(given.predictions), rows)]
    names = listed(given.classes)
    if names is None and not all(isinstance(each, Mapping) for each in predicted):
        hint = "--classes NAME,NAME in the order of the probabilities"
        raise ConfigError(Problem("the predictions are lists of numbers, of classes without names", "--predictions", hint=hint))
    names = names or sorted({name for each in predicted for name in each})
    table = [[each.get(name) for name in names] if isinstance(each, Mapping) else list(each) for each in predicted]
    for row, line in zip(rows, table, strict=True):
        if len(line) != len(names):
            raise ConfigError(Problem(f"{len(line)} probabilities for {len(names)} classes", "--predictions", ", ".join(names)))
        if not all(isinstance(value, int | float) for value in line):
            what = f"a probability of row {row.id!r} is missing or no number: {line}"
            raise ConfigError(Problem(what, "--predictions", f"one for each of {', '.join(names)}"))
    return np.array(table, dtype=np.float64), names


def _lines(rows: Sequence[Document], queue: Sequence[Suspect], method: str) -> str:
    from finecomb.labeling import storage

    chosen = [(rows[each.row], each) for each in queue]
    return storage.write(
        [
            replace(row, labels=(each.suggested,), confidence=each.confidence, origin=method, answer=None, annotator=None, time=None)
            for row, each in chosen
        ]
    )


def _table(rows: Sequence[Document], queue: Sequence[Suspect]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["id", "text", "label", "suggested", "confidence", "margin"])
    for each in queue:
        writer.writerow([rows[each.row].id, rows[each.row].text, each.given, each.suggested, each.confidence, each.margin])
    return stream.getvalue()
