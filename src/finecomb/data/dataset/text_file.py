"""The bytes of a text file as text: compression, encoding, and what is wrong with it, by line."""

from __future__ import annotations

from pathlib import Path

from finecomb.config.errors import Problem, UserError, nearest

# What pyarrow undoes by itself, by suffix; .xz is the standard library's.
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br", ".xz")


def existing(path: Path, key: str) -> Path:
    """The path if something is there, else the user's error with the nearest names in its folder."""
    path = path.expanduser()
    if path.exists():
        return path
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    missing = path.relative_to(folder).parts[0] if folder in path.parents else path.name
    names = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
    near = nearest(missing, names)
    listed = f"nearest: {near}" if near else ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
    raise UserError(
        Problem(f"no such file or folder: {path}", key, allowed=f"in {folder.resolve()}: {listed or 'nothing'}", mend=f"correct {key}")
    )


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, uncompressed. Raises UserError for a file that is empty, unreadable or cut short."""
    import lzma

    import pyarrow

    try:
        if path.suffix == ".xz":
            data = lzma.decompress(path.read_bytes())
        else:
            with pyarrow.input_stream(str(path), compression="detect") as stream:
                data = stream.read()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UserError(Problem(f"cannot read {path.name}: {error}", str(path), mend="is it complete, and a file you may read?")) from error
    if not data.strip():
        raise UserError(Problem(f"{path.name} is empty", str(path)))
    return bytes(data)


def read_text(path: Path, encoding: str) -> str:
    """The text of a file. Raises UserError, with the line, for bytes that are not text in that encoding."""
    data = read_bytes(path)
    marks = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    looks_like = marks.get(data[:2])
    if looks_like is None and b"\0" in data and not encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        at = data.index(b"\0")
        raise UserError(Problem("a NUL byte: this is not a text file, or not in this encoding", _where(path, data, at), mend=_mend(None)))
    try:
        return data.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except LookupError as error:
        raise UserError(
            Problem(f"unknown encoding {encoding!r}", "dataset.encoding", allowed="utf-8, utf-16, latin-1, cp1252, ...")
        ) from error
    except UnicodeDecodeError as error:
        what = f"byte {data[error.start]:#04x} is not {encoding}" + (f"; the file looks like {looks_like}" if looks_like else "")
        raise UserError(Problem(what, _where(path, data, error.start), mend=_mend(looks_like))) from error


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends (line feed, or carriage return and line feed: other separators occur inside texts)."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _where(path: Path, data: bytes, at: int) -> str:
    line = data.count(b"\n", 0, at) + 1
    return f"{path}, line {line} (byte {at:,})"


def _mend(looks_like: str | None) -> str:
    return f"set dataset.encoding={looks_like or 'to what the file was written in, such as cp1252, latin-1 or utf-16'}"
