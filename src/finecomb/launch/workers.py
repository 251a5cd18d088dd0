"""The backend of this machine: the worker processes of one job are started, watched and stopped.

A worker inherits two descriptors: the run's lock, which it thereby holds as long as it lives, and the reading end of a pipe whose other end
only the launcher has. When the launcher dies, however it dies, the pipe closes and the worker ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from finecomb.core.atomic import reported_when_full
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import this_machine
from finecomb.launch.environment import free_port, worker_environment
from finecomb.launch.freeze import Frozen
from finecomb.launch.slots import Gpus, Taken, gpu_names
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Lock

# -P: a file `datasets.py` in the folder where the command was typed must not shadow the library.
WORKER: Sequence[str] = (sys.executable, "-P", "-m", "finecomb.training.worker")
PATIENCE_WITH_RANKS = 10.0  # seconds that the other ranks have to end by themselves once one has failed


class LocalBackend:
    """Starts the workers of jobs on this machine, whose GPUs they share."""

    def __init__(self) -> None:
        self._gpus = Gpus(gpu_names(this_machine()))

    def check(self, job: Frozen) -> None:
        """Raise ConfigError for a job on several machines."""
        nodes = job.config.trainer.num_nodes
        if nodes > 1:
            raise ConfigError(
                Problem(
                    what=f"trainer.num_nodes={nodes}: this command starts processes on one machine",
                    where="trainer.num_nodes",
                    hint=f"start the worker on every machine by torchrun or srun: python -m finecomb.training.worker {job.run.path}",
                )
            )

    def start(self, job: Frozen, lock: Lock, threads: int) -> Workers:
        """Start one process for each rank of the job, on the GPUs that the fewest jobs use."""
        return Workers(job.run, lock, processes=job.processes, threads=threads, gpus=self._gpus.take(job.processes) if job.gpu else None)


class Workers:
    """The processes of one job, one for each rank. Owns the run's lock and its share of the GPUs until `close`."""

    def __init__(self, run: RunDirectory, lock: Lock, *, processes: int, threads: int, gpus: Taken | None) -> None:
        """Start them. gpus: which devices they may see; None: a run on the CPU, for which the environment stays as it is."""
        self.run, self.lock, self._gpus = run, lock, gpus
        self.started = time.monotonic()
        self._first_failure: float | None = None
        reading, self._pipe = os.pipe()
        self.processes: list[subprocess.Popen[bytes]] = []
        port = free_port() if processes > 1 else None
        try:
            for rank in range(processes):
                names = None if gpus is None else gpus.names
                environment = worker_environment(os.environ, rank=rank, processes=processes, threads=threads, gpus=names, port=port)
                self.processes.append(self._start(rank, reading, environment))
        except BaseException:
            self.signal(signal.SIGKILL)
            self.close()
            raise
        finally:
            os.close(reading)

    def _start(self, rank: int, reading: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with reported_when_full(self.run.logs), self.run.log_path(rank).open("ab") as log:
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

    def note(self) -> str | None:
        """Nothing: a local worker begins at once and records itself why it ended."""
        return None

    def close(self) -> None:
        """End what killed ranks have left behind (it would go on holding the run), and give back the pipe, the GPUs and the run's lock."""
        for process in self.processes:
            if process.returncode:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._gpus is not None:
            self._gpus.give_back()
        self.lock.release()
