"""Hydra launcher `finecomb`: each job of a multirun becomes a run of its own, in processes of its own, from a frozen config.

Hydra executes this file in every app of the environment, so nothing heavy may be imported before it is used; and without entering it in
sys.modules, so a dataclass here cannot have postponed annotations.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from finecomb.config.compose import Composition
    from finecomb.launch.outcome import Outcome
    from finecomb.launch.policy import Policy
    from finecomb.studies.sweep import Sweep


@dataclass
class LauncherConf:
    """slots: jobs at once (null: one for each set of GPUs, one on a CPU). fail_fast: stop everything at the first failure.

    retries: how often a failed job is started again. timeout: seconds an attempt may take.
    """

    _target_: str = "hydra_plugins.finecomb.launcher.FinecombLauncher"
    slots: Optional[int] = None
    fail_fast: bool = False
    retries: int = 0
    timeout: Optional[float] = None


class FinecombLauncher(Launcher):
    """Composes each job by finecomb's own compose, which knows every origin, and launches all of them."""

    def __init__(self, slots: Optional[int] = None, fail_fast: bool = False, retries: int = 0, timeout: Optional[float] = None) -> None:
        self.slots, self.fail_fast, self.retries, self.timeout = slots, fail_fast, retries, timeout
        self._composed: dict[tuple[str, ...], Composition] = {}
        self._sweep: Optional[Sweep] = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take nothing over: the jobs' configs are composed from their overrides alone."""

    def policy(self) -> "Policy":
        """How the jobs are run."""
        from finecomb.launch.policy import Policy

        return Policy(self.slots, self.fail_fast, self.retries, self.timeout)

    def where(self) -> AbstractContextManager[None]:
        """Entered while configs are resolved: `auto` values are those of the machine that will run them."""
        return nullcontext()

    def prepare(self, jobs: Sequence[Sequence[str]]) -> None:
        """Compose all jobs of a multirun, each once. Raises ConfigError with the mistakes of all of them."""
        from finecomb.config.compose import Composer

        self._composed = dict(zip(map(tuple, jobs), Composer().compose_all(jobs), strict=True))

    def check(self) -> None:
        """Check the configs, data and models of all jobs, where they are launched in several batches."""
        from finecomb.launch.freeze import check_all

        with self.where():
            check_all(list(self._composed.values()))

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train a batch of prepared jobs. The return value of each is its `Outcome`, finished or not."""
        from finecomb.studies.sweep import Sweep

        policy, where = self.policy(), self.where()
        with where:
            self._sweep = self._sweep or Sweep(policy)
            outcomes = self._sweep.run([self._composed[tuple(overrides)] for overrides in job_overrides])
        return [_returned(overrides, outcome) for overrides, outcome in zip(job_overrides, outcomes, strict=True)]


def _returned(overrides: Sequence[str], outcome: "Outcome") -> JobReturn:
    path = outcome.run.path
    returned = JobReturn(overrides=list(overrides), working_dir=str(path), task_name=path.name, status=JobStatus.COMPLETED)
    returned.return_value = outcome
    return returned
