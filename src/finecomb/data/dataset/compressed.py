"""The bytes of a file, uncompressed, block by block; what comes before a fault is given, then the fault is told."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from finecomb.data.dataset.file_search import File

BLOCK = 1 << 20
# Undone by the standard library: .gz, .bz2, .xz; by pyarrow: .zst, .lz4 (frames), .br.
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br", ".xz")
# A file that unpacks to more than this many times its size, beyond the first bytes, is refused: deflate's bombs reach 1,030, others far
# more; text that repeats itself stays below 200.
RATIO, FLOOR = 250, 64 << 20
LARGEST = 1 << 40
CUT_SHORT, BOMB, UNREADABLE = "the file is cut short", "the file unpacks to far more than its size", "the file cannot be read"


class Damaged(Exception):
    """A file that cannot be read to its end.

    reason: the same for every such file. detail: what was found in this one. text: the line in which it ends. read: the share of the file
    that came before the fault; None where that is not known, as for a file that was cut.
    """

    text = ""

    def __init__(self, reason: str, detail: str = "", read: float | None = None) -> None:
        self.reason, self.detail, self.read = reason, detail, read
        super().__init__(f"{reason}: {detail}")


def blocks(file: File) -> Iterator[bytes]:
    """Blocks of about 1 MB. Raises Damaged where reading ends early, and ConfigError for a file that changes meanwhile."""
    import lzma

    import pyarrow

    if file.problem is not None:
        raise Damaged(UNREADABLE, file.problem)
    total = given = spent = 0

    def share() -> float:
        whole = file.unpacked if file.unpacked is not None else _declared(file)
        return min(1.0, given / whole if whole is not None and whole >= given else spent / max(1, file.size))

    try:
        with open(file.path, "rb") as raw:
            file.unchanged(os.fstat(raw.fileno()))
            stream, packed = _unpacked(file, raw)
            while data := stream(BLOCK):
                total += len(data)
                spent = max(1, packed if packed is not None else raw.tell())
                if (total > FLOOR and total > RATIO * spent) or total > LARGEST:
                    raise Damaged(BOMB, f"{spent:,} bytes became {total:,}; unpack it yourself if that is right", share())
                yield data
                given = total
            file.unchanged(os.fstat(raw.fileno()))
    except FileNotFoundError as error:
        file.unchanged(None)
        raise Damaged(UNREADABLE, "it is gone") from error
    except EOFError as error:
        raise Damaged(CUT_SHORT, f"after {total:,} bytes of text", None if file.unpacked is None else share()) from error
    except (OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError, NotImplementedError, pyarrow.ArrowException) as error:
        if "truncated" in str(error).lower():
            raise Damaged(CUT_SHORT, f"after {total:,} bytes of text", None if file.unpacked is None else share()) from error
        # A wrong checksum comes to light at the end: some of what was read is not what was written, and nobody knows what.
        raise Damaged(UNREADABLE, str(error)[:200], None if "crc" in str(error).lower() and share() == 1 else share()) from error


def _declared(file: File) -> int | None:
    """Bytes of a .gz file's text, which stand at its end modulo 4 GiB (RFC 1952, section 2.3.1); None for other files."""
    if file.path.suffix.lower() != ".gz" or file.size < 18:
        return None
    with open(file.path, "rb") as raw:
        raw.seek(-4, os.SEEK_END)
        return int.from_bytes(raw.read(4), "little") or None


def _unpacked(file: File, raw: BinaryIO) -> tuple[Any, int | None]:
    """A function that reads at most so many bytes, and the packed size where it is known."""
    import bz2
    import gzip
    import lzma

    import pyarrow

    if file.member is not None:
        archive = zipfile.ZipFile(raw)
        return cast(zipfile.ZipExtFile, archive.open(file.member)).read1, archive.getinfo(file.member).compress_size
    suffix = file.path.suffix.lower()
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw).read1, None
    if suffix == ".bz2":
        return bz2.BZ2File(raw).read1, None
    if suffix == ".xz":
        return lzma.LZMAFile(raw).read1, None
    if suffix in COMPRESSED:
        kind = {".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}[suffix]
        return pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), kind).read, None
    return raw.read, None


def members(file: File) -> list[File]:
    """The files inside a zip archive, by name; a file that is none is itself. Raises Damaged."""
    if file.problem is not None:
        raise Damaged(UNREADABLE, file.problem)
    if file.path.suffix.lower() != ".zip" or file.member is not None:
        return [file]
    try:
        with zipfile.ZipFile(file.path) as archive:
            inside = [info for info in archive.infolist() if not info.is_dir() and not _hidden(info.filename)]
    except FileNotFoundError as error:
        file.unchanged(None)
        raise Damaged(UNREADABLE, "it is gone") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise Damaged(UNREADABLE, str(error)[:200]) from error
    if not inside:
        raise Damaged(UNREADABLE, "the archive holds no file")
    # No member gives more than it declares, so that this bounds all of them together.
    total = sum(info.file_size for info in inside)
    if total > FLOOR and total > RATIO * max(1, file.size):
        raise Damaged(BOMB, f"{file.size:,} bytes would become {total:,}; unpack it yourself if that is right", 0.0)
    sizes = {info.filename: info.file_size for info in inside}
    return [file.inside(name, size) for name, size in sorted(sizes.items())]


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def whole(file: File, most: int) -> bytes:
    """All bytes of a file. Raises Damaged also where there are more than `most`."""
    data = io.BytesIO()
    for block in blocks(file):
        data.write(block)
        if data.tell() > most:
            raise Damaged(UNREADABLE, f"it holds more than {most >> 20:,} MB, which is more than can be taken as a whole")
    return data.getvalue()
