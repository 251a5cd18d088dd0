"""Make the two lock files of two resolutions: of everything, and of what finecomb itself needs at the same versions.

Out of both goes what an override has marked as never installed: torch, and what only torch needs.
"""

import re
import sys
from pathlib import Path

RUN = """\
# What finecomb needs but torch, with hashes. torch stands outside: its CPU and GPU builds need different packages, so it is
# installed first (torch==2.13.0, with its own needs); then: pip install --require-hashes --no-deps -r requirements.lock
# Made by `make lock`.
"""
DEV = """\
# What the extras, the tests, the tools of development and the documentation need besides requirements.lock, with hashes.
# Made by `make lock`.
"""


def entries(path: Path) -> list[str]:
    """The packages of a lock file, each with its hashes."""
    parts = re.split(r"(?m)^(?=[^\s#])", path.read_text())
    return [part for part in parts if part.strip() and not part.startswith("#") and "sys_platform == 'never'" not in part]


def main(everything: Path, needed: Path) -> None:
    """Write requirements.lock and requirements-dev.lock into the current folder."""
    run, complete = entries(needed), entries(everything)
    if other := set(run) - set(complete):
        sys.exit(f"the two resolutions differ: {sorted(entry.split()[0] for entry in other)}")
    Path("requirements.lock").write_text(RUN + "".join(run))
    Path("requirements-dev.lock").write_text(DEV + "".join(entry for entry in complete if entry not in run))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
