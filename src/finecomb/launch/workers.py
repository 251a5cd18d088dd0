"""The worker processes of one job: started, watched, stopped.

A worker inherits two descriptors: the run's lock, which it thereby holds as long as it lives, and the reading end of a pipe whose other end
only the launcher has. When the launcher dies, however it dies, the pipe closes and the worker ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from finecomb.core.atomic import told_when_full
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Lock

# -P: a file `datasets.py` in the folder where the command was typed must not shadow the library.
WORKER: Sequence[str] = (sys.executable, "-P", "-m", "finecomb.training.worker")
# What another launcher (torchrun, SLURM, Lightning, an earlier job) may have left in the environment, and what would be taken for ours.
FOREIGN = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PL_GLOBAL_SEED",
    "TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "WANDB_SERVICE",
)  # fmt: skip
PATIENCE_WITH_RANKS = 10.0  # seconds that the other ranks have to end by themselves once one has failed


class Workers:
    """The processes of one job, one for each rank. Owns the run's lock until `close`."""

    def __init__(self, run: RunDirectory, lock: Lock, *, processes: int, threads: int, gpus: Sequence[str] | None) -> None:
        """Start them. gpus: which devices they may see; None: a run on the CPU, for which the environment stays as it is."""
        self.run, self.lock, self.gpus = run, lock, list(gpus or ())
        self.started = time.monotonic()
        self._first_failure: float | None = None
        reading, self._pipe = os.pipe()
        self.processes: list[subprocess.Popen[bytes]] = []
        port = free_port() if processes > 1 else None
        try:
            for rank in range(processes):
                environment = worker_environment(os.environ, rank=rank, processes=processes, threads=threads, gpus=gpus, port=port)
                self.processes.append(self._start(rank, reading, environment))
        except BaseException:
            self.signal(signal.SIGKILL)
            self.close()
            raise
        finally:
            os.close(reading)

    def _start(self, rank: int, reading: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with told_when_full(self.run.logs), log_path(self.run, rank).open("ab") as log:
            return subprocess.Popen(
                [*WORKER, str(self.run.path), "--parent-fd", str(reading)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=(reading, self.lock.descriptor),
                # A group of its own: Ctrl-C reaches the launcher alone, which then stops its workers in order.
                process_group=0,
            )

    def poll(self) -> int | None:
        """The exit code once all ranks have ended (the first that is not 0), else None. Ranks left behind by a failed one are stopped."""
        codes = [process.poll() for process in self.processes]
        failed = [code for code in codes if code]
        if None not in codes:
            # A rank killed by us for another's failure ends by a signal; the failure itself is the answer.
            return max(failed, default=0) if any(code > 0 for code in failed) else min(failed, default=0)
        if failed:
            now = time.monotonic()
            self._first_failure = self._first_failure or now
            if now - self._first_failure > PATIENCE_WITH_RANKS:
                self.signal(signal.SIGKILL)
        return None

    def signal(self, number: int) -> None:
        """Send a signal to every rank that still runs, and for SIGKILL to what it has started."""
        for process in self.processes:
            if process.poll() is None:
                try:
                    (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)
                except ProcessLookupError:
                    continue

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for all ranks to end; whether they have."""
        deadline = time.monotonic() + seconds
        while any(process.poll() is None for process in self.processes):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def close(self) -> None:
        """End what killed ranks have left behind (it would go on holding the run), and give back the pipe and our hold on the run."""
        for process in self.processes:
            if process.returncode:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        self.lock.release()


def log_path(run: RunDirectory, rank: int) -> Path:
    """Where the output of a rank goes."""
    return run.logs / f"rank{rank}.log"


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
