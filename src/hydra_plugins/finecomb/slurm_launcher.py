"""Hydra launcher `submitit_slurm`: the jobs of a multirun as jobs of SLURM, by the option names of submitit, without its pickles.

    finecomb train -m hydra/launcher=submitit_slurm hydra.launcher.partition=gpu hydra.launcher.gpus_per_node=1 trainer=gpu seed=1,2,3

The command stays and shows what runs; ended and asked again, it finds its jobs in the queue. Hydra executes this file without entering it
in sys.modules, so a dataclass here cannot have postponed annotations.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from hydra_plugins.finecomb.launcher import FinecombLauncher

if TYPE_CHECKING:
    from finecomb.launch.policy import Policy


@dataclass
class SlurmConf:
    """array_parallelism: jobs in the queue at once. retries: how often a job that failed or ran out of its minutes is submitted again.

    timeout_min, cpus_per_task, gpus_per_node, mem_gb, partition, qos, account, constraint, exclude, comment: as submitit and sbatch have
    them. setup: shell lines before the worker. additional_parameters: other options of sbatch. Tasks per node are trainer.devices, nodes
    trainer.num_nodes.
    """

    _target_: str = "hydra_plugins.finecomb.slurm_launcher.SlurmLauncher"
    array_parallelism: int = 16
    fail_fast: bool = False
    retries: int = 0
    timeout_min: int = 60
    cpus_per_task: int = 4
    gpus_per_node: Optional[int] = None
    mem_gb: Optional[float] = None
    partition: Optional[str] = None
    qos: Optional[str] = None
    account: Optional[str] = None
    constraint: Optional[str] = None
    exclude: Optional[str] = None
    comment: Optional[str] = None
    setup: list[str] = field(default_factory=list)
    additional_parameters: dict[str, Any] = field(default_factory=dict)


class SlurmLauncher(FinecombLauncher):
    """Finecomb's launcher with workers that SLURM starts."""

    def __init__(self, array_parallelism: int = 16, fail_fast: bool = False, retries: int = 0, **wanted: Any) -> None:
        super().__init__(array_parallelism, fail_fast, retries)
        self.wanted = wanted

    def policy(self) -> "Policy":
        """How the jobs are run. Raises ConfigError where SLURM's commands are missing."""
        from dataclasses import replace

        from finecomb.launch import slurm

        slurm.check()
        return replace(super().policy(), backend=slurm.SlurmBackend(self._slurm()))

    def where(self) -> AbstractContextManager[None]:
        """Configs are resolved for a node of the cluster."""
        from finecomb.core.machine import running_on

        return running_on(self._slurm().machine())

    def _slurm(self) -> Any:
        from finecomb.launch.slurm import Slurm

        wanted = {name: value for name, value in self.wanted.items() if name not in ("setup", "additional_parameters")}
        setup, further = self.wanted.get("setup") or (), self.wanted.get("additional_parameters") or {}
        return Slurm(**wanted, setup=tuple(setup), additional_parameters=dict(further))
