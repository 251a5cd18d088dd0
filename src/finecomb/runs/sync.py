"""Uploads what was mirrored offline, by W&B's own command, which puts the pieces of one run together in the order of their start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from finecomb.runs import wandb_folder

TIMEOUT = 3600  # seconds for everything


def pending(paths: Sequence[Path]) -> list[Path]:
    """Folders that W&B has not marked as synced, oldest first (their names hold the time)."""
    found = {folder.resolve(): folder for path in paths for folder in wandb_folder.find(path)}
    waiting = [folder for folder in found.values() if not any(folder.glob("*.wandb.synced"))]
    return sorted(waiting, key=lambda folder: folder.name)


def sync(paths: Sequence[Path], tell: Callable[[str], None]) -> bool:
    """Upload all that is pending, telling what W&B says; whether it worked. What was not uploaded stays pending."""
    folders = pending(paths)
    if not folders:
        tell("nothing waits to be uploaded")
        return True
    tell(f"{len(folders)} W&B folders wait to be uploaded")
    command = [sys.executable, "-m", "wandb", "sync", "--yes", *map(str, folders)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        tell(f"not finished after {TIMEOUT} s; asked again, the rest is uploaded")
        return False
    for line in (done.stdout + done.stderr).splitlines():
        if line.strip():
            tell(line)
    return done.returncode == 0
