"""Real documents with edited copies among them, and the exact answer to which of them are near-duplicates, by plain Python sets."""

from __future__ import annotations

import gzip
import random
import subprocess
from pathlib import Path

import numpy as np
from scipy import sparse

from finecomb.data.cleaner.word_pattern import words

NGRAM = 5
PACKAGES = ("linux-doc-6.1", "linux-doc-6.12")


def fetched(folder: Path) -> Path:
    """Debian's documentation of two Linux releases, by apt, unpacked under a folder; packages that apt does not know are left out."""
    for package in PACKAGES:
        got = subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False)
        if got.returncode:
            print(f"{package} is not to be had: {got.stderr.strip().splitlines()[-1:]}")
    archives = sorted(folder.glob("*.deb"))
    if not archives:
        raise SystemExit("no documents: run apt-get update first, or name a FOLDER of text files")
    for archive in archives:
        subprocess.run(["dpkg", "-x", archive, folder / "unpacked"], check=True)
    return folder / "unpacked"


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
    """Every pair whose Jaccard similarity of n-grams, as tuples of Python strings, reaches the threshold."""
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
