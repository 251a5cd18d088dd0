"""The environment of the processes that finecomb starts."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

# What another launcher (torchrun, SLURM, Lightning, an earlier job) may have left in the environment, and what would be taken for ours.
FOREIGN = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED",
    "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "WANDB_SERVICE",
)  # fmt: skip


def worker_environment(
    base: Mapping[str, str], *, rank: int, processes: int, threads: int, gpus: Sequence[str] | None, port: int | None
) -> dict[str, str]:
    """The environment of one rank: ours, without what another launcher left there, with the ranks' addresses when there are several."""
    environment = {name: value for name, value in base.items() if name not in FOREIGN}
    environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if processes > 1:
        environment |= {
            "LOCAL_RANK": str(rank),
            "NODE_RANK": "0",
            "RANK": str(rank),
            "WORLD_SIZE": str(processes),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    return environment


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
