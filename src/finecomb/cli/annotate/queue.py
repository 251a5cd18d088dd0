"""`finecomb annotate next`: the rows most worth labeling."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.cli.annotate.rows import add_columns, answers_of, read_rows, write_file
from finecomb.cli.arguments import parser_of
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from finecomb.labeling.documents import Document


def next_(args: list[str]) -> int:
    """Choose the rows to label next."""
    examples = """  finecomb annotate next 3f2a9c --rows unlabeled.csv --k 50 --output queue.jsonl
  finecomb annotate next runs/mine-3f2a9c/predictions/test.parquet --rows test.csv --by margin --k 20 --output queue.jsonl
  finecomb annotate next 3f2a9c --rows unlabeled.csv --by combined --answered labels/ann.jsonl --k 50 --output queue.jsonl
  finecomb annotate serve queue.jsonl --labels good,bad --annotator ann --output labels"""
    about = "the rows a run is least sure of, those least like each other, or both, as a queue for serve and export"
    parser = parser_of("annotate next", about, examples)
    parser.add_argument("source", nargs="?", help="a run, or a file of predictions; not needed for --by farthest and kmeans++")
    parser.add_argument("--rows", required=True, nargs="+", help="CSV, TSV, JSON lines, Parquet, or a folder of finecomb prepare")
    parser.add_argument("--k", type=int, default=50, help="how many rows (default: 50)")
    strategies = ("entropy", "margin", "least_confidence", "farthest", "kmeans++", "combined")
    parser.add_argument("--by", default="entropy", choices=strategies, help="least sure, least alike, or both (default: entropy)")
    parser.add_argument("--answered", nargs="+", default=[], help="answers there are already; their rows are left out")
    parser.add_argument("--seed", type=int, default=0, help="seed of kmeans++")
    parser.add_argument("--output", required=True, help="JSON lines to write")
    parser.add_argument("--output-dir", default="runs", help="where the runs are (default: runs)")
    parser.add_argument("--device", help="such as cpu or cuda:0 (default: a GPU where there is one)")
    add_columns(parser)
    given = parser.parse_args(args)
    if given.k < 1:
        raise ConfigError(Problem(f"--k {given.k} rows", "--k", "1 or more"))
    rows = _unanswered(given)
    queue = _queue(rows, given)
    from finecomb.labeling import storage

    write_file(Path(given.output), storage.write(queue), [*given.rows, *given.answered])
    print(f"{len(queue):,} of {len(rows):,} rows without an answer, by {given.by}", file=sys.stderr)
    print(given.output)
    return 0


def _unanswered(given: argparse.Namespace) -> list[Document]:
    documents = read_rows(given.rows, given)
    done = {each.id for each in documents if each.answer is not None}
    done |= {each.id for file in given.answered for each in read_rows([file], given) if each.answer is not None}
    rows = list({each.id: each for each in documents if each.id not in done}.values())
    if not rows:
        raise ConfigError(Problem("every row is answered", ", ".join(given.rows)))
    return rows


def _queue(rows: Sequence[Document], given: argparse.Namespace) -> list[Document]:
    import numpy as np

    from finecomb.labeling import queue

    needed = given.by not in queue.DIVERSE
    if needed and given.source is None:
        raise ConfigError(Problem(f"--by {given.by} needs a run or a file of predictions", "command line", hint="or --by farthest"))
    answers = answers_of(given.source, rows, given) if given.source is not None else None
    unsure = None
    if needed and answers is not None:
        measure = given.by if given.by in queue.UNCERTAIN else "entropy"
        unsure = queue.uncertainty(np.array(answers.probabilities), measure, several=answers.several)
    chosen = queue.choose(given.by, given.k, texts=[row.text for row in rows], unsure=unsure, seed=given.seed)
    if answers is None:
        return [rows[at] for at in chosen.rows]
    sure = [_confidence(each, several=answers.several) for each in answers.probabilities]
    return [replace(rows[at], labels=answers.labels[at], confidence=sure[at], origin=answers.origin) for at in chosen.rows]


def _confidence(probabilities: Sequence[float], *, several: bool) -> float:
    """The model's probability of what it says; of several labels that of the least sure."""
    sure = min(max(each, 1 - each) for each in probabilities) if several else max(probabilities)
    return round(min(1.0, sure), 6)
