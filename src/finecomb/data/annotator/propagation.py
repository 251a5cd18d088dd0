"""annotator=propagation: rows without a label take that of the most similar rows that have one.

Similarity is the cosine of TF-IDF vectors, of words, or of characters where a script puts no space between words. Neighbours vote by their
similarity. How good this is on the very data is measured by leaving out each labeled row in turn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from finecomb.config.schema import annotator as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.annotator.answers import Annotate, Annotated, Floats, decide, joined
from finecomb.data.scripts import UNSPACED

_UNSPACED = re.compile(f"[{UNSPACED}]")
_CELLS = 2_000_000  # similarities in memory at once: texts of a block times all labeled texts
_SAMPLE = 1_000


def build(config: schema.Propagation) -> Annotate:
    """The annotator."""

    def annotate(texts: Sequence[str], *, pairs: Sequence[str] | None = None, given: Sequence[str | None] | None = None) -> Annotated:
        return _annotate(joined(texts, pairs), given or [None] * len(texts), config)

    return annotate


def _annotate(texts: Sequence[str], given: Sequence[str | None], config: schema.Propagation) -> Annotated:
    seeds = np.array([row for row, label in enumerate(given) if label is not None], dtype=np.int64)
    names = sorted({label for label in given if label is not None})
    if len(names) < 2:
        what = f"the only label is {names[0]!r}" if names else "no row has a label"
        hint = "label a few rows of each class: the column dataset.columns.label holds their labels, and nothing in the other rows"
        raise ConfigError(Problem(what, "annotator=propagation", "at least two labels among the training rows", hint))
    classes = np.array([names.index(str(given[row])) for row in seeds])
    vectors, units = _vectors(texts, config.units)
    labeled = vectors[seeds].T.tocsr()
    probabilities, nearest = np.empty((len(texts), len(names))), np.empty(len(texts), dtype=np.int64)
    block = max(1, _CELLS // len(seeds))
    for start in range(0, len(texts), block):
        rows = np.arange(start, min(start + block, len(texts)))
        similarity = np.asarray((vectors[rows] @ labeled).todense())
        # A labeled row is judged by the others: that is the measure of all this.
        similarity[rows[:, None] == seeds[None, :]] = -1.0
        probabilities[rows], nearest[rows] = _votes(similarity, classes, len(names), config)
    origin = ["" if at < 0 else f"like row {seeds[at]}" for at in nearest]
    left_out = {"rows": len(seeds), **_accuracy(probabilities[seeds], nearest[seeds] >= 0, classes, config.min_confidence)}
    record = {
        "model": "nearest neighbours",
        "units": units,
        "seeds": dict(Counter(str(given[row]) for row in seeds)),
        "leave_one_out": left_out,
    }
    record["caveat"] = "validation and test rows that were carved from these have labels by similarity, not by people"
    best = np.sort(probabilities, axis=1)
    return decide(
        names, probabilities, origin, unsure=np.isclose(best[:, -1], best[:, -2], rtol=0, atol=1e-12), min_confidence=config.min_confidence,
        given=given, keep=True, soft=config.soft, record=record, silent="no similar row has a label",
    )  # fmt: skip


def _votes(similarity: Floats, classes: Any, count: int, config: schema.Propagation) -> tuple[Floats, Any]:
    """Shares of the neighbours' votes [n, k], and the most similar labeled row of each, -1 where none is similar enough."""
    neighbours = np.argsort(-similarity, axis=1, kind="stable")[:, : config.neighbours]
    weights = np.take_along_axis(similarity, neighbours, axis=1)
    weights = np.where((weights >= config.min_similarity) & (weights > 0), weights, 0.0)
    shares = np.stack([(weights * (classes[neighbours] == c)).sum(axis=1) for c in range(count)], axis=1)
    totals = shares.sum(axis=1, keepdims=True)
    return np.where(totals > 0, shares / np.maximum(totals, 1e-300), 1 / count), np.where(totals[:, 0] > 0, neighbours[:, 0], -1)


def _accuracy(probabilities: Floats, spoken: Any, classes: Any, min_confidence: float) -> dict[str, Any]:
    """Of labeled rows judged by the others: how many get a label at all, and how many of these the right one."""
    sure = spoken & (probabilities.max(axis=1) >= min_confidence)
    right = (probabilities.argmax(axis=1) == classes)[sure]
    return {"labeled": int(sure.sum()), "right": int(right.sum()), "accuracy": round(float(right.mean()), 4) if len(right) else None}


def _vectors(texts: Sequence[str], units: str) -> tuple[Any, str]:
    """TF-IDF vectors of length 1 as a sparse matrix, and what they count."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if units == "auto":
        sample = "".join(texts[row] for row in range(0, len(texts), max(1, len(texts) // _SAMPLE)))
        letters = sum(map(str.isalpha, sample))
        units = "characters" if len(_UNSPACED.findall(sample)) > letters / 2 else "words"
    shape: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 3)} if units == "characters" else {"ngram_range": (1, 2)}
    try:
        return TfidfVectorizer(sublinear_tf=True, **shape).fit_transform(texts), units
    except ValueError as error:  # no text has a word
        raise ConfigError(
            Problem(f"the texts cannot be compared: {error}", "annotator.units", hint="annotator.units=characters")
        ) from error
