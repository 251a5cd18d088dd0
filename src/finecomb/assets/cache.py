"""The cache: its root, its kinds of entries, hashes of content, locks between processes, and the error for a full disk."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem

_CHUNK = 1 << 20
# What was half written and not touched for so long belongs to no running process.
ABANDONED_SECONDS = 6 * 3600
IN_USE = "in-use"  # name of the lock that processes share while they prepare data
_STAGING_SECONDS = 7 * 24 * 3600


def cache_dir() -> Path:
    """The cache's root: $FINECOMB_CACHE, else ~/.cache/finecomb. Everything below it can be fetched or made again."""
    named = os.environ.get("FINECOMB_CACHE")
    return Path(named).expanduser().absolute() if named else Path.home() / ".cache" / "finecomb"


@dataclass(frozen=True)
class Kind:
    """A kind of entry of the cache. `finecomb cache` knows every kind from here; another folder of the cache counts as one of prepare.

    Attributes:
        folder: The folder below the root whose files and folders are the entries.
        holds: What the entries are.
        lock: Name of the lock that a process holds while it makes or reads an entry, `{}` for the entry's name; empty: there is none.
        prepare: Whether entries are in use while any `prepare` runs.
        grouped: Whether the entries are one level further down, in a folder for each step.
        unfinished: Whether entries are work of a running process, which is abandoned when it was not touched for six hours.
    """

    folder: str
    holds: str = ""
    lock: str = ""
    prepare: bool = True
    grouped: bool = False
    unfinished: bool = False

    def path(self, *names: str) -> Path:
        """The folder of the kind, or what has these names below it."""
        return cache_dir().joinpath(self.folder, *names)


DISTRIBUTIONS = Kind("distributions", "files of package registries", lock="{}", prepare=False)
MEMBERS = Kind("members", "files unpacked from distributions", lock="{}", prepare=False)
DOWNLOADS = Kind("downloads", "files of a pinned hash", lock="{}", prepare=False)
FETCHED = Kind("fetched", "dumps and archives of the web")
CRAWL = Kind("crawl", "pages of a crawl and its state", lock="crawl-{}")
COMMON_CRAWL = Kind("common_crawl", "records of web archives", lock="common-crawl-{}")
WIKIPEDIA = Kind("wikipedia", "articles of a dump as text")
SHARDS = Kind("shards", "rows and results of cleaning steps", grouped=True)
PREPARED = Kind("prepared", "prepared data", lock="{}")
ENCODED = Kind("encoded", "tokens", prepare=False)
BASES = Kind("bases", "weights that artifacts share, tiny models", prepare=False)
RAY = Kind("ray", "marks by which nodes of a cluster recognize the cache", unfinished=True)
STAGING = Kind("staging", "unfinished work", prepare=False, unfinished=True)
LOCKS = Kind("locks")  # no entries: removing the lock file of a running process would free the lock
KINDS = (DISTRIBUTIONS, MEMBERS, DOWNLOADS, FETCHED, CRAWL, COMMON_CRAWL, WIKIPEDIA, SHARDS, PREPARED, ENCODED, BASES, RAY, STAGING)


def offline() -> bool:
    """Whether the user forbade the network (FINECOMB_OFFLINE=1 or HF_HUB_OFFLINE=1)."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in ("FINECOMB_OFFLINE", "HF_HUB_OFFLINE"))


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_directory(path: Path) -> str:
    """The sha256 of a directory's content: each file's relative name and hash, in order of name.

    Hidden files and folders (`.git`, `.cache`) do not count: they hold no weights and no text.
    """
    files = {}
    for file in path.rglob("*"):
        relative = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in relative.parts):
            files[relative.as_posix()] = file
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{hash_file(files[name])}\n".encode())
    return digest.hexdigest()


def content_hash(path: Path) -> str:
    """`hash_directory` of a directory, `hash_file` of a file."""
    return hash_directory(path) if path.is_dir() else hash_file(path)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the cache's lock of that name, waiting for whoever has it. The kernel frees it when its holder dies."""
    with _locked(name, fcntl.LOCK_EX):
        yield


@contextmanager
def in_use() -> Iterator[None]:
    """Keep `finecomb cache clean` from removing results while they are computed and read; any number of processes may hold it."""
    with _locked(IN_USE, fcntl.LOCK_SH):
        yield


@contextmanager
def free(name: str) -> Iterator[bool]:
    """Whether no process holds the lock of that name; while the answer is yes, none can take it."""
    with ExitStack() as held:
        try:
            held.enter_context(_locked(name, fcntl.LOCK_EX | fcntl.LOCK_NB))
            is_free = True
        except BlockingIOError:
            is_free = False
        yield is_free


@contextmanager
def _locked(name: str, operation: int) -> Iterator[None]:
    path = LOCKS.path(f"{name}.lock")
    with room_on_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        fcntl.flock(file, operation)
        yield


def mark_used(path: Path) -> None:
    """Record now as the last use of a file: its time of access, which file systems may not keep by themselves."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def remove(path: Path) -> None:
    """Remove a file or folder of the cache, whole or not at all."""
    atomic.remove(path, STAGING.path())


@contextmanager
def staging() -> Iterator[Path]:
    """A fresh directory inside the cache, so that what is made in it can be renamed to its place at once; gone afterwards."""
    parent = STAGING.path()
    with room_on_disk(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _clear_abandoned(parent)
        directory = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _clear_abandoned(parent: Path) -> None:
    """Remove what processes that were killed left behind long ago."""
    for left in parent.iterdir():
        # Another process may remove its own directory between the listing and the look.
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _STAGING_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


@contextmanager
def room_on_disk(directory: Path, needed: int | None = None) -> Iterator[None]:
    """Turn a full disk or a directory that cannot be written into the user's error.

    needed: bytes that the work inside writes, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ConfigError(full_disk(directory, needed)) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            problem = Problem(f"cannot write: {error}", str(directory), hint="set FINECOMB_CACHE to a folder you may write to")
            raise ConfigError(problem) from error
        raise


def full_disk(directory: Path, needed: int | None = None) -> Problem:
    """What to tell the user when `directory` has no room for `needed` bytes."""
    place = next((parent for parent in (directory, *directory.parents) if parent.exists()), Path("/"))
    free = shutil.disk_usage(place).free
    wanted = f"about {megabytes(needed)} needed, " if needed else ""
    return Problem(
        f"the disk is full: {wanted}{megabytes(free)} free",
        str(directory),
        hint="make room there, or set FINECOMB_CACHE (the cache) or output_dir (the runs) to a folder on another disk",
    )


def megabytes(count: int) -> str:
    """A number of bytes as text, in MB."""
    return f"{count / 1e6:,.1f} MB"


def copy_limited(source: object, target: Path, limit: int) -> int:
    """Copy an open binary stream into a new file; more than `limit` bytes raise ValueError. Returns the bytes written."""
    written = 0
    with target.open("xb") as out:
        while chunk := source.read(_CHUNK):  # type: ignore[attr-defined]
            written += len(chunk)
            if written > limit:
                raise ValueError(f"more than {megabytes(limit)}")
            out.write(chunk)
    return written
