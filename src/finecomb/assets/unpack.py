"""Take one member, a file or a folder, out of a zip or tar archive. Nothing else is unpacked and nothing leaves the target."""

from __future__ import annotations

import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from finecomb.assets.cache import copy_limited
from finecomb.core.errors import ConfigError, Problem, nearest

LIMIT_BYTES = 16 * 10**9
LIMIT_FILES = 10_000


class Archive:
    """The plain files of an open zip or tar archive, by name. Links, devices and folders are not among them."""

    def __init__(self, files: dict[str, zipfile.ZipInfo | tarfile.TarInfo], opened: zipfile.ZipFile | tarfile.TarFile) -> None:
        self.files = files
        self._opened = opened

    def open(self, name: str) -> IO[bytes]:
        """The bytes of one file."""
        if isinstance(self._opened, zipfile.ZipFile):
            return self._opened.open(self.files[name])  # type: ignore[arg-type]
        stream = self._opened.extractfile(self.files[name])  # type: ignore[arg-type]
        if stream is None:
            raise ValueError(f"{name} is not a plain file")
        return stream


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a zip or tar archive by its content, whatever it is called."""
    with ExitStack() as stack:
        if zipfile.is_zipfile(path):
            opened = stack.enter_context(zipfile.ZipFile(path))
            plain = (info for info in opened.infolist() if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16))
            yield Archive({info.filename: info for info in plain}, opened)
        elif tarfile.is_tarfile(path):
            tar = stack.enter_context(tarfile.open(path))
            yield Archive({i.name.removeprefix("./"): i for i in tar.getmembers() if i.isfile()}, tar)
        else:
            raise ConfigError(Problem("not a zip or tar archive", str(path)))


def unpack(archive: Path, members: list[str], target: Path, *, said: str) -> Path:
    """Take `members[0]` out of `archive`; each further member is inside the archive that the one before it is.

    target: an empty directory to write into. said: how the user names the archive, for messages.
    Returns the path of the file, or of the folder when the last member is one.
    """
    for depth, member in enumerate(members):
        last = depth == len(members) - 1
        place = target / str(depth)
        place.mkdir()
        try:
            with open_archive(archive) as opened:
                taken = _take(opened, member, place, said)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
            raise ConfigError(Problem(f"cannot take {member} out of the archive: {error}", said)) from error
        if not last and taken.is_dir():
            raise ConfigError(Problem(f"{member} is a folder, not an archive", said))
        archive = taken
    return archive


def _take(archive: Archive, member: str, place: Path, said: str) -> Path:
    member = member.strip("/")
    base = PurePosixPath(member).name
    if member in archive.files:
        with archive.open(member) as stream:
            copy_limited(stream, place / base, LIMIT_BYTES)
        return place / base
    inside = sorted(name for name in archive.files if name.startswith(member + "/"))
    if not inside:
        names = sorted(archive.files)
        near = nearest(member, names) or next((name for name in names if name.endswith(base)), None)
        allowed = f"nearest: {near}" if near else ", ".join(names[:10])
        raise ConfigError(Problem(f"no file or folder {member} in the archive", said, allowed=allowed))
    if len(inside) > LIMIT_FILES:
        raise ValueError(f"{len(inside):,} files, more than {LIMIT_FILES:,}")
    left = LIMIT_BYTES
    for name in inside:
        path = place / base / safe_relative(name.removeprefix(member + "/"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(name) as stream:
            left -= copy_limited(stream, path, left)
    return place / base


def safe_relative(name: str) -> PurePosixPath:
    """A member's name as a relative path; one that would leave its folder raises ValueError."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
        raise ValueError(f"unsafe name {name!r}")
    return path
