"""The backend of a SLURM cluster: the worker of each job is a job of SLURM that is submitted, watched and stopped.

Nothing is pickled: the job's script starts `finecomb.training.worker` on the frozen run directory, which must lie on a disk that the nodes
share. The worker takes the run's lock itself, so it must be free when the job starts. A job outlives the command that submitted it; the
same command finds the job in the queue and waits for it instead of submitting another.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from finecomb.core import atomic, files
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import Machine
from finecomb.launch import workers
from finecomb.launch.environment import FOREIGN
from finecomb.launch.freeze import Frozen
from finecomb.runs.directory import RunDirectory
from finecomb.runs.lock import Lock

ASK_EVERY = 5.0  # seconds between looks at the queue, which all jobs share
GONE = 3  # looks at the queue at which a job has ended before it counts as ended without an exit code; a shared disk may be late
JOB, SCRIPT, EXIT = "slurm.json", "slurm.sh", "slurm.exit"  # in the run's logs/
SECONDS_TO_STOP = 120  # before its time limit, the worker gets SIGTERM and keeps a checkpoint; at most a quarter of the limit
_OVER = frozenset(["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "PREEMPTED"])
_TERMINATED = 143  # exit code after SIGTERM


@dataclass(frozen=True)
class Slurm:
    """What each job asks SLURM for, by the names of submitit: minutes, CPUs and GPUs per task and node, gigabytes.

    setup: lines put before the worker. additional_parameters: options of sbatch without their dashes; True is a bare option.
    """

    timeout_min: int = 60
    cpus_per_task: int = 4
    gpus_per_node: int | None = None
    mem_gb: float | None = None
    partition: str | None = None
    qos: str | None = None
    account: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    comment: str | None = None
    setup: tuple[str, ...] = ()
    additional_parameters: Mapping[str, object] = field(default_factory=dict)

    def machine(self) -> Machine:
        """The node as configs are resolved for it. bf16 is not assumed: ask for it with trainer.precision=bf16-mixed."""
        return Machine(cores=self.cpus_per_task, gpus=self.gpus_per_node or 0, bf16=False, shared=False)

    def script(self, run: RunDirectory, *, ranks: int, nodes: int, threads: int) -> str:
        """The batch script. ranks: processes on each node."""
        options = {
            "job-name": f"finecomb-{run.fingerprint}",
            "time": self.timeout_min,
            "nodes": nodes,
            "ntasks-per-node": ranks,
            "cpus-per-task": self.cpus_per_task,
            "gpus-per-node": self.gpus_per_node,
            "mem": None if self.mem_gb is None else f"{round(self.mem_gb * 1024)}M",
            **{name: getattr(self, name) for name in ("partition", "qos", "account", "constraint", "exclude", "comment")},
            "chdir": Path.cwd(),
            "output": run.log_path(0).resolve(),
            "open-mode": "append",
            "signal": f"TERM@{min(SECONDS_TO_STOP, self.timeout_min * 15)}",
            **{name.replace("_", "-"): value for name, value in self.additional_parameters.items()},
        }
        header = [_directive(name, value) for name, value in options.items() if value is not None and value is not False]
        exports = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "PYTHONHASHSEED": 0, "PYTHONUNBUFFERED": 1}
        worker = shlex.join([*workers.WORKER, str(run.path.resolve())])
        exit_file = shlex.quote(str((run.logs / EXIT).resolve()))
        return "\n".join(
            [
                "#!/bin/bash",
                *header,
                *[f"export {name}={value}" for name, value in exports.items()],
                *self.setup,
                f"rm -f {exit_file}",
                f"srun --kill-on-bad-exit=1 {worker}",
                "code=$?",
                # srun also returns when the job is cancelled or requeued, before the worker has ended and with a code of its own.
                'case $(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T) in',
                f'RUNNING | "") echo $code > {exit_file}.tmp && mv {exit_file}.tmp {exit_file} ;;',
                "esac",
                "exit $code",
                "",
            ]
        )


def _directive(name: str, value: object) -> str:
    text = f"--{name}" if value is True else f"--{name}={value}"
    if re.search(r"[\r\n]", text):
        raise ConfigError(Problem(f"{name} has a line break", "hydra.launcher", hint="write it on one line"))
    return f"#SBATCH {text}"


class Queue:
    """The user's jobs as SLURM lists them, looked at no more often than ASK_EVERY seconds."""

    def __init__(self) -> None:
        self._jobs: dict[str, Listing] = {}
        self._looked = -float("inf")
        self.looks = 0

    def job(self, number: str) -> Listing | None:
        """How SLURM lists a job, also for some minutes after its end; None for a job it does not know (any more).

        When SLURM does not answer, its last answer counts: a job is not given up for a busy controller.
        """
        if time.monotonic() - self._looked >= ASK_EVERY:
            self._looked = time.monotonic()
            with contextlib.suppress(subprocess.SubprocessError, OSError):
                lines = _ask("squeue", "--noheader", "--states=all", f"--user={getpass.getuser()}", "--format=%i|%T|%r").splitlines()
                fields = [line.strip().split("|", 2) for line in lines if line.count("|") >= 2]
                self._jobs = {job: Listing(state, reason) for job, state, reason in fields}
                self.looks += 1
        return self._jobs.get(number)


