"""`finecomb annotate mark`: spans (names, places, opinions) by rules, as suggestions for the page or as a first set to train on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from finecomb.cli.annotate.rows import add_columns, read_rows, write_file
from finecomb.cli.arguments import parser_of
from finecomb.core.errors import ConfigError, Problem


def mark(args: list[str]) -> int:
    """Mark spans by rules."""
    examples = """  finecomb annotate mark news.csv --rules rules.yaml --output spans.jsonl
  finecomb annotate serve spans.jsonl --spans PERSON,PLACE --annotator ann --output labels
  finecomb annotate export spans.jsonl --format conll --output tags.conll

rules.yaml, one rule a line, each with a label and one of words, gazetteer (a file, a term in each line) and pattern (RE2):
  cities: {label: PLACE, gazetteer: cities.txt}
  titles: {label: PERSON, pattern: '(?:Ms|Mr)\\. [A-Z]\\w+'}"""
    about = "spans found by lists and patterns; rules that disagree are weighed token by token by a label model"
    parser = parser_of("annotate mark", about, examples)
    parser.add_argument("rows", nargs="+", help="CSV, TSV, JSON lines, Parquet, or a folder of finecomb prepare")
    parser.add_argument("--rules", required=True, help="YAML file of rules by name")
    parser.add_argument("--model", default="dawid_skene", choices=("majority", "weighted", "dawid_skene"), help="(default: dawid_skene)")
    parser.add_argument("--min-confidence", type=float, default=0.0, help="spans that are less certain are left out (default: 0)")
    parser.add_argument("--output", required=True, help="JSON lines to write")
    add_columns(parser)
    given = parser.parse_args(args)
    if not 0 <= given.min_confidence <= 1:
        raise ConfigError(Problem(f"--min-confidence {given.min_confidence}", "--min-confidence", "0 to 1"))
    from finecomb.labeling import spans, storage

    rules = spans.build(spans.read_rules(Path(given.rules)))
    documents = read_rows(given.rows, given)
    marked = spans.annotate([each.text for each in documents], rules, model=given.model, min_confidence=given.min_confidence)
    answers = [
        replace(
            document,
            spans=tuple(each.span for each in places),
            origin=", ".join(sorted({name for each in places for name in each.origin.split(", ")})) or None,
            confidence=min((each.confidence for each in places), default=None),
        )
        for document, places in zip(documents, marked, strict=True)
    ]
    write_file(Path(given.output), storage.write(answers), [*given.rows, given.rules])
    count = sum(map(len, marked))
    print(f"{count:,} spans in {sum(map(bool, marked)):,} of {len(documents):,} rows, by {len(rules)} rules", file=sys.stderr)
    print(given.output)
    return 0
