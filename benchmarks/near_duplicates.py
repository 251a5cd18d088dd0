"""Near-duplicates on real documents: precision, recall against the exact answer, and rates beside peers that are installed.

    python -m benchmarks.near_duplicates FOLDER [--threshold 0.8] [--limit 8000]

FOLDER: text files, as Debian's linux-doc has them. The exact answer is the Jaccard similarity of every pair, by a sparse product of sets.
Peers: datasketch (signatures one document at a time) and rensa (its exact flat interface on our n-gram hashes), where they are installed.
"""

from __future__ import annotations

import argparse
import gzip
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from finecomb.config.schema.cleaner import Cleaner
from finecomb.data import cleaner
from finecomb.data.cleaner import shingles
from finecomb.data.cleaner.words import words
from finecomb.data.dataset.rows import Rows

NGRAM, PERMUTATIONS = 5, 128


def documents(folder: Path, limit: int) -> list[str]:
    """Different texts of the folder in the order of their paths; each at least 200 characters."""
    found: dict[str, None] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if not {".txt", ".rst"} & set(path.suffixes):
            continue
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode("utf-8", errors="replace")
        if len(text) >= 200:
            found.setdefault(text)
        if len(found) == limit:
            break
    return list(found)


def edited(texts: list[str], count: int) -> list[str]:
    """Copies of documents without 1 to 30 % of their lines: pairs at every similarity, as revisions of one text are."""
    draw = random.Random(0)
    copies = []
    for text in draw.sample(texts, min(count, len(texts))):
        share = draw.uniform(0.01, 0.3)
        copies.append("\n".join(line for line in text.split("\n") if draw.random() >= share))
    return copies


def exact_pairs(texts: list[str], threshold: float) -> dict[tuple[int, int], float]:
    """Every pair whose Jaccard similarity of n-grams, as Python strings, reaches the threshold."""
    index: dict[tuple[str, ...], int] = {}
    rows, columns, sizes = [], [], []
    for number, text in enumerate(texts):
        found = words(text.lower())
        grams = {tuple(found[start : start + NGRAM]) for start in range(len(found) - NGRAM + 1)} or ({tuple(found)} if found else set())
        sizes.append(len(grams))
        rows += [number] * len(grams)
        columns += [index.setdefault(gram, len(index)) for gram in grams]
    matrix = sparse.csr_matrix((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(len(texts), len(index)))
    size, pairs = np.array(sizes), {}
    for start in range(0, len(texts), 500):
        shared = (matrix[start : start + 500] @ matrix.T).tocoo()
        first, second = shared.row + start, shared.col
        similarity = shared.data / (size[first] + size[second] - shared.data)
        kept = (first < second) & (similarity >= threshold)
        pairs.update({(int(a), int(b)): float(s) for a, b, s in zip(first[kept], second[kept], similarity[kept], strict=True)})
    return pairs


def timed(name: str, megabytes: float, call: Callable[[], Any]) -> Any:
    """Run once, print seconds and rate."""
    started = time.perf_counter()
    found = call()
    seconds = time.perf_counter() - started
    print(f"  {name:<44} {seconds:8.2f} s {megabytes / seconds:9.1f} MB/s")
    return found


def main() -> None:
    """Print precision, recall by similarity, and rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threshold", type=float, default=0.8)
    parser.add_argument("--limit", type=int, default=8000)
    parser.add_argument("--edited", type=int, default=2000, help="add so many copies with some of their lines taken out (default: 2000)")
    given = parser.parse_args()
    texts = documents(given.folder, given.limit)
    texts += edited(texts, given.edited)
    size = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{len(texts):,} different documents, {size:.1f} MB")
    truth = timed("exact Jaccard of every pair", size, lambda: exact_pairs(texts, given.threshold))
    count, rows = shingles.bands(given.threshold, PERMUTATIONS)
    hashes, offsets = timed("n-gram hashes", size, lambda: shingles.hashed(texts, NGRAM))
    found = timed(f"signatures of {PERMUTATIONS}", size, lambda: shingles.signatures(hashes, offsets, PERMUTATIONS))
    pairs = timed("candidates", size, lambda: shingles.candidates(found, count, rows, most=len(texts)))
    sets = [np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in range(len(texts))]
    checked = timed("exact check", size, lambda: {(a, b): shingles.jaccard(sets[a], sets[b]) for a, b in pairs.tolist()})
    ours = {pair for pair, similarity in checked.items() if similarity >= given.threshold}
    expected = sum(shingles.curve(similarity, count, rows) for similarity in truth.values()) / max(1, len(truth))
    print(f"  {count} bands of {rows}; {len(pairs):,} candidates, {len(ours):,} pairs found of {len(truth):,}")
    print(f"  precision {len(ours & truth.keys()) / max(1, len(ours)):.4f}, recall {len(ours & truth.keys()) / max(1, len(truth)):.4f}; "
          f"the S-curve says {expected:.4f}")  # fmt: skip
    values = {"threshold": given.threshold, "ngram": NGRAM, "permutations": PERMUTATIONS, "keep": "first"}
    table = Rows([str(n) for n in range(len(texts))], texts, None, ["x"] * len(texts), None, range(len(texts)), "folder")
    recipe = cleaner.build(Cleaner("own", {"near_duplicates": values}))
    done = timed("the step, from texts to kept rows", size, lambda: recipe.run({"train": table}))
    print(f"  {len(done.splits['train']):,} rows stay")
    peers(texts, hashes, offsets, size)


def peers(texts: list[str], hashes: Any, offsets: Any, size: float) -> None:
    """Signatures by the peers that are installed."""
    try:
        from datasketch import MinHash
    except ImportError:
        print("  datasketch is not installed")
    else:
        some = texts[:400]

        def sketch() -> None:
            for text in some:
                found = words(text.lower())
                grams = {" ".join(found[start : start + NGRAM]).encode() for start in range(len(found) - NGRAM + 1)}
                MinHash(num_perm=PERMUTATIONS).update_batch(list(grams))

        timed("datasketch: n-grams and signatures (400)", sum(map(len, some)) / 1e6, sketch)
    try:
        from rensa import RMinHash
    except ImportError:
        print("  rensa is not installed")
    else:
        flat = [hashes[offsets[row] : offsets[row + 1]] for row in range(len(texts))]
        name = next((each for each in dir(RMinHash) if "flat_token_hashes" in each and "rho" not in each and "digest_matrix" in each), None)
        if name is None:
            print("  this rensa has no exact flat interface")
        else:
            lengths = np.array([len(each) for each in flat], dtype=np.uint64)
            ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint64)
            timed(f"rensa {name} on our hashes", size, lambda: getattr(RMinHash, name)(hashes, ends, PERMUTATIONS, 42))


if __name__ == "__main__":
    main()
