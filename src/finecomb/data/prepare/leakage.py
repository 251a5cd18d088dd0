"""What the splits of a data set share: the same texts, nearly the same texts, and long n-grams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from finecomb.data.cleaner.shingles import bands, candidates, hashed, jaccard, signatures
from finecomb.data.cleaner.words import spaced
from finecomb.data.dataset.rows import Rows

NEAR, NGRAM, LONG, PERMUTATIONS = 0.8, 5, 13, 128
_PAIRS = (("train", "validation"), ("train", "test"), ("validation", "test"))
_SHOWN = 5


def overlap(splits: Mapping[str, Rows]) -> dict[str, Any]:
    """For each pair of splits: rows of the first whose text is in the second (case, space and punctuation do not count), whose Jaccard
    similarity of word 5-grams to a row there is at least 0.8, and that share 13 words in a row with one there; and examples."""
    texts = {name: _texts(rows) for name, rows in splits.items()}
    names = [pair for pair in _PAIRS if pair[0] in texts and pair[1] in texts]
    grams = {name: hashed(found, NGRAM) for name, found in texts.items()}
    long = {name: hashed(found, LONG) for name, found in texts.items()}
    return {
        f"{first}/{second}": {
            "exact": _exact(texts[first], texts[second]),
            **_near(splits[first], splits[second], texts[first], texts[second], grams[first], grams[second]),
            "ngram_13": _shared(texts[first], long[first], long[second]),
        }
        for first, second in names
    }


def _texts(rows: Rows) -> list[str]:
    return list(rows.text) if rows.text_pair is None else [f"{a}\n{b}" for a, b in zip(rows.text, rows.text_pair, strict=True)]


def _exact(first: list[str], second: list[str]) -> int:
    seen = {spaced(text.lower()) or text for text in second}
    return sum((spaced(text.lower()) or text) in seen for text in first)


def _shared(texts: list[str], first: Any, second: Any) -> int:
    """Rows of the first with a long n-gram of the second; a text shorter than that counts when it is the same as a whole."""
    hits = np.isin(first[0], second[0]).astype(np.int64)
    totals = np.concatenate([[0], np.cumsum(hits)])
    return int((totals[first[1][1:]] > totals[first[1][:-1]]).sum())


def _near(one: Rows, two: Rows, first: list[str], second: list[str], grams: Any, others: Any) -> dict[str, Any]:
    hashes = np.concatenate([grams[0], others[0]])
    offsets = np.concatenate([grams[1], others[1][1:] + grams[1][-1]])
    count = len(first)
    found: dict[int, tuple[float, int]] = {}
    for a, b in candidates(signatures(hashes, offsets, PERMUTATIONS), *bands(NEAR, PERMUTATIONS)).tolist():
        if a < count <= b:
            left, right = (np.unique(hashes[offsets[row] : offsets[row + 1]]) for row in (a, b))
            similarity = jaccard(left, right)
            if similarity >= NEAR:
                found[a] = max(found.get(a, (0.0, 0)), (similarity, b - count))
    worst = sorted(found, key=lambda row: (-found[row][0], row))[:_SHOWN]
    examples = [
        {
            "ids": [one.id[row], two.id[found[row][1]]],
            "similarity": round(found[row][0], 4),
            "texts": [first[row][:200], second[found[row][1]][:200]],
        }
        for row in worst
    ]
    return {"near": len(found), "examples": examples}
