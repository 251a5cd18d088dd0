"""`finecomb reproduce`."""

from __future__ import annotations

import sys
from pathlib import Path

from finecomb.cli.arguments import parser_of

SUMMARY = "run a finished run again from its record, and tell what came out differently"


def main(args: list[str]) -> int:
    """Exit code 0 when every metric is the same, 1 when one is not."""
    examples = """  finecomb reproduce 3f2a9c                     by the beginning of its name or fingerprint
  finecomb reproduce runs/movie_reviews-full-3f2a9c01b2d4 --output-dir again"""
    parser = parser_of("reproduce", SUMMARY, examples)
    parser.add_argument("run", help="a run directory, or a run's name or fingerprint, or the beginning of either")
    parser.add_argument("--runs-dir", default="runs", help="where the run is looked for (default: runs)")
    parser.add_argument("--output-dir", type=Path, help="where it is run again (default: reproduced/ beside it)")
    given = parser.parse_args(args)
    from finecomb.launch.outcome import exit_code
    from finecomb.runs import index
    from finecomb.studies.repeat import repeat

    outcome, differences = repeat(index.locate(given.runs_dir, given.run), given.output_dir)
    if outcome.state != "finished":
        print(f"{outcome.run.path.name}: {outcome.state}: {outcome.error}", file=sys.stderr)
        return exit_code([outcome])
    for line in differences:
        print(line)
    changed = [line for line in differences if line.split(":")[0].partition("/")[0] in ("validation", "test")]
    print("every metric and every answer is the same" if not changed else f"{len(changed)} numbers are not the same")
    print(outcome.run.path)
    return 1 if changed else 0
