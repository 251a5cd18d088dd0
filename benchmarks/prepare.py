"""Does the cost of `finecomb prepare` grow linearly, and its memory not at all? `python -m benchmarks.prepare [FOLDER]`

    python -m benchmarks.prepare [FOLDER] [--sizes 10 30 100 300 1000] [--cleaner code] [--workers 2] [--figure scale.svg]
    python -m benchmarks.prepare --rows 100000 300000 1000000 [--cleaner classification] [--workers 2] [--figure rows.svg]

FOLDER: text files; without it Debian's documentation of two Linux releases is fetched by apt. A corpus of each size (MB of UTF-8) is the
documents once as they are, then again and again with their words in another order, which makes new texts of the same words, until the size
is reached; near-duplicates are in its first round. Each is prepared twice: cold, and warm (everything is in the cache, another folder
to write into). With --rows each corpus has that many short texts (ten words, two labels), and memory is shown by rows: the process that
collects the results keeps some bytes for each. Memory is anonymous memory (files that are mapped can be dropped at any time), of the
largest process and of all together.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.near_corpus import documents, fetched

_GROUP = 2000  # rows written at once


@dataclass
class Cost:
    """What one run took: seconds by the clock and of the processors, MB of anonymous memory."""

    megabytes: float
    seconds: float
    cpu: float
    largest: float
    together: float


def rows(texts: list[str], megabytes: float) -> Iterator[str]:
    """The documents, then the documents with their words shuffled, until the size is reached."""
    draw = random.Random(0)
    written, turn = 0, 0
    while True:
        for text in draw.sample(texts, len(texts)):
            if turn:
                words = text.split(" ")
                draw.shuffle(words)
                text = " ".join(words)
            written += len(text.encode())
            yield text
            if written >= megabytes * 1e6:
                return
        turn += 1


def write(path: Path, texts: list[str], megabytes: float) -> None:
    """One Parquet file with columns id and text."""
    schema = pa.schema([("id", pa.string()), ("text", pa.large_string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        group: list[str] = []
        done = 0

        def flush() -> None:
            ids = pa.array([f"d{done + number}" for number in range(len(group))])
            writer.write_table(pa.Table.from_arrays([ids, pa.array(group, type=pa.large_string())], schema=schema))

        for text in rows(texts, megabytes):
            group.append(text)
            if len(group) == _GROUP:
                flush()
                done, group = done + len(group), []
        flush()


def write_short(path: Path, count: int) -> None:
    """One Parquet file with columns text and label: ten words in each text, no two texts the same."""
    draw = random.Random(0)
    words = [f"{start}{end}" for start in ("ba", "ko", "lu", "mi") for end in ("ran", "vo", "pel", "dim", "sta", "go")]
    schema = pa.schema([("text", pa.large_string()), ("label", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, count, _GROUP):
            rows = range(start, min(start + _GROUP, count))
            texts = [" ".join([*draw.choices(words, k=9), f"{row}"]) for row in rows]
            writer.write_table(pa.table({"text": texts, "label": ["ab"[row % 2] for row in rows]}, schema=schema))


def anonymous(parent: int) -> list[float]:
    """MB of anonymous memory of a process and of its children (Linux); those that have just ended are left out."""
    found = []
    children = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False).stdout.split()
    for pid in (parent, *children):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        found += [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("RssAnon:")]
    return found


def prepare(corpus: Path, output: Path, megabytes: float, words: list[str]) -> Cost:
    """Run the command as a user does; what it prints goes to a file beside the output. Raises SystemExit when it fails."""
    command = [sys.executable, "-m", "finecomb", "prepare", "dataset=files", f"dataset.files.train={corpus}", *words,
               "--output", str(output)]  # fmt: skip
    before, started = os.times(), time.monotonic()
    largest = together = 0.0
    with Path(f"{output}.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            held = anonymous(process.pid) or [0.0]
            largest, together = max(largest, *held), max(together, sum(held))
            time.sleep(0.1)
    seconds, after = time.monotonic() - started, os.times()
    if process.returncode:
        raise SystemExit(Path(f"{output}.log").read_text()[-3000:])
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(megabytes, seconds, cpu, largest, together)


def exponent(costs: list[Cost]) -> float:
    """The slope of log seconds over log size between the two largest sizes: 1 where the cost is linear."""
    small, large = costs[-2:]
    return math.log(large.seconds / small.seconds) / math.log(large.megabytes / small.megabytes)


def draw(cold: list[Cost], path: Path, title: str) -> None:
    """Seconds and memory over the size, both on logarithmic scales, with a line of slope 1."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "finecomb"
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    sizes = [each.megabytes for each in cold]
    left.plot(sizes, [each.seconds for each in cold], "o-", color="#0072B2", label="by the clock")
    left.plot(sizes, [each.cpu for each in cold], "s--", color="#D55E00", label="of the processors")
    last = cold[-1]
    left.plot(sizes, [last.seconds * size / last.megabytes for size in sizes], ":", color="#666666", label="linear")
    left.set(xscale="log", yscale="log", xlabel="MB of text", ylabel="seconds")
    right.plot(sizes, [each.largest for each in cold], "o-", color="#0072B2", label="largest process")
    right.plot(sizes, [each.together for each in cold], "s--", color="#D55E00", label="all processes")
    right.plot(sizes, sizes, ":", color="#666666", label="size of the text")
    right.set(xscale="log", yscale="log", xlabel="MB of text", ylabel="MB of anonymous memory")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, metadata=metadata)


