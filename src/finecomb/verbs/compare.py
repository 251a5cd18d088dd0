"""`finecomb compare`."""

from __future__ import annotations

from pathlib import Path

from finecomb.verbs.arguments import listed, parser_of

SUMMARY = "a table of runs: scores with intervals, seeds, cost"


def main(args: list[str]) -> int:
    """Print a table of runs."""
    examples = """  finecomb compare runs                                        all runs in a folder
  finecomb compare runs/a-3f2a9c01b2d4 runs/b-81bc04d2e3f5     two runs
  finecomb compare runs/sweeps/latest.json --references majority,tfidf_logistic --output table.md"""
    parser = parser_of("compare", SUMMARY, examples)
    parser.add_argument("runs", nargs="+", help="run directories, folders of them, or a sweep's record")
    parser.add_argument("--references", default="", help="rows to add, separated by commas: majority, tfidf_logistic")
    parser.add_argument("--metrics", help="names without the split, separated by commas (default: the task's usual two)")
    parser.add_argument("--baseline", default="best", help="label of the row that all are compared with (default: the best of each metric)")
    parser.add_argument("--output", type=Path, help="also write a .md or .csv file")
    given = parser.parse_args(args)
    from finecomb.studies.render import render
    from finecomb.studies.table import compare as table

    found = table(
        given.runs,
        references=listed(given.references) or (),
        metrics=listed(given.metrics),
        baseline=given.baseline,
        output=given.output,
    )
    print(render(found))
    return 0
