"""Python's documentation in HTML, some 530 pages: as installed, or from Debian's package, which is unpacked, not installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

LEAST = 500  # pages


class Absent(Exception):
    """It is not installed and cannot be had; the message says why."""


def python_docs(place: Path) -> Path:
    """The folder of the pages. place: an empty folder to unpack into. Raises Absent."""
    for start in sorted(Path("/usr/share/doc").glob("python3*/html/index.html")):
        if len(list(start.parent.rglob("*.html"))) >= LEAST:
            return start.parent
    try:
        _fetch(place)
    except (OSError, subprocess.SubprocessError) as error:
        raise Absent(f"Python's documentation is not installed and cannot be had as a Debian package: {error}") from error
    found = [path.parent for path in place.glob("usr/share/doc/python3*/html/index.html") if path.is_file()]
    if not found:
        raise Absent("Debian's package of Python's documentation holds no pages")
    return found[0]


def _fetch(place: Path) -> None:
    """By apt, with lists of its own where the machine has none."""

    def run(*command: str) -> str:
        return subprocess.run(command, cwd=place, check=True, capture_output=True, text=True, timeout=100).stdout

    options: list[str] = []
    search = ("search", "--names-only", r"^python3\.[0-9]+-doc$")
    if not (names := run("apt-cache", *search)):
        (place / "lists" / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::lists={place}/lists", "-o", f"Dir::Cache={place}"]
        run("apt-get", *options, "update")
        names = run("apt-cache", *options, *search)
    run("apt-get", *options, "download", names.split()[0])
    run("dpkg", "-x", str(next(place.glob("*.deb"))), str(place))
