"""`finecomb study`."""

from __future__ import annotations

import sys

from finecomb.cli.arguments import parser_of

SUMMARY = "answer a question: tune arms with equal budgets, confirm on fresh seeds, test the differences, write tables and a report"


def main(args: list[str]) -> int:
    """Run, resume, or look at a study."""
    examples = """  finecomb study tuning_methods                     run experiments/tuning_methods/study.yaml, or go on with it
  finecomb study tuning_methods --dry-run           what is done, missing, failed, expected time
  finecomb study mine/study.yaml --slots 2          two runs at once; threads are divided
  finecomb study tuning_methods logger=none         overrides for every job
  finecomb study tuning_methods --report            write tables and report again from results/, without a run directory"""
    parser = parser_of("study", SUMMARY, examples)
    parser.add_argument("study", help="a folder in experiments/, or a path to a study.yaml")
    parser.add_argument("overrides", nargs="*", help="overrides added to the base of the study")
    parser.add_argument("--dry-run", action="store_true", help="show what there is to do, and do nothing")
    parser.add_argument("--report", action="store_true", help="only write the report again from the files in results/")
    parser.add_argument("--slots", type=int, help="jobs at once (default: one for each set of GPUs, one on a CPU)")
    parser.add_argument("--fail-fast", action="store_true", help="stop everything at the first failure")
    parser.add_argument("--retries", type=int, default=0, help="start a failed run again so many times (default: 0)")
    parser.add_argument("--wandb-report", action="store_true", help="also make a W&B report of it (needs an account and wandb-workspaces)")
    given = parser.parse_intermixed_args(args)
    from finecomb.api.study import Study

    study = Study.load(given.study, given.overrides)
    if given.report:
        print(study.write_report())
        return 0
    if given.dry_run:
        from rich.console import Console

        study.plan(slots=given.slots).show(Console(highlight=False))
        return 0
    missing = study.run(slots=given.slots, fail_fast=given.fail_fast, retries=given.retries)
    if given.wandb_report:
        print(study.push_report())
    for line in missing:
        print(line, file=sys.stderr)
    print((study.folder / "table.md").read_text())
    print(study.folder)
    return 1 if missing else 0