def draw_rows(costs: dict[int, Cost], path: Path, title: str) -> None:
    """Memory over rows, both on linear scales, so that the slope is the memory of a row."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "finecomb"
    figure, axes = pyplot.subplots(figsize=(4.5, 3.6), layout="constrained")
    axes.plot(list(costs), [each.largest for each in costs.values()], "o-", color="#0072B2", label="largest process")
    axes.plot(list(costs), [each.together for each in costs.values()], "s--", color="#D55E00", label="all processes")
    axes.set(xlabel="rows", ylabel="MB of anonymous memory", ylim=(0, None), title=title)
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    figure.savefig(path, metadata=metadata)


def by_rows(base: Path, counts: list[int], words: list[str], figure: Path | None) -> None:
    """Prepare short rows, print memory by rows and its slope between the two largest counts."""
    print("| rows | cold s | largest process MB | all MB |")
    print("| ---: | ---: | ---: | ---: |")
    costs: dict[int, Cost] = {}
    for count in counts:
        write_short(base / "corpus.parquet", count)
        costs[count] = cost = prepare(base / "corpus.parquet", base / f"out-{count}", count, words)
        print(f"| {count:,} | {cost.seconds:.1f} | {cost.largest:.0f} | {cost.together:.0f} |", flush=True)
    if len(counts) > 1:
        small, large = counts[-2:]
        slope = (costs[large].largest - costs[small].largest) * 2**20 / (large - small)
        print(f"\nthe largest process has {slope:.0f} bytes more for each row between {small:,} and {large:,}")
    if figure:
        draw_rows(costs, figure, " ".join(words))


def main() -> None:
    """Prepare each size cold and warm; print a table and the exponent, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sizes", type=float, nargs="+", default=[10, 30, 100, 300, 1000])
    parser.add_argument("--rows", type=int, nargs="+", help="short texts, so many of them, and memory by rows")
    parser.add_argument("--cleaner", default="code")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="finecomb-prepare-") as temporary:
        base = Path(temporary)
        os.environ["FINECOMB_CACHE"] = str(base / "cache")
        words = [f"cleaner={given.cleaner}", "--workers", str(given.workers)]
        if given.rows:
            by_rows(base, given.rows, words, given.figure)
            return
        words += ["dataset.columns.label=null", "dataset.columns.id=id"]
        texts = documents(given.folder or fetched(base), 1_000_000)
        given_size = sum(len(text.encode()) for text in texts) / 1e6
        print(f"{len(texts):,} documents, {given_size:.0f} MB; cleaner={given.cleaner}, {given.workers} workers\n")
        print("| MB | cold s | CPU s | MB/s | largest process MB | all MB | warm s | CPU s |")
        print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        cold = []
        for size in given.sizes:
            write(base / "corpus.parquet", texts, size)
            first, again = (prepare(base / "corpus.parquet", base / f"out{turn}-{size:g}", size, words) for turn in (1, 2))
            cold.append(first)
            numbers = [first.seconds, first.cpu, size / first.seconds, first.largest, first.together, again.seconds, again.cpu]
            print(f"| {size:g} | {' | '.join(f'{number:.1f}' for number in numbers)} |", flush=True)
        if len(cold) > 1:
            print(
                f"\nseconds grow as size to the power of {exponent(cold):.2f} between {cold[-2].megabytes:g} and {cold[-1].megabytes:g} MB"
            )
        if given.figure:
            draw(cold, given.figure, f"finecomb prepare cleaner={given.cleaner}, {given.workers} workers")


if __name__ == "__main__":
    main()
