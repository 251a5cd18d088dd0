"""Which rows to label next: those a model is least sure of, those least like each other, or both.

Least confidence, margin and entropy as in Settles (2009, Active Learning Literature Survey, section 3.1); farthest-first is the
2-approximation of k-center (Gonzalez 1985; Sener & Savarese 2018, arXiv:1708.00489); k-means++ seeding is Arthur & Vassilvitskii (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
UNCERTAIN = ("entropy", "margin", "least_confidence")
DIVERSE = ("farthest", "kmeans++")
COMBINED = ("combined",)
STRATEGIES = (*UNCERTAIN, *DIVERSE, *COMBINED)


@dataclass(frozen=True)
class Queue:
    """Rows in the order in which to label them, and the score each was taken for (larger: sooner)."""

    rows: list[int]
    scores: list[float]


def uncertainty(probabilities: Floats, measure: str, *, several: bool = False) -> Floats:
    """How unsure each row is; 0 is sure.

    probabilities [n, k]: of the classes, which sum to 1; or with `several` of each label by itself, whose mean is taken.
    measure: entropy in nats; margin: 1 less the difference of the two most probable; least_confidence: 1 less the most probable.
    """
    if several:
        pairs = np.stack([probabilities, 1 - probabilities], axis=2)
        return np.stack([uncertainty(pairs[:, label], measure) for label in range(pairs.shape[1])]).mean(axis=0)
    if measure == "entropy":
        safe = np.where(probabilities > 0, probabilities, 1.0)
        entropy: Floats = -(probabilities * np.log(safe)).sum(axis=1)
        return entropy
    top = np.sort(probabilities, axis=1)[:, ::-1]
    if measure == "least_confidence":
        return 1.0 - top[:, 0]
    return 1.0 - (top[:, 0] - top[:, 1]) if top.shape[1] > 1 else np.zeros(len(top))


def choose(strategy: str, k: int, *, texts: Sequence[str], unsure: Floats | None, seed: int) -> Queue:
    """The first k rows by one of STRATEGIES; of equal ones the earlier comes first.

    unsure: how unsure each row is; needed by UNCERTAIN and COMBINED. seed: of kmeans++, which draws.
    """
    k = min(k, len(texts))
    if strategy in UNCERTAIN:
        assert unsure is not None
        order = np.argsort(-unsure, kind="stable")[:k]
        return Queue(order.tolist(), unsure[order].tolist())
    vectors = _vectors(texts)
    if strategy == "kmeans++":
        return _kmeans(vectors, k, np.random.default_rng(seed))
    # Combined: the distance to what was chosen, weighed by how unsure the model is; a row is taken for both.
    weights = np.ones(len(texts)) if strategy == "farthest" else np.asarray(unsure)
    return _farthest(vectors, k, weights, first=None if strategy == "farthest" else int(weights.argmax()))


def _vectors(texts: Sequence[str]) -> Any:
    """TF-IDF of character 2- to 4-grams within words, rows of length 1: it needs no words, so that any script will do."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        return TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=200_000).fit_transform(texts).tocsr()
    except ValueError:  # no text holds anything
        from scipy.sparse import csr_matrix

        return csr_matrix((len(texts), 1))


def _distances(vectors: Any, row: int) -> Floats:
    """1 less the cosine of every row to one of them."""
    similar = (vectors @ vectors[row].T).toarray().ravel()
    distances: Floats = np.clip(1.0 - similar, 0.0, None)
    return distances


def _farthest(vectors: Any, k: int, weights: Floats, first: int | None) -> Queue:
    """Each time the row that is farthest from all chosen ones. first: None takes the row most like the mean of all."""
    if first is None:
        mean = np.asarray(vectors.mean(axis=0)).ravel()
        first = int((vectors @ mean).argmax())
    rows, scores = [first], [float(weights[first])]
    nearest = _distances(vectors, first)
    while len(rows) < k:
        score = nearest * weights
        score[rows] = -1.0
        row = int(score.argmax())
        rows.append(row)
        scores.append(float(score[row]))
        nearest = np.minimum(nearest, _distances(vectors, row))
    return Queue(rows, scores)


def _kmeans(vectors: Any, k: int, generator: np.random.Generator) -> Queue:
    """Each time a row drawn in proportion to the squared distance to what was chosen (cosine distance is that square, halved)."""
    first = int(generator.integers(vectors.shape[0]))
    rows, scores = [first], [1.0]
    nearest = _distances(vectors, first)
    while len(rows) < k:
        shares = nearest.copy()
        shares[rows] = 0.0
        if shares.sum() <= 0:  # every other text is a copy of a chosen one
            shares = np.ones(len(shares))
            shares[rows] = 0.0
        row = int(generator.choice(len(shares), p=shares / shares.sum()))
        rows.append(row)
        scores.append(float(nearest[row]))
        nearest = np.minimum(nearest, _distances(vectors, row))
    return Queue(rows, scores)
