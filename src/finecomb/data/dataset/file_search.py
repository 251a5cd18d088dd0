"""Which files a dataset is made of: a path, a pattern, a folder, or a list of these, in an order that never changes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from finecomb.assets import hash_file
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing

_PATTERN = re.compile(r"[*?\[]")
State = tuple[int, int, int]


class File:
    """One file to read.

    name: its path relative to what was asked for, with "/" on every system; it is part of ids. member: the file inside a zip archive, and
    unpacked the bytes that it declares. problem: why it cannot be opened, where that is known beforehand. listed: it was found in a folder
    that was named, not named itself.
    """

    def __init__(self, path: Path, name: str, *, member: str | None = None, problem: str | None = None, listed: bool = False) -> None:
        self.path, self.name, self.member, self.problem, self.listed = path, name, member, problem, listed
        self.unpacked: int | None = None
        self._state: State | None = None

    def __repr__(self) -> str:
        return f"File({self.name!r})"

    @property
    def size(self) -> int:
        """Bytes on disk, 0 where it is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def inside(self, member: str, unpacked: int) -> File:
        """A file of this archive."""
        inner = File(self.path, f"{self.name}!{member}", member=member)
        inner.unpacked = unpacked
        inner._state = self._state
        return inner

    def hash(self) -> str:
        """The sha256 of the bytes; from now on they may not change. "missing" for a file that cannot be read."""
        if self.problem is None:
            try:
                before = state_of(os.stat(self.path))
                digest = hash_file(self.path)
                self._state = before
                self.unchanged(os.stat(self.path))
                return digest
            except OSError:
                self._state = None
        return "missing"

    def unchanged(self, now: os.stat_result | None) -> None:
        """Raise ConfigError when the file is not what it was when it was hashed, or first seen: what is read must be what was hashed."""
        if now is not None and self._state is None:
            self._state = state_of(now)
        elif self._state is not None and (now is None or state_of(now) != self._state):
            what = f"{self.path} {'vanished' if now is None else 'changed'} while it was read"
            raise ConfigError(
                Problem(what, str(self.path), hint="let nothing write there, or copy the files first; then run the command again")
            )


def state_of(stat: os.stat_result) -> State:
    """What changes when a file is written to or replaced."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@dataclass(frozen=True)
class FileSet:
    """The files of one split.

    single: one file was named, not several or a pattern; its name is then no part of ids. skipped: names of files in a folder that are not
    read, since their suffix names no format.
    """

    files: list[File]
    single: bool
    given: str
    skipped: tuple[str, ...] = ()


def find(given: str | Sequence[str], base: Path | None, key: str) -> FileSet:
    """The files that are meant, sorted by name.

    given: paths, folders (every file below that is not hidden) and patterns (`*`, `?`, `[...]`, and `**` for any number of folders; hidden
    names only where the pattern says so), relative to `base`. Raises ConfigError with every name that leads to no file.
    """
    names = [given] if isinstance(given, str) else list(given)
    place = base.expanduser() if base else Path()
    problems: list[Problem] = []
    by_path: dict[str, File] = {}
    roots: list[str] = []
    single = isinstance(given, str) and (place / Path(given).expanduser()).is_file()
    for name in names:
        try:
            root, files = _files(place / Path(name).expanduser(), key)
        except ConfigError as error:
            problems += error.problems
            continue
        roots.append(os.path.abspath(root))
        by_path |= {os.path.abspath(file.path): file for file in files}
    if not names:
        problems.append(
            Problem("no file is named", key, hint=f"{key}=FILE, a folder, a pattern such as 'DIR/**/*.jsonl', or a list of these")
        )
    if problems:
        raise ConfigError(problems)
    common = os.path.commonpath([os.path.abspath(place)] if base and all(_below(path, place) for path in by_path) else roots)
    for path, file in by_path.items():
        file.name = Path(os.path.relpath(path, common)).as_posix()
    return FileSet(sorted(by_path.values(), key=lambda file: file.name), single, ", ".join(map(str, names)))


def _below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(os.path.abspath(folder))


def _files(path: Path, key: str) -> tuple[Path, list[File]]:
    """The folder that names are relative to, and the files."""
    if path.is_symlink() and not path.exists():
        raise ConfigError(Problem(f"{path} is a link that leads nowhere or in circles", key, hint="name what it should lead to"))
    if path.is_dir():
        return path, _nonempty(list(_walk(path, None)), path, key, "holds no file")
    if path.exists() or not _PATTERN.search(str(path)):
        return existing(path, key).parent, [File(path, path.name)]
    parts = path.parts
    fixed = next(number for number, part in enumerate(parts) if _PATTERN.search(part))
    folder = existing(Path(*parts[:fixed]) if fixed else Path(), key)
    pattern = [part for number, part in enumerate(parts) if number >= fixed and (part != "**" or parts[number - 1] != "**")]
    pattern += ["*"] if pattern[-1] == "**" else []
    return folder, _nonempty(list(_walk(folder, pattern)), folder, key, f"no file in it fits {'/'.join(pattern)}")


def _nonempty(files: list[File], folder: Path, key: str, what: str) -> list[File]:
    if any(file.problem is None for file in files):
        return files
    inside = sorted(item.name for item in folder.iterdir())[:12] if folder.is_dir() else []
    raise ConfigError(Problem(f"{folder}: {what}", key, allowed=f"it holds {', '.join(inside) or 'nothing'}", hint=f"correct {key}"))


def _walk(folder: Path, pattern: Sequence[str] | None) -> Iterator[File]:
    """Files below a folder that fit. Links to folders are followed once, after everything that is really there, so that circles end."""
    hidden = pattern is not None and any(part.startswith(".") for part in pattern)
    depth = None if pattern is None or "**" in pattern else len(pattern)
    seen: set[tuple[int, int]] = set()
    links: list[tuple[Path, tuple[str, ...]]] = [(folder, ())]
    while links:
        start, above = links.pop(0)
        stack = [(start, above)]
        while stack:
            here, parts = stack.pop()
            try:
                stat = os.stat(here)
                if (stat.st_dev, stat.st_ino) in seen:
                    if depth is None:
                        yield File(here, here.name, problem="a link to a folder that is read already")
                    continue
                seen.add((stat.st_dev, stat.st_ino))
                entries = sorted(os.scandir(here), key=lambda entry: entry.name)
            except OSError as error:
                yield File(here, here.name, problem=f"a folder that cannot be listed: {error.strerror}")
                continue
            for entry in entries:
                below = (*parts, entry.name)
                if entry.name.startswith(".") and not hidden:
                    continue
                fits = pattern is None or _fits(below, pattern)
                if _is(entry, "dir"):
                    if depth is None or len(below) < depth:
                        (links if entry.is_symlink() else stack).append((Path(entry.path), below))
                elif fits and _is(entry, "file"):
                    yield File(Path(entry.path), entry.name, listed=pattern is None)
                elif fits and entry.is_symlink():
                    yield File(Path(entry.path), entry.name, problem="a link that leads nowhere or in circles")
                elif fits:
                    yield File(Path(entry.path), entry.name, problem="a device, pipe or socket, and no file")


def _is(entry: os.DirEntry[str], kind: str) -> bool:
    try:
        return entry.is_dir() if kind == "dir" else entry.is_file()
    except OSError:
        return False


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _fits(parts, pattern[1:]) or (bool(parts) and _fits(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])
