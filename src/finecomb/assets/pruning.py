"""What the cache holds, and removing what was not used for longest. Everything in the cache can be fetched or computed again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from finecomb.assets.cache import ABANDONED_SECONDS, IN_USE, KINDS, LOCKS, Kind, cache_dir, free, remove


@dataclass(frozen=True)
class Entry:
    """One file or folder that is removed as a whole.

    Attributes:
        kind: What it is, and with it what keeps it in use.
        name: The folder of the cache it is in, such as `prepared` or `shards/stage`.
        size: Bytes of all its files.
        used: When a file of it was last read or written, as far as the file system records it; seconds since 1970.
    """

    kind: Kind
    name: str
    path: Path
    size: int
    used: float


def entries() -> list[Entry]:
    """Everything in the cache except lock files."""
    return [_entry(kind, folder, path) for kind, folder in _folders() for path in sorted(folder.iterdir())]


def _folders() -> Iterator[tuple[Kind, Path]]:
    root, kinds = cache_dir(), {kind.folder: kind for kind in KINDS}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and folder.name != LOCKS.folder:
            kind = kinds.get(folder.name, Kind(folder.name))
            inner = sorted(path for path in folder.iterdir() if path.is_dir()) if kind.grouped else [folder]
            yield from ((kind, path) for path in inner)


def _entry(kind: Kind, folder: Path, path: Path) -> Entry:
    name = folder.relative_to(cache_dir()).as_posix()
    size, used = 0, 0.0
    files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
    for file in files:
        try:
            facts = file.lstat()
        except FileNotFoundError:  # removed by its own process meanwhile
            continue
        size, used = size + facts.st_size, max(used, facts.st_atime, facts.st_mtime)
    try:
        return Entry(kind, name, path, size, used or path.lstat().st_mtime)
    except FileNotFoundError:
        return Entry(kind, name, path, 0, time.time())


def clean(held: Sequence[Entry], keep: int, *, dry_run: bool = False) -> tuple[list[Entry], list[Entry]]:
    """Remove entries, least recently used first, until at most `keep` bytes are left.

    An entry stays while its lock is held, while a process of this machine has a file of it open or mapped, and, where it is what
    `prepare` uses, while any `prepare` runs. Work that is not finished stays for six hours.

    Returns:
        Entries that were removed (with `dry_run`: that would be), and entries that stayed because they are in use.
    """
    left = sum(entry.size for entry in held)
    gone: list[Entry] = []
    busy: list[Entry] = []
    opened = _open_files(cache_dir())
    with free(IN_USE) as no_prepare:
        for entry in sorted(held, key=lambda entry: entry.used):
            if left <= keep:
                break
            with free(entry.kind.lock.format(entry.path.name)) if entry.kind.lock else nullcontext(True) as unlocked:
                if not unlocked or (entry.kind.prepare and not no_prepare) or _busy(entry, opened):
                    busy.append(entry)
                    continue
                if not dry_run:
                    remove(entry.path)
            gone.append(entry)
            left -= entry.size
    return gone, busy


def _busy(entry: Entry, opened: set[str]) -> bool:
    if entry.kind.unfinished and entry.used > time.time() - ABANDONED_SECONDS:
        return True
    return any(path == str(entry.path) or path.startswith(f"{entry.path}/") for path in opened)


def _open_files(root: Path) -> set[str]:
    """Files under `root` that processes of this machine have open or mapped (Linux; of other users' processes only what may be read)."""
    opened: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            names = [line.split(maxsplit=5)[5] for line in (process / "maps").read_text().splitlines() if str(root) in line]
            names += [os.readlink(link.path) for link in os.scandir(process / "fd")]
        except OSError:
            continue
        opened.update(name for name in names if name.startswith(f"{root}/"))
    return opened
