"""Files that are complete or absent: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Exit code of a worker that a full disk stopped: it may be unable to write anything about it.
DISK_FULL = int(errno.ENOSPC)


@contextmanager
def reported_when_full(path: Path) -> Iterator[None]:
    """Turn "no space left" into the user's error that names the disk and what to do; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ConfigError(
            Problem(
                what="the disk is full: nothing more could be written",
                where=str(path),
                hint="free some space, or choose another disk by output_dir=DIR; what was half written has been removed",
            )
        ) from error


def is_full(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error. Libraries in Rust raise kinds of their own, which only say so in words."""
    while error is not None:
        if (isinstance(error, OSError) and error.errno in _FULL) or any(os.strerror(number) in str(error) for number in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def file(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: a reader, or a crash at any moment, sees the old file or the new one. Nothing is left on an error.

    Raises:
        ConfigError: the disk is full; the old file, if any, is untouched.
    """
    temporary = _beside(path)
    try:
        with reported_when_full(path):
            yield temporary
            replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def directory(path: Path, *, keep: bool = False) -> Iterator[Path]:
    """A new directory beside `path` to fill, which takes its place when the work inside is done. Nothing is left on an error.

    keep: a directory that is there by then stays, since another process made the same; else it is replaced (it is moved away first, so that
    a crash between two renames leaves none, never one in part).

    Raises:
        ConfigError: the disk is full.
    """
    temporary = _beside(path)
    try:
        with reported_when_full(path):
            temporary.mkdir()
            yield temporary
            _place(temporary, path, keep=keep)
            sync_directory(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove(path: Path, trash: Path) -> None:
    """Remove a file or directory; it is moved into the directory `trash` first, so that a kill leaves it whole or gone, never in part."""
    aside = _beside(trash / path.name)
    aside.mkdir(parents=True)
    with suppress(FileNotFoundError):
        os.replace(path, aside / path.name)
    shutil.rmtree(aside, ignore_errors=True)


def _place(source: Path, target: Path, *, keep: bool) -> None:
    while True:
        try:
            os.replace(source, target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if keep:
            return
        remove(target, target.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` as a `file`."""
    with file(path) as temporary, temporary.open("xb") as out:
        out.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of JSON that any reader takes: no NaN, no infinity."""
    write_text(path, json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def replace(source: Path, target: Path) -> None:
    """Move a complete file into its place and make the move last."""
    with reported_when_full(target):
        with source.open("rb") as complete:
            os.fsync(complete.fileno())
        os.replace(source, target)
        sync_directory(target.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory last; a file system that cannot do so is left alone."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def finite(value: Any) -> Any:
    """The same plain value with null where a float is NaN or infinite, for which JSON has no word."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
