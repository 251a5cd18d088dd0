"""Hydra launcher `finecomb`: each job of a multirun becomes a run of its own, in processes of its own, from a frozen config.

Hydra executes this file in every app of the environment, so nothing heavy may be imported before it is used; and without entering it in
sys.modules, so a dataclass here cannot have postponed annotations.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from finecomb.studies.feed import Policy
    from finecomb.studies.launch import Outcome
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


ConfigStore.instance().store(group="hydra/launcher", name="finecomb", node=LauncherConf, provider="finecomb")


class JobFailed(Exception):
    """What a sweeper gets instead of the metric of a job that did not finish."""


class FinecombLauncher(Launcher):
    """Composes each job by finecomb's own compose, which knows every origin, and launches all of them."""

    def __init__(self, slots: Optional[int] = None, fail_fast: bool = False, retries: int = 0, timeout: Optional[float] = None) -> None:
        self.slots, self.fail_fast, self.retries, self.timeout = slots, fail_fast, retries, timeout
        self.config: Optional[DictConfig] = None
        self._sweep: Optional[Sweep] = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep Hydra's own settings; the jobs' configs are composed from their overrides alone."""
        self.config = config

    def policy(self) -> "Policy":
        """How the jobs are run."""
        from finecomb.studies.feed import Policy

        return Policy(self.slots, self.fail_fast, self.retries, self.timeout)

    def where(self) -> AbstractContextManager[None]:
        """Entered while configs are resolved: `auto` values are those of the machine that will run them."""
        return nullcontext()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train a batch of jobs. Raises UserError with the mistakes of all jobs before any is started."""
        from finecomb.config.compose import compose_all
        from finecomb.studies.sweep import Sweep

        assert self.config is not None
        compositions = compose_all(job_overrides, config_dirs=config_dirs_of(self.config))
        policy, where = self.policy(), self.where()
        with where:
            self._sweep = self._sweep or Sweep(policy)
            outcomes = self._sweep.run(compositions)
        return [self._returned(overrides, outcome) for overrides, outcome in zip(job_overrides, outcomes, strict=True)]

    def _returned(self, overrides: Sequence[str], outcome: "Outcome") -> JobReturn:
        from finecomb.runs.index import first_metric, short_error

        assert self.config is not None
        returned = JobReturn(
            overrides=list(overrides),
            cfg=OmegaConf.create(outcome.run.config),
            hydra_cfg=self.config,
            working_dir=str(outcome.run.path),
            task_name=outcome.run.path.name,
        )
        if outcome.state == "finished":
            returned.status = JobStatus.COMPLETED
            returned.return_value = first_metric(outcome.run)[1]
        else:
            returned.status = JobStatus.FAILED
            returned.return_value = JobFailed(f"{outcome.run.path.name}: {outcome.state}: {short_error(outcome.error)}")
        return returned


def refuse_others(config: DictConfig) -> None:
    """Raise UserError for a launcher that is not ours: it would call a task that does nothing here, and report success."""
    from finecomb.config.errors import Problem, UserError

    target = str(config.hydra.launcher.get("_target_"))
    if not target.startswith("hydra_plugins.finecomb."):
        what = f"{target.rpartition('.')[2]} would start no worker of finecomb"
        mend = "leave hydra/launcher out; if another package brought a submitit_slurm of its own (hydra-submitit-launcher), uninstall it"
        raise UserError(Problem(what, "hydra/launcher", "finecomb, submitit_slurm", mend))


def config_dirs_of(config: DictConfig) -> list[Path]:
    """The folder of --config-dir, as Hydra records it."""
    sources = config.hydra.runtime.config_sources
    return [Path(source.path) for source in sources if source.provider == "command-line" and source.schema == "file"]
