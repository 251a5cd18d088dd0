"""Who holds a run: a lock that the kernel gives back when its last holder dies.

The lock belongs to the open file, not to a process: a worker that inherits the descriptor goes on holding the run when
the command that started it is killed, and nobody else can start the run before the worker has ended too.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from finecomb.core.atomic import reported_when_full

# Seconds between tries to take a lock. A reader that only asks (`is_held`) is in the way for a moment, on a busy machine for as long as it
# waits for a core; a holder stays.
PAUSES = (0.001, 0.005, 0.01, 0.02, 0.02, 0.05, 0.05, 0.1)


@dataclass(frozen=True)
class Owner:
    """Who took a lock: process and machine, and when (seconds since 1970)."""

    pid: int
    host: str
    since: float

    def alive(self) -> bool | None:
        """Whether the process still runs; None on another machine, where that cannot be asked."""
        if self.host != socket.gethostname():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return not _has_ended(self.pid)


class Held(Exception):
    """Another process holds the lock; `owner` says which, None when the holder left no word."""

    def __init__(self, path: Path, owner: Owner | None) -> None:
        self.path = path
        self.owner = owner
        who = f"process {owner.pid} on {owner.host}" if owner else "another process"
        super().__init__(f"{path.parent} is held by {who}")


class Lock:
    """An exclusive lock on a file, taken at once or refused with `Held`.

    `descriptor` may be handed to a child process (`pass_fds`), which then shares the lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = -1

    def acquire(self) -> Lock:
        """Take the lock; raises `Held` when another open file has it."""
        with reported_when_full(self.path):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._flock(descriptor)
                owner = Owner(os.getpid(), socket.gethostname(), time.time())
                os.pwrite(descriptor, json.dumps(asdict(owner)).encode().ljust(200), 0)
            except BaseException:
                os.close(descriptor)
                raise
        self.descriptor = descriptor
        return self

    def _flock(self, descriptor: int) -> None:
        for pause in (*PAUSES, None):
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if pause is None:
                    raise Held(self.path, read_owner(self.path)) from None
                time.sleep(pause)

    def release(self) -> None:
        """Close our descriptor; the lock is free once every process that inherited it has closed it too."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Lock:
        return self if self.descriptor >= 0 else self.acquire()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


@contextmanager
def waited_for(path: Path) -> Iterator[None]:
    """Hold a lock for a moment, waiting for whoever has it: for making a directory, never for a training."""
    with reported_when_full(path), path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _has_ended(pid: int) -> bool:
    """Whether a process is dead and only waits for its parent to ask how it ended (known on Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def is_held(path: Path) -> bool:
    """Whether some process holds the lock now; a missing file is free. Writes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # A shared lock is refused only by an exclusive one, and two readers do not disturb each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_owner(path: Path) -> Owner | None:
    """Who last took the lock, as far as the file can say."""
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
