"""Hydra sweeper `finecomb`: every combination of the given values, as with Hydra's basic sweeper.

The basic sweeper composes each job again to check it, which stops at the first mistake; writes multirun.yaml into a folder of its own; and
reports a failed job by a traceback. Here all jobs are checked at once, sweeps/<id>.json is the record, and the outcomes are returned. Hydra
executes this file in every app of the environment, so nothing heavy may be imported before it is used.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from finecomb.launch.outcome import Outcome


@dataclass
class SweeperConf:
    """max_batch_size: hand jobs over in batches of this size. params: sweeps to add to those of the command line."""

    _target_: str = "hydra_plugins.finecomb.sweeper.FinecombSweeper"
    max_batch_size: Optional[int] = None
    params: dict[str, str] = field(default_factory=dict)


class FinecombSweeper(Sweeper):
    """A grid over what the command line lists."""

    def __init__(self, max_batch_size: Optional[int] = None, params: Optional[dict[str, str]] = None) -> None:
        self.max_batch_size, self.params = max_batch_size, params or {}
        self.launcher: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Instantiate the launcher."""
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> "list[Outcome]":
        """Launch all combinations; with `fail_fast` no batch after one with a failure. Raises ConfigError before any job is started."""
        from finecomb.config.hydra_app import jobs_of
        from finecomb.core.errors import ConfigError, Problem

        jobs = jobs_of(self.params, arguments)
        size = len(jobs) if self.max_batch_size is None else self.max_batch_size
        if size < 1:
            raise ConfigError(Problem(f"hydra.sweeper.max_batch_size={size} is below 1", "hydra.sweeper.max_batch_size"))
        self.launcher.prepare(jobs)
        if size < len(jobs):
            self.launcher.check()
        outcomes: list[Outcome] = []
        for start in range(0, len(jobs), size):
            returned = self.launcher.launch(jobs[start : start + size], initial_job_idx=start)
            outcomes += [job.return_value for job in returned]
            if self.launcher.fail_fast and any(outcome.state not in ("finished", "pruned") for outcome in outcomes):
                break
        return outcomes
