"""Files that are complete or absent: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Exit code of a worker that a full disk stopped: it may be unable to write anything about it.
DISK_FULL = int(errno.ENOSPC)


@contextmanager
def told_when_full(path: Path) -> Iterator[None]:
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


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a crash at any moment, sees the old file or the new one.

    Raises:
        ConfigError: the disk is full; the old file, if any, is untouched.
    """
    with told_when_full(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of JSON that any reader takes: no NaN, no infinity."""
    write_text(path, json.dumps(finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def replace(source: Path, target: Path) -> None:
    """Move a complete file into its place and make the move last."""
    with told_when_full(target):
        with source.open("rb") as file:
            os.fsync(file.fileno())
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