@dataclass(frozen=True)
class Listing:
    """State of a job in SLURM's words, and why it waits."""

    state: str
    reason: str

    @property
    def is_over(self) -> bool:
        """Whether the job has ended and will not start again; a requeued one is pending."""
        return self.state in _OVER


class SlurmBackend:
    """Starts the workers of jobs as jobs of SLURM, all with the same options."""

    def __init__(self, options: Slurm) -> None:
        self._options, self._queue = options, Queue()

    def check(self, job: Frozen) -> None:
        """Accept it: sbatch refuses what the cluster cannot run, when the job is submitted."""

    def start(self, job: Frozen, lock: Lock, threads: int) -> SlurmWorker:
        """Submit the job, or find it in the queue."""
        script = self._options.script(job.run, ranks=job.processes, nodes=job.config.trainer.num_nodes, threads=threads)
        return SlurmWorker(job.run, lock, script, self._queue)


class SlurmWorker:
    """One job of SLURM, for one run."""

    def __init__(self, run: RunDirectory, lock: Lock, script: str, queue: Queue) -> None:
        """Submit it, or find the job that an earlier command submitted. Raises ConfigError with sbatch's own words when it refuses."""
        self.run, self.queue = run, queue
        self.started = time.monotonic()
        self._missed = (0, 0)  # looks without the job, and the look it was counted at
        self._signalled = False
        lock.release()
        self.job = self._earlier() or self._submit(script)

    def _earlier(self) -> str | None:
        path = self.run.logs / JOB
        if not path.exists() or (self.run.logs / EXIT).exists():
            return None
        job = str(files.read_json(path)["job"])
        listing = self.queue.job(job)
        return None if listing is None or listing.is_over else job

    def _submit(self, script: str) -> str:
        (self.run.logs / EXIT).unlink(missing_ok=True)
        path = self.run.logs / SCRIPT
        atomic.write_text(path, script)
        try:
            answer = _ask("sbatch", "--parsable", str(path))
        except subprocess.CalledProcessError as error:
            raise ConfigError(Problem(f"sbatch refused the job: {error.stderr.strip()}", str(path), hint="set hydra.launcher.*")) from error
        except (OSError, subprocess.SubprocessError) as error:
            raise ConfigError(
                Problem(f"sbatch cannot be run: {error}", "hydra/launcher", hint="start the command where jobs can be submitted")
            ) from error
        job = answer.strip().split(";")[0]
        atomic.write_json(self.run.logs / JOB, {"job": job})
        return job

    def poll(self) -> int | None:
        """The exit code once the job has ended, else None; -9 for a job that was ended from outside and so has none."""
        path = self.run.logs / EXIT
        if path.exists():
            return int(path.read_text())
        listing = self.queue.job(self.job)
        count, look = self._missed
        if listing is not None and not listing.is_over:
            self._missed = (0, self.queue.looks)
        elif look != self.queue.looks:
            self._missed = (count + 1, self.queue.looks)
        if self._missed[0] < GONE:
            return None
        return 1 if listing is not None and listing.state == "FAILED" else -signal.SIGKILL

    def signal(self, number: int) -> None:
        """Ask the worker to end, or end it; a job that still waits is taken off the queue."""
        self._signalled = True
        listing = self.queue.job(self.job)
        polite = number == signal.SIGTERM and listing is not None and listing.state == "RUNNING"
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            _ask("scancel", *(["--signal=TERM"] if polite else []), self.job)

    def wait(self, seconds: float) -> bool:
        """Wait at most so long for the job to end; whether it has."""
        deadline = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def note(self) -> str | None:
        """Why the job waits in the queue, or what ended it, in SLURM's words; None while it runs and after an end of its own."""
        listing, path = self.queue.job(self.job), self.run.logs / EXIT
        if path.exists():
            near = not self._signalled and int(path.read_text()) == _TERMINATED
            return f"job {self.job} of SLURM received SIGTERM, as it does near its time limit (timeout_min)" if near else None
        if listing is None or listing.state in ("RUNNING", "COMPLETING", "COMPLETED", "FAILED"):
            return None
        return f"job {self.job} of SLURM: {listing.state}" + (f" ({listing.reason})" if listing.reason not in ("", "None") else "")

    def close(self) -> None:
        """Nothing is held here: the worker had the run's lock."""


def check() -> None:
    """Raise ConfigError when SLURM's commands are not here."""
    missing = [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]
    if missing:
        what = f"{', '.join(missing)} not found: this machine cannot submit to SLURM"
        raise ConfigError(
            Problem(what, "hydra/launcher=submitit_slurm", hint="start the command on a login node, or leave hydra/launcher out")
        )


def _ask(*words: str) -> str:
    # Inside an allocation SLURM's own variables would decide over what we ask for.
    kept = {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or not name.startswith("SLURM_")}
    environment = {name: value for name, value in kept.items() if name not in FOREIGN}
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True, env=environment).stdout
