"""A text file that is read as a whole, and what is said of a file that is not there."""

from __future__ import annotations

from pathlib import Path

from finecomb.core.errors import ConfigError, Problem, nearest

_LARGEST = 1 << 30


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


def read_text(path: Path, encoding: str) -> str:
    """The text of a file that fits in memory. Raises ConfigError, with the line, for bytes that are not text in that encoding."""
    # Here, since those modules look for files by `existing`.
    from finecomb.data.dataset.compressed import Damaged, whole
    from finecomb.data.dataset.file_search import File
    from finecomb.data.dataset.lines import Decoder, fault

    file = File(path, path.name)
    try:
        data = whole(file, _LARGEST)
    except Damaged as error:
        what = f"cannot read {path.name}: {error.detail or error.reason}"
        raise ConfigError(Problem(what, str(path), hint="is it complete, and a file you may read?")) from error
    if not data.strip():
        raise ConfigError(Problem(f"{path.name} is empty", str(path)))
    text, tainted = Decoder(encoding, file).decode(data, final=True)
    if tainted and (unreadable := fault(text, encoding, 1)):
        at = next(number for number, line in enumerate(text.split("\n"), start=1) if fault(line, encoding, number))
        raise ConfigError(Problem(unreadable.message, f"{path}, line {at}", hint="set dataset.encoding to what the file was written in"))
    return text


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends (line feed, or carriage return and line feed: other separators occur inside texts)."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
