"""`finecomb annotate agreement`: how far annotators agree, and one answer for each row."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.cli.annotate.rows import add_columns, read_file, write_file
from finecomb.cli.arguments import parser_of
from finecomb.core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from finecomb.labeling.agreement import Panel
    from finecomb.labeling.documents import Document


def agreement(args: list[str]) -> int:
    """Say how far annotators agree."""
    examples = """  finecomb annotate agreement labels/ann.jsonl labels/bob.jsonl
  finecomb annotate agreement labels/*.jsonl --bootstrap 1000 --json agreement.json
  finecomb annotate agreement labels/*.jsonl --consensus agreed.jsonl --method dawid_skene"""
    about = "how far annotators agree (Cohen, Fleiss, Krippendorff; F1 of spans), by label too, and one answer for each row"
    parser = parser_of("annotate agreement", about, examples)
    parser.add_argument("files", nargs="+", help="answers as finecomb writes them; a file that names no annotator is one, by its name")
    parser.add_argument("--consensus", help="JSON lines to write: one document for each row, ties left open and named")
    parser.add_argument(
        "--method", default="majority", choices=("majority", "dawid_skene"), help="how answers become one (default: majority)"
    )
    parser.add_argument("--bootstrap", type=int, default=0, metavar="N", help="95%% intervals by N resamples of the rows (default: none)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resamples")
    parser.add_argument("--json", help="file to write every number to")
    add_columns(parser)
    given = parser.parse_args(args)
    from finecomb.labeling.agreement import report

    panel = _panel(given)
    if len(panel.annotators) < 2:
        what = f"there is one annotator, {panel.annotators[0]}" if panel.annotators else "there is no accepted answer"
        raise ConfigError(Problem(what, ", ".join(given.files), hint="give the files of two or more"))
    summary = report(panel, draws=given.bootstrap, seed=given.seed)
    from finecomb.cli.annotate.report import show

    show(summary)
    if given.json:
        import json

        write_file(Path(given.json), json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n", given.files)
    if given.consensus:
        _write_consensus(panel, given)
    return 0


def _panel(given: argparse.Namespace) -> Panel:
    """Accepted answers by annotator. Tables without an answer column are answers of one annotator, named by the file."""
    from finecomb.labeling.agreement import Panel
    from finecomb.labeling.documents import settled, unique

    said: dict[str, list[Document]] = {}
    for file in given.files:
        documents = settled(read_file(Path(file), given))
        plain = all(each.answer is None for each in documents)
        for each in documents:
            answer = "accept" if plain and (each.labels or each.spans) else each.answer
            if answer is not None:
                name = each.annotator or Path(file).stem
                said.setdefault(name, []).append(replace(each, annotator=name, answer=answer))
    unique(each for documents in said.values() for each in documents)
    return Panel(said)


def _write_consensus(panel: Panel, given: argparse.Namespace) -> None:
    from finecomb.labeling import storage
    from finecomb.labeling.consensus import consensus

    agreed = consensus(panel, given.method)
    write_file(Path(given.consensus), storage.write(agreed.documents), given.files)
    for row, tied in agreed.ties[:10]:
        print(f"tie: row {row}: {tied}", file=sys.stderr)
    print(
        f"{len(agreed.documents) - len(agreed.ties):,} rows agreed on by {given.method}, {len(agreed.ties):,} ties left open",
        file=sys.stderr,
    )
    print(given.consensus)
