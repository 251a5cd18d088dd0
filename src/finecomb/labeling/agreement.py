"""How far annotators agree: on the class of a text (Cohen, Fleiss, Krippendorff), and on spans (F1, exact and by overlap).

A row that an annotator skipped or never saw is missing. What cannot be computed, as kappa of raters who only ever use one class, is None.

Hand-written, and equal to the libraries within 1e-12 in the tests. An interval of 1,000 draws over 1,000 rows takes 0.05 s for each pair of
annotators, with scikit-learn's kappa 1.3 s; for alpha of 10 classes 0.65 s, with the package krippendorff 2.0 s
(`python -m benchmarks.annotation_libraries`). Where these have no value they raise ValueError or return NaN. krippendorff is licensed under
the GPL, and statsmodels would add 40 MB for the 14 lines of Fleiss' kappa.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from finecomb.data.annotator.label_model import ABSTAIN
from finecomb.data.spans import Span
from finecomb.labeling.documents import Document

# [rows, annotators]: index of the category, ABSTAIN where it is missing.
Ratings: TypeAlias = NDArray[np.int64]
_DRAWS, _LEVEL = 1000, 0.95


def cohen_kappa(one: NDArray[np.int64], other: NDArray[np.int64], categories: int) -> float | None:
    """Kappa of two raters on the rows both judged (Cohen 1960, Educational and Psychological Measurement 20)."""
    both = (one >= 0) & (other >= 0)
    return _kappa(confusion(one[both], other[both], categories))


def confusion(one: NDArray[np.int64], other: NDArray[np.int64], categories: int) -> NDArray[np.int64]:
    """Counts [k, k]: row the first rater's category, column the second's."""
    counts = np.zeros((categories, categories), dtype=np.int64)
    np.add.at(counts, (one, other), 1)
    return counts


def _kappa(counts: NDArray[np.int64]) -> float | None:
    total = counts.sum()
    if not total:
        return None
    # In whole numbers, so that perfect chance agreement is seen as such.
    chance = int(counts.sum(axis=1) @ counts.sum(axis=0))
    if chance == total * total:
        return None
    return float((np.trace(counts) * total - chance) / (total * total - chance))


def fleiss_kappa(ratings: Ratings, categories: int) -> float | None:
    """Kappa of several raters on the rows all of them judged (Fleiss 1971, Psychological Bulletin 76)."""
    whole = ratings[(ratings >= 0).all(axis=1)]
    raters = ratings.shape[1]
    if not len(whole) or raters < 2:
        return None
    counts = (whole[:, :, None] == np.arange(categories)).sum(axis=1)
    observed = ((counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))).mean()
    shares = counts.sum(axis=0)
    if shares.max() == shares.sum():
        return None
    chance = float(((shares / shares.sum()) ** 2).sum())
    return float((observed - chance) / (1 - chance))


def krippendorff_alpha(ratings: Ratings, categories: int) -> float | None:
    """Alpha for nominal data with missing answers (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability)."""
    counts = (ratings[:, :, None] == np.arange(categories)).sum(axis=1).astype(np.float64)
    raters = counts.sum(axis=1)
    counts, raters = counts[raters >= 2], raters[raters >= 2]
    if not len(counts):
        return None
    # Coincidences: pairs of answers within a row, each row weighted by 1 / (its answers - 1).
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(categories)
    coincidences = (pairs / (raters - 1)[:, None, None]).sum(axis=0)
    totals = counts.sum(axis=0)
    n = totals.sum()
    expected = n * n - (totals**2).sum()
    if expected == 0:
        return None
    return float(1 - (n - 1) * (n - np.trace(coincidences)) / expected)


def bootstrap(statistic: Callable[[NDArray[np.int64]], float | None], rows: int, seed: int, draws: int = _DRAWS) -> list[float] | None:
    """95 % interval of a statistic of row numbers, by percentiles over resampled rows; None where too many draws have no value."""
    generator = np.random.default_rng(seed)
    values = [value for _ in range(draws) if (value := statistic(generator.integers(0, rows, rows))) is not None] if rows else []
    if len(values) < 0.9 * draws:
        return None
    tail = (1 - _LEVEL) / 2
    return [float(each) for each in np.quantile(values, [tail, 1 - tail])]


def f1(one: Sequence[Sequence[Span]], other: Sequence[Sequence[Span]], *, overlap: bool, label: str | None = None) -> dict[str, Any]:
    """F1 of one annotator's spans against the other's, row by row; it is the same from either side.

    overlap: spans of one label match when they share a character, each at most once, as many as can be; else their edges must be equal.
    label: only spans of this label. Returns f1 (None without any span), matched, and how many spans each has.
    """
    matched = first = second = 0
    for of_one, of_other in zip(one, other, strict=True):
        a = [span for span in of_one if label in (None, span.label)]
        b = [span for span in of_other if label in (None, span.label)]
        first, second = first + len(a), second + len(b)
        matched += _overlapping(a, b) if overlap else sum((Counter(a) & Counter(b)).values())
    total = first + second
    return {"f1": 2 * matched / total if total else None, "matched": matched, "spans": [first, second]}


def _overlapping(one: Sequence[Span], other: Sequence[Span]) -> int:
    """The most pairs of overlapping spans of one label, no span in two pairs (Hopcroft and Karp 1973, SIAM Journal on Computing 2)."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not one or not other:
        return 0
    names = {name: number for number, name in enumerate({span.label for span in (*one, *other)})}
    a, b = (np.array([(span.start, span.end, names[span.label]) for span in spans], dtype=np.int64) for spans in (one, other))
    meets = (a[:, None, 0] < b[:, 1]) & (b[:, 0] < a[:, None, 1]) & (a[:, None, 2] == b[:, 2])
    return int((maximum_bipartite_matching(csr_matrix(meets), perm_type="column") >= 0).sum())


