"""A SLURM cluster of one node on this machine, with the daemons of an installed SLURM and nothing outside a temporary folder."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "squeue", "scancel", "srun", "scontrol", "sinfo")
# CPUs may be more than there are (config_overrides). A job that is killed has KillWait seconds after SIGTERM.
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=10
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Cluster:
    """What tests ask of the cluster, by SLURM's own commands."""

    def ask(self, *words: str) -> str:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def state(self, job: str) -> str:
        return self.ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def jobs(self) -> int:
        """How many jobs there were and are."""
        return len(self.ask("squeue", "--noheader", "--states=all", "--format=%i").splitlines())

    def requeue(self, job: str) -> None:
        """Requeue a running job and let it start at once, for which SLURM itself waits two minutes."""
        self.ask("scontrol", "requeue", job)
        until(lambda: self.state(job) == "PENDING")
        self.ask("scontrol", "update", f"JobId={job}", "StartTime=now")


@pytest.fixture(scope="session")
def _started_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in (*DAEMONS, *COMMANDS) if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"needs an installed SLURM and munge; {', '.join(missing)} not found")
    folder = tmp_path_factory.mktemp("slurm")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    environment |= {"PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        with suppress(subprocess.SubprocessError):  # a daemon that does not start is seen by the node's state
            _start(folder, environment)
        if not _is_idle(folder, environment):
            pytest.skip(f"an installed SLURM could not be started: {_last_errors(folder)}")
        yield folder
        subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, timeout=60)
    finally:
        for name in reversed(DAEMONS):
            with suppress(OSError, ValueError):
                os.kill(int((folder / f"{name}.pid").read_text()), signal.SIGTERM)


def _start(folder: Path, environment: dict[str, str]) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    host = socket.gethostname().split(".")[0]
    (folder / "slurm.conf").write_text(CONFIG.format(folder=folder, host=host, user=getpass.getuser(), ports=ports))
    files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "seed"}
    munge = ["munged", "--force", *[f"--{option}={folder / name}" for option, name in files.items()]]
    for words in (munge, ["slurmctld"], ["slurmd"]):
        with (folder / "output.log").open("ab") as log:
            subprocess.run(words, env=environment, check=True, timeout=30, stdout=log, stderr=log)


def _is_idle(folder: Path, environment: dict[str, str]) -> bool:
    for _ in range(40):
        answer = subprocess.run(["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, timeout=60)
        if answer.stdout.strip() == "idle":
            return True
        time.sleep(0.5)
    return False


def _last_errors(folder: Path) -> str:
    lines = [line for path in sorted(folder.glob("*.log")) for line in path.read_text(errors="replace").splitlines() if "rror" in line]
    return "; ".join(lines[-3:])


@pytest.fixture
def slurm_cluster(_started_cluster: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, for the launchers of one test."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLURM_CONF", str(_started_cluster / "slurm.conf"))
    return Cluster()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
