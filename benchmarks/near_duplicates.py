"""Near-duplicates on real documents: precision and recall against the exact answer, and rates beside the alternatives, in one run.

    python -m benchmarks.near_duplicates [FOLDER] [--limit 20000] [--edited 2000] [--rounds 5] [--processes 1 2]

FOLDER: text files; without it Debian's documentation of two Linux releases is fetched by apt. From one Parquet file each way computes
clusters by the same bands with every candidate verified; ways take turns, and what is printed are medians and ratios of medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.near_contenders import CONTENDERS, NGRAM, PERMUTATIONS, THRESHOLD, Contender
from benchmarks.near_corpus import documents, edited, exact_pairs, fetched
from finecomb.data.cleaner import shingles
from finecomb.data.cleaner.lsh import Rows, bands, candidates, curve
from finecomb.data.cleaner.step import Batch, Sketch
from finecomb.data.cleaner.steps.duplicates import Duplicates, DuplicatesOptions
from finecomb.data.texts import Texts

_GROUP = 1000  # documents in a row group


def timed(name: str, megabytes: float, call: Callable[[], Any]) -> Any:
    """Run three times, print the median rate."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - started)
    print(f"  {name:<44} {megabytes / statistics.median(seconds):9.1f} MB/s")
    return found


def accuracy(texts: list[str], rows: Rows) -> None:
    """Precision and recall of pairs, the S-curve's prediction, and the error of estimates from signatures."""
    count, depth = bands(THRESHOLD, PERMUTATIONS)
    truth = exact_pairs(texts, 0.3)
    near = {pair: similarity for pair, similarity in truth.items() if similarity >= THRESHOLD}
    pairs = candidates(rows, count, depth, most=len(texts))
    found = rows.similarities(pairs[:, 0], pairs[:, 1])
    ours = {(a, b): s for (a, b), s in zip(pairs.tolist(), found.tolist(), strict=True) if s >= THRESHOLD}
    right = ours.keys() & near.keys()
    expected = sum(curve(similarity, count, depth) for similarity in near.values()) / len(near)
    print(f"\n{count} bands of {depth}: {len(pairs):,} candidates; {len(near):,} pairs at {THRESHOLD} by plain Python sets")
    precision, recall = len(right) / len(ours), len(right) / len(near)
    print(f"  {len(ours):,} pairs found: precision {precision:.4f}, recall {recall:.4f}; the S-curve says {expected:.4f}")
    print(f"  greatest difference of a similarity from the exact one: {max(abs(ours[pair] - near[pair]) for pair in right):.1e}")
    for low in (0.3, 0.5, 0.7, 0.8, 0.9):
        mine = {pair: s for pair, s in truth.items() if low <= s < low + (0.2 if low < 0.7 else 0.1)}
        kept = {tuple(pair) for pair in pairs.tolist()} & mine.keys()
        say = sum(curve(s, count, depth) for s in mine.values()) / max(1, len(mine))
        print(f"  similarity from {low}: {len(mine):6,} pairs, {len(kept) / max(1, len(mine)):.4f} candidates, the S-curve says {say:.4f}")


def errors(texts: list[str], hashes: Any, offsets: Any) -> None:
    """Root mean square error of the estimated similarity over seeds, beside sqrt(J (1 - J) / K)."""
    pairs = {pair: s for pair, s in exact_pairs(texts, 0.05).items() if s < 0.999}
    first, second = np.array(list(pairs)).T
    exact, found = np.array(list(pairs.values())), []
    for seed in range(8):
        signed = shingles.signatures(hashes, offsets, PERMUTATIONS, seed)
        found.append((signed[first] == signed[second]).mean(axis=1) - exact)
    theory = np.sqrt((exact * (1 - exact) / PERMUTATIONS).mean())
    print(f"\nestimates of {len(pairs):,} similarities by {PERMUTATIONS} values, 8 seeds: bias {np.mean(found):+.4f}, "
          f"RMSE {np.sqrt(np.square(found).mean()):.4f} (theory {theory:.4f})")  # fmt: skip