class Panel:
    """Rows and annotators: who said what.

    documents: of each annotator, at most one a row. Only accepted answers count.
    """

    def __init__(self, documents: Mapping[str, Sequence[Document]]) -> None:
        self.annotators = list(documents)
        self._said = {name: {each.id: each for each in answers if each.answer == "accept"} for name, answers in documents.items()}
        self.rows = list(dict.fromkeys(each.id for answers in documents.values() for each in answers))
        self.texts = {each.id: each.text for answers in documents.values() for each in answers}
        accepted = [each for said in self._said.values() for each in said.values()]
        self.labels = sorted({name for each in accepted for name in each.labels})
        self.span_labels = sorted({span.label for each in accepted for span in each.spans})
        self.several = any(len(each.labels) > 1 for each in accepted)

    def said(self, annotator: str, row: str) -> Document | None:
        """An annotator's accepted answer to a row."""
        return self._said[annotator].get(row)

    def ratings(self) -> tuple[Ratings, list[str]]:
        """Categories of every row and annotator, and their names. A set of several labels is a category of its own."""
        keys = [[self._category(self.said(name, row)) for name in self.annotators] for row in self.rows]
        names = sorted({key for line in keys for key in line if key is not None})
        index = {key: number for number, key in enumerate(names)}
        values = [[ABSTAIN if key is None else index[key] for key in line] for line in keys]
        return np.array(values, dtype=np.int64).reshape(len(self.rows), len(self.annotators)), names

    def _category(self, document: Document | None) -> str | None:
        if document is None or (not document.labels and not self.several):
            return None
        return " + ".join(sorted(document.labels)) or "(none)"

    def votes(self, label: str) -> Ratings:
        """Whether each annotator gave each row this label: 1, 0, or ABSTAIN."""
        values = [
            [ABSTAIN if self._category(each) is None or each is None else int(label in each.labels) for each in line]
            for line in ([self.said(name, row) for name in self.annotators] for row in self.rows)
        ]
        return np.array(values, dtype=np.int64).reshape(len(self.rows), len(self.annotators))

    def spans(self, one: str, other: str) -> tuple[list[tuple[Span, ...]], list[tuple[Span, ...]]]:
        """Spans of two annotators on the rows both answered."""
        pairs = [(a, b) for row in self.rows if (a := self.said(one, row)) is not None and (b := self.said(other, row)) is not None]
        return [a.spans for a, _ in pairs], [b.spans for _, b in pairs]


