"""`finecomb study`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from finecomb.verbs.arguments import parser_of

if TYPE_CHECKING:
    from finecomb.studies.plan import Study
    from finecomb.studies.report.frames import Frames

SUMMARY = "answer a question: tune arms with equal budgets, confirm on fresh seeds, test the differences, write tables and a report"


def main(args: list[str]) -> int:
    """Run, resume, or look at a study."""
    examples = """  finecomb study tuning_methods                     run experiments/tuning_methods/study.yaml, or go on with it
  finecomb study tuning_methods --dry-run           the matrix: done, missing, failed, expected time
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
    from finecomb.studies import plan, report, study
    from finecomb.studies.launch import Policy

    found = plan.read(plan.locate(given.study), given.overrides)
    folder = study.results_folder(found)
    if given.report:
        report.write(report.frames.read(folder), folder)
        print(folder)
        return 0
    if given.dry_run:
        from finecomb.studies.matrix import show_matrix

        show_matrix(found, slots=given.slots)
        return 0
    answered = study.Runner(found, Policy(given.slots, given.fail_fast, given.retries)).run()
    collected = report.collect(answered, " ".join(["finecomb study", given.study, *given.overrides]))
    report.frames.write(collected, folder)
    report.write(collected, folder)
    _mirror(found, collected, folder, report_too=given.wandb_report)
    for line in study.tell_missing(answered):
        print(line, file=sys.stderr)
    print((folder / "table.md").read_text())
    print(folder)
    return 0 if all(answer.state == "finished" for answer in answered.answers) else 1


def _mirror(found: Study, collected: Frames, folder: Path, *, report_too: bool) -> None:
    """Log the study's summary where its runs are logged; a mirror that fails never takes the results along."""
    from finecomb.config.compose import compose
    from finecomb.config.schema.logger import Wandb
    from finecomb.runs.wandb_account import mode
    from finecomb.studies import wandb_summary

    logger = compose(found.overrides(found.arms[0], found.columns[0])).config.logger
    if isinstance(logger, Wandb):
        try:
            wandb_summary.log(collected, folder, project=logger.project, entity=logger.entity, mode=mode(logger.mode, os.environ))
        except Exception as error:
            print(f"W&B: the summary was not logged: {error}", file=sys.stderr)
    if report_too:
        project, entity = (logger.project, logger.entity) if isinstance(logger, Wandb) else ("finecomb", None)
        print(wandb_summary.push_report(collected, project=project, entity=entity))
