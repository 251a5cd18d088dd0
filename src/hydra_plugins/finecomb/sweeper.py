"""Hydra sweeper `finecomb`: every combination of the values given, as Hydra's basic sweeper has it, without what that one leaves behind.

The basic sweeper composes each job a second time to check it, which stops at the first mistake; writes multirun.yaml into a folder of its
own; and tells a failed job by a traceback. Here the launcher checks all jobs at once, sweeps/<id>.json is the record, and the exit code
tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus


@dataclass
class SweeperConf:
    """max_batch_size: hand jobs over in batches of this size. params: sweeps to add to those of the command line."""

    _target_: str = "hydra_plugins.finecomb.sweeper.FinecombSweeper"
    max_batch_size: Optional[int] = None
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="finecomb", node=SweeperConf, provider="finecomb")


class FinecombSweeper(BasicSweeper):
    """A grid over what the command line lists."""

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Launch all combinations. Raises SystemExit with code 1 when a job did not finish."""
        from hydra_plugins.finecomb.launcher import refuse_others

        assert self.hydra_context is not None
        assert self.config is not None
        refuse_others(self.config)
        given = [f"{key}={value}" for key, value in self.params.items()] + list(arguments)
        overrides = OverridesParser.create(config_loader=self.hydra_context.config_loader).parse_overrides(given)
        returned: list[Sequence[JobReturn]] = []
        launcher: Any = self.launcher
        for batch in self.split_arguments(overrides, self.max_batch_size):
            jobs = launcher.launch(batch, initial_job_idx=sum(map(len, returned)))
            returned.append(jobs)
            if getattr(launcher, "fail_fast", False) and _failed(jobs):
                break
        if any(map(_failed, returned)):
            raise SystemExit(1)
        return returned


def _failed(jobs: Sequence[JobReturn]) -> bool:
    return any(job.status != JobStatus.COMPLETED for job in jobs)