def report(panel: Panel, *, draws: int = 0, seed: int = 0) -> dict[str, Any]:
    """Summary of a panel: rows in common, agreement of each pair and of all, by label, confusion. draws: of the bootstrap."""
    answered = {name: sum(panel.said(name, row) is not None for row in panel.rows) for name in panel.annotators}
    summary: dict[str, Any] = {"annotators": panel.annotators, "rows": len(panel.rows), "answered": answered}
    if panel.labels:
        summary["labels"] = _labels(panel, draws, seed)
    if panel.span_labels:
        summary["spans"] = _spans(panel, draws, seed)
    return summary


def _labels(panel: Panel, draws: int, seed: int) -> dict[str, Any]:
    ratings, names = panel.ratings()
    k = len(names)
    pairs = []
    for a, b in combinations(range(len(panel.annotators)), 2):
        one, other = ratings[:, a], ratings[:, b]
        both = (one >= 0) & (other >= 0)
        pair: dict[str, Any] = {
            "annotators": [panel.annotators[a], panel.annotators[b]],
            "rows": int(both.sum()),
            "agreement": float((one[both] == other[both]).mean()) if both.any() else None,
            "cohen_kappa": cohen_kappa(one, other, k),
            "confusion": confusion(one[both], other[both], k).tolist(),
        }
        if draws:
            pair["cohen_kappa_95"] = bootstrap(partial(_kappa_of, one[both], other[both], k), int(both.sum()), seed, draws)
        pairs.append(pair)
    summary: dict[str, Any] = {
        "categories": names,
        "rows_with_two": int(((ratings >= 0).sum(axis=1) >= 2).sum()),
        "rows_with_all": int((ratings >= 0).all(axis=1).sum()),
        "fleiss_kappa": fleiss_kappa(ratings, k),
        "krippendorff_alpha": krippendorff_alpha(ratings, k),
        "pairs": pairs,
        "per_label": [_label(panel, name) for name in panel.labels],
    }
    if draws:
        summary["krippendorff_alpha_95"] = bootstrap(lambda rows: krippendorff_alpha(ratings[rows], k), len(ratings), seed, draws)
    return summary


def _kappa_of(one: NDArray[np.int64], other: NDArray[np.int64], categories: int, rows: NDArray[np.int64]) -> float | None:
    return cohen_kappa(one[rows], other[rows], categories)


def _f1_of(one: Sequence[Sequence[Span]], other: Sequence[Sequence[Span]], rows: NDArray[np.int64]) -> float | None:
    value: float | None = f1([one[row] for row in rows], [other[row] for row in rows], overlap=False)["f1"]
    return value


def _label(panel: Panel, name: str) -> dict[str, Any]:
    votes = panel.votes(name)
    given = {annotator: int((votes[:, column] == 1).sum()) for column, annotator in enumerate(panel.annotators)}
    row = {"label": name, "given": given, "fleiss_kappa": fleiss_kappa(votes, 2), "krippendorff_alpha": krippendorff_alpha(votes, 2)}
    return row | ({"cohen_kappa": cohen_kappa(votes[:, 0], votes[:, 1], 2)} if votes.shape[1] == 2 else {})


def _spans(panel: Panel, draws: int, seed: int) -> dict[str, Any]:
    pairs = []
    for one, other in combinations(panel.annotators, 2):
        a, b = panel.spans(one, other)
        pair: dict[str, Any] = {
            "annotators": [one, other],
            "rows": len(a),
            "exact": f1(a, b, overlap=False),
            "overlap": f1(a, b, overlap=True),
        }
        pair["per_label"] = [
            {"label": name, "exact": f1(a, b, overlap=False, label=name), "overlap": f1(a, b, overlap=True, label=name)}
            for name in panel.span_labels
        ]
        if draws:
            pair["exact_95"] = bootstrap(partial(_f1_of, a, b), len(a), seed, draws)
        pairs.append(pair)
    return {"categories": panel.span_labels, "pairs": pairs}
