"""How fast are files read, and in how much memory? `python -m benchmarks.reading`

A file of each format with the same rows (words drawn by Zipf's law, 1 KB a row) is written into a temporary folder and read as
`dataset=files` reads it, each in a process of its own. MB are of text in UTF-8; memory is
the largest resident size beyond that before reading.
Rates are by the processor's time, which other work on the machine does not change much.
"""

from __future__ import annotations

import argparse
import bz2
import csv
import gzip
import json
import lzma
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from finecomb.config.schema import dataset as schema

PLAIN = ("csv", "tsv", "jsonl", "txt", "parquet", "arrow")
PACKED = ("jsonl.gz", "jsonl.bz2", "jsonl.xz", "jsonl.zst", "jsonl.lz4")


def texts(megabytes: float) -> Iterator[str]:
    """Rows of 1 KB: 150 words or so, of a vocabulary of 20,000, some with a quotation mark or a comma."""
    draw = np.random.default_rng(0)
    letters = draw.integers(97, 123, (20_000, 12), dtype=np.uint8)
    words = [bytes(row[: 2 + number % 10]).decode() + ("," if number % 50 == 7 else "é" if number % 97 == 0 else "")
             for number, row in enumerate(letters)]  # fmt: skip
    done = 0
    while done < megabytes * 1e6:
        text = " ".join(words[number % 20_000] for number in draw.zipf(1.2, 150))
        done += len(text.encode())
        yield text


def write(folder: Path, name: str, rows: list[str]) -> Path:
    """The rows in one format."""
    path = folder / f"rows.{name}"
    if name in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="," if name == "csv" else "\t")
            writer.writerows([("text", "label"), *((text, "ab"[number % 2]) for number, text in enumerate(rows))])
        return path
    if name == "txt":
        path.write_text("\n".join(rows), encoding="utf-8")
        return path
    if name in ("parquet", "arrow"):
        table = pyarrow.table({"text": rows, "label": ["ab"[number % 2] for number in range(len(rows))]})
        if name == "parquet":
            pyarrow.parquet.write_table(table, path, row_group_size=20_000)
        else:
            with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=20_000)
        return path
    data = "".join(
        json.dumps({"text": text, "label": "ab"[number % 2]}, ensure_ascii=False) + "\n" for number, text in enumerate(rows)
    ).encode()
    packing = name.partition(".")[2]
    pack = {"": lambda it: it, "gz": lambda it: gzip.compress(it, 6), "bz2": bz2.compress, "xz": lambda it: lzma.compress(it, preset=1)}
    path.write_bytes(pack[packing](data) if packing in pack else _arrow_packed(data, {"zst": "zstd", "lz4": "lz4"}[packing]))
    return path


def _arrow_packed(data: bytes, kind: str) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, kind) as stream:
        stream.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def config(path: Path) -> schema.Files:
    """`dataset=files dataset.files.train=PATH` with the shipped values."""
    from finecomb.config.locate import conf_dir
    from finecomb.config.sources import values_of

    values = values_of(conf_dir() / "dataset" / "files.yaml")
    parts = {"split": schema.Split, "limit": schema.Limit, "require": schema.Require}
    values |= {name: part(**values[name]) for name, part in parts.items()}
    values["columns"] = schema.Columns(**values["columns"] | {"text": "text", "text_pair": None, "label": None, "id": None, "group": None})
    values["files"] = schema.FileSplits(str(path), None, None)
    return schema.Files(**values)


def measure(path: Path) -> None:
    """Read one file in this process; prints rows, MB of text, seconds and MB of memory as JSON."""
    from finecomb.data.dataset import build

    source = build(config(path))

    Path("/proc/self/clear_refs").write_text("5")  # forget the peak that was inherited
    before = _peak()
    started, rows, size = time.process_time(), 0, 0
    for chunk in source.read("none").splits["train"]:
        rows += len(chunk)
        size += sum(len(text.encode()) for text in chunk.text)
    seconds = time.process_time() - started
    peak = _peak()
    print(json.dumps({"rows": rows, "megabytes": size / 1e6, "seconds": seconds, "memory": (peak - before) / 1024}))


def _peak() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def main() -> None:
    """Print rate and memory of each format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=100, help="text in each file (default: 100)")
    parser.add_argument("--formats", nargs="+", default=[*PLAIN, *PACKED])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        rows = list(texts(given.megabytes))
        print(f"{len(rows):,} rows, {given.megabytes:g} MB of text")
        for name in given.formats:
            path = write(Path(folder), name, rows)
            command = [sys.executable, "-m", "benchmarks.reading", "--measure", str(path)]
            done = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert done["rows"] == len(rows), (name, done)
            rate = done["megabytes"] / done["seconds"]
            print(
                f"  {name:<10} {path.stat().st_size / 1e6:7.1f} MB on disk {rate:7.1f} MB/s {done['memory']:7.0f} MB of memory", flush=True
            )
            path.unlink()


if __name__ == "__main__":
    main()
