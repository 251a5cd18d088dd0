"""What is said of a file or folder that is not there."""

from __future__ import annotations

from pathlib import Path

from finecomb.core.errors import ConfigError, Problem, nearest


def existing(path: Path, key: str) -> Path:
    """The path of a file or folder, else the user's error, with the nearest names in its folder where nothing is there."""
    path = path.expanduser()
    if path.is_file() or path.is_dir():
        return path
    if path.exists():
        raise ConfigError(Problem(f"{path} is a device, pipe or socket, and no file", key, hint="write its content to a file first"))
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    missing = path.relative_to(folder).parts[0] if folder in path.parents else path.name
    names = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    near = nearest(missing, names)
    listed = f"nearest: {near}" if near else ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
    raise ConfigError(
        Problem(f"no such file or folder: {path}", key, allowed=f"in {folder.resolve()}: {listed or 'nothing'}", hint=f"correct {key}")
    )
