"""`finecomb.Study`: a question that several arms of runs answer."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from finecomb.config.compose import compose
from finecomb.config.schema.logger import Logger, Wandb
from finecomb.launch import freeze
from finecomb.launch.policy import Policy
from finecomb.runs.wandb_account import mode
from finecomb.studies.analysis import collect, frames
from finecomb.studies.plan import study
from finecomb.studies.plan import study_plan as plan
from finecomb.studies.plan.dry_run import DryRun, dry_run
from finecomb.studies.report.report import ReportTable
from finecomb.studies.wandb_sweep import wandb_summary


class Study:
    """A question, its arms, seeds and tuning budget, read from a study.yaml; its results are in `results/` next to that file.

    Attributes:
        path: The study.yaml.
        folder: Where results are written.

    Example:
        >>> study = finecomb.Study.load("study.yaml")
        >>> study.name, study.arms
        ('mine', ['full', 'head'])
        >>> print(study.plan())
        arm   trials  chosen  seeds
        full                  1 to do
        head                  1 to do
        2 runs, 0 finished, 2 to do
    """

    def __init__(self, planned: plan.StudyPlan, command: str) -> None:
        self._plan, self._command = planned, command
        self.path, self.folder = planned.path, study.results_folder(planned)

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Study:
        """Read a study.

        Args:
            path: A study.yaml, its folder, or the name of a folder in `experiments/`.
            overrides: Added to the base of every job.

        Raises:
            ConfigError: There is no such study, or its file has problems.
        """
        word = os.fspath(path)
        return cls(plan.read(plan.locate(word), overrides), " ".join(["finecomb study", word, *overrides]))

    def __repr__(self) -> str:
        return f"Study({self.name!r}, arms={self.arms})"

    @property
    def name(self) -> str:
        """Its name."""
        return self._plan.name

    @property
    def question(self) -> str:
        """What it answers."""
        return self._plan.question

    @property
    def arms(self) -> list[str]:
        """The names of its arms."""
        return [arm.name for arm in self._plan.arms]

    def plan(self, *, slots: int | None = None) -> DryRun:
        """What is done and what there is to do, with the expected time. Trains nothing.

        Raises:
            ConfigError: A job cannot be composed.
        """
        return dry_run(self._plan, slots=slots)

    def run(self, *, slots: int | None = None, fail_fast: bool = False, retries: int = 0) -> list[str]:
        """Tune, confirm, and write tables and report to `folder`. What has finished is not run again.

        Args:
            slots: Jobs at once; None: one for each set of GPUs, one on a CPU.
            fail_fast: Stop everything at the first failure.
            retries: How often a failed run is started again.

        Returns:
            A line for each job that has not finished, with the reason.

        Raises:
            ConfigError: Something is wrong with any job; nothing is started.
            KeyboardInterrupt: Stopped; the next call resumes.
        """
        freeze.forget()
        answered = study.Runner(self._plan, Policy(slots, fail_fast, retries)).run()
        report = ReportTable(collect.collect(answered, self._command))
        report.save(self.folder)
        self._log_summary(report)
        return study.tell_missing(answered)

    def table(self) -> ReportTable:
        """The tables and figures of the results, read from the files in `folder`; a notebook shows them.

        Raises:
            ConfigError: There are no results yet.
        """
        return ReportTable(frames.read(self.folder))

    def write_report(self) -> Path:
        """Write tables and report again from the files in `folder`, which is returned."""
        self.table().write(self.folder)
        return self.folder

    def push_report(self) -> str:
        """Make a W&B report of the results, which needs an account and the package wandb-workspaces; returns its address."""
        project, entity = (self._logger.project, self._logger.entity) if isinstance(self._logger, Wandb) else ("finecomb", None)
        return wandb_summary.push_report(self.table(), project=project, entity=entity)

    @cached_property
    def _logger(self) -> Logger:
        return compose(self._plan.overrides(self._plan.arms[0], self._plan.columns[0])).config.logger

    def _log_summary(self, report: ReportTable) -> None:
        """Log the summary where the runs are logged; a mirror that fails never takes the results along."""
        logger = self._logger
        if not isinstance(logger, Wandb):
            return
        try:
            place = mode(logger.mode, os.environ)
            wandb_summary.log(report, self.folder, project=logger.project, entity=logger.entity, mode=place)
        except Exception as error:
            print(f"W&B: the summary was not logged: {error}", file=sys.stderr)
