"""Take out of a lock file what an override has marked as never installed: torch, and what only torch needs."""

import re
import sys
from pathlib import Path

HEAD = """\
# Everything finecomb needs but torch, with hashes. torch stands outside: its CPU and GPU builds need different packages, so it is
# installed first (torch==2.13.0, with its own needs); then: pip install --require-hashes --no-deps -r requirements.lock
# Made by `make lock`.
"""


def main(path: Path) -> None:
    """Rewrite the lock at `path` in place."""
    entries = re.split(r"(?m)^(?=[^\s#])", path.read_text())
    path.write_text(HEAD + "".join(entry for entry in entries if entry.strip() and "sys_platform == 'never'" not in entry))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