def stages(path: Path, megabytes: float) -> Rows:
    """Rates of the parts, in one process."""
    print("\nparts, one process, median of three")
    texts = timed("read Parquet", megabytes, lambda: pq.read_table(path)["text"].combine_chunks())
    hashes, offsets = timed("n-gram hashes", megabytes, lambda: shingles.hashed(texts, NGRAM))
    signed = timed(f"signatures of {PERMUTATIONS}", megabytes, lambda: shingles.signatures(hashes, offsets, PERMUTATIONS))
    rows = Rows([(np.ascontiguousarray(signed.T), hashes, offsets)])
    count, depth = bands(THRESHOLD, PERMUTATIONS)
    pairs = timed("candidates", megabytes, lambda: candidates(rows, count, depth))
    started = time.perf_counter()
    rows.similarities(pairs[:, 0], pairs[:, 1])
    print(f"  {'exact similarity of candidates':<44} {len(pairs) / (time.perf_counter() - started):9,.0f} pairs/s")
    step, batch = Duplicates(DuplicatesOptions(True)), Batch("train", texts, Texts([texts]), None, [None] * len(texts))
    timed("exact duplicates, from memory", megabytes, lambda: step.plan([Sketch("train", 0, len(texts), step.sketch(batch))], _NoRows()))
    return rows


class _NoRows:
    """A corpus that shows no row."""

    def text(self, row: int) -> str:
        return ""

    id = split = text

    def label(self, row: int) -> None:
        return None


@dataclass
class Run:
    """Seconds from the Parquet file to clusters, by the clock and of all processors, and the row that stays for each row."""

    seconds: float
    processor: float
    owner: list[int]


def run(contender: Contender, path: Path, groups: int, pool: ProcessPoolExecutor) -> Run:
    """One way, once."""
    with tempfile.TemporaryDirectory(prefix="near-") as folder:
        places = [f"{folder}/{group}" for group in range(groups)]
        started, own = time.perf_counter(), time.process_time()
        spent = sum(pool.map(clocked, [contender.sketch] * groups, [str(path)] * groups, range(groups), places))
        owner = contender.finish(places)
        return Run(time.perf_counter() - started, spent + time.process_time() - own, owner)


def clocked(sketch: Callable[[str, int, str], None], parquet: str, group: int, folder: str) -> float:
    """Seconds of processors that one task took."""
    started = time.process_time()
    sketch(parquet, group, folder)
    return time.process_time() - started


def contest(path: Path, texts: list[str], processes: list[int], rounds: int) -> None:
    """All ways by turns on each number of processes."""
    sizes = [sum(len(text.encode()) for text in texts[at : at + _GROUP]) / 1e6 for at in range(0, len(texts), _GROUP)]
    for count in processes:
        runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
        with ProcessPoolExecutor(count, get_context("spawn")) as pool:
            for turn in range(rounds + 1):  # the first is to load what is imported and what is read
                for name, contender in CONTENDERS.items():
                    if contender.share == 1 or turn < 2:
                        runs[name].append(run(contender, path, max(1, round(len(sizes) * contender.share)), pool))
        print(f"\nfrom Parquet to verified clusters, {count} process(es), median of {rounds} by turns (lowest to highest)")
        own: tuple[float, float] = (0.0, 0.0)
        for name, (_, *done) in runs.items():
            size = sum(sizes[: max(1, round(len(sizes) * CONTENDERS[name].share))])
            rates = [size / each.seconds for each in done]
            median, processor = statistics.median(rates), size / statistics.median(each.processor for each in done)
            own = own if own[0] else (median, processor)
            gone = sum(row != other for row, other in enumerate(done[0].owner))
            print(f"  {name:<24} {median:6.1f} MB/s ({min(rates):.1f} to {max(rates):.1f}), {processor:6.1f} MB in a processor's second; "
                  f"finecomb {own[0] / median:.2f} and {own[1] / processor:.2f} times as much; "
                  f"{gone:,} rows go of {len(done[0].owner):,}")  # fmt: skip


def main() -> None:
    """Print precision, recall by similarity, and rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--limit", type=int, default=20_000, help="documents at most (default: 20000)")
    parser.add_argument("--edited", type=int, default=2000, help="add so many copies with some of their lines taken out (default: 2000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    given = parser.parse_args()
    # A process is to mean a processor: rensa would start threads for large batches.
    os.environ["RAYON_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="near-") as work:
        texts = documents(given.folder or fetched(Path(work)), given.limit)
        texts += edited(texts, given.edited)
        megabytes = sum(len(text.encode()) for text in texts) / 1e6
        print(f"{len(texts):,} different documents, {megabytes:.1f} MB; {len(os.sched_getaffinity(0))} processors")
        path = Path(work) / "documents.parquet"
        pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), path, compression="zstd", row_group_size=_GROUP)
        rows = stages(path, megabytes)
        accuracy(texts, rows)
        some = texts[: given.limit // 10] + texts[-given.edited :]
        errors(some, *shingles.hashed(some, NGRAM))
        contest(path, texts, given.processes, given.rounds)


if __name__ == "__main__":
    main()
