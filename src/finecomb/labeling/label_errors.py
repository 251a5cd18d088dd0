"""Labels that are probably wrong, as a queue to look at: confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70), or margins.

Probabilities must be out of fold, or the model has seen the labels it judges; `out_of_fold` makes them. Both ways choose the rows that
cleanlab 2 chooses (find_label_issues by confident_learning and low_normalized_margin), in the same order. Hand-written, because cleanlab
differs where rows have equal margins, as copies of a text do: its sort is not stable, so that the order of such rows, and by
low_normalized_margin also which of them are chosen, is arbitrary (`python -m benchmarks.annotation_libraries`). Here they keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from finecomb.core.errors import ConfigError, Problem

Floats: TypeAlias = NDArray[np.float64]
Classes: TypeAlias = NDArray[np.int64]
METHODS = ("confident_learning", "low_normalized_margin")
# A mean that a probability reaches but for rounding is reached; a label is taken for the best where another class leads by less than this.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong. confidence: probability of the label it should have. margin: from 0, where the given label is
    impossible, to 1 (its probability less that of the best other class, moved to [0, 1])."""

    row: int
    given: str
    suggested: str
    confidence: float
    margin: float


def suspects(labels: Classes, probabilities: Floats) -> Classes:
    """Rows whose given label is confidently another class, the least believable first.

    labels [n]: class indices. probabilities [n, k]: out of fold.
    A row counts as class c when its probability of c reaches the mean that rows labeled c have (section 3.1, equation 2); where it reaches
    several, as the most probable class. Ordered by the margin of the given label.
    """
    means = np.array([probabilities[labels == c, c].mean() if (labels == c).any() else np.inf for c in range(probabilities.shape[1])])
    reached = probabilities >= means - _ROUNDING
    several = reached.sum(axis=1) > 1
    seems = np.where(several, probabilities.argmax(axis=1), reached.argmax(axis=1))
    lead = probabilities.copy()
    lead[np.arange(len(labels)), labels] += _ROUNDING
    wrong = np.flatnonzero(reached.any(axis=1) & (seems != labels) & (lead.argmax(axis=1) != labels))
    ordered: Classes = wrong[np.argsort(margins(labels, probabilities)[wrong], kind="stable")]
    return ordered


def low_margins(labels: Classes, probabilities: Floats) -> Classes:
    """As many rows as confident learning finds, but those with the lowest margins, the lowest first."""
    count = len(suspects(labels, probabilities))
    lowest: Classes = np.argsort(margins(labels, probabilities), kind="stable")[:count]
    return lowest


def margins(labels: Classes, probabilities: Floats) -> Floats:
    """Probability of the given label less that of the best other class, moved to [0, 1]."""
    margin: Floats = (probabilities[np.arange(len(labels)), labels] - _others(labels, probabilities).max(axis=1) + 1) / 2
    return margin


def _others(labels: Classes, probabilities: Floats) -> Floats:
    """Probabilities with that of the given label at minus infinity."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -np.inf
    return others


def out_of_fold(texts: Sequence[str], labels: Classes, *, folds: int = 5, seed: int = 0) -> Floats:
    """Probabilities [n, k] of each text by a model that has not seen it: logistic regression on TF-IDF of words and of characters.

    Folds keep the shares of the classes, and equal texts together: a model that has seen a copy has seen the label.
    Raises ConfigError where a class has fewer different texts than there are folds.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    groups = np.unique([" ".join(text.casefold().split()) for text in texts], return_inverse=True)[1].reshape(-1)
    classes = int(labels.max()) + 1
    fewest = min((len(set(groups[labels == c])) for c in range(classes)), default=0)
    if classes < 2 or fewest < folds:
        what = f"the rarest of {classes} classes has {fewest} different texts"
        raise ConfigError(Problem(what, "label errors", f"at least {folds}, one for each fold", "label more rows, or use fewer folds"))
    probabilities = np.zeros((len(texts), classes))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    for seen, unseen in splitter.split(np.zeros(len(texts)), labels, groups):
        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
        characters = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(1, 4), max_features=100_000)
        units = [(unit, unit.fit_transform([texts[row] for row in seen])) for unit in (words, characters)]
        model = LogisticRegression(C=10.0, max_iter=1000).fit(hstack([matrix for _, matrix in units]).tocsr(), labels[seen])
        answers = model.predict_proba(hstack([unit.transform([texts[row] for row in unseen]) for unit, _ in units]).tocsr())
        probabilities[np.ix_(unseen, model.classes_)] = answers
    return probabilities


def review_queue(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    method: str = "confident_learning",
    probabilities: Floats | None = None,
    classes: Sequence[str] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> list[Suspect]:
    """Rows to look at again, the least believable first, each with the label that it seems to have.

    probabilities [n, k]: out of fold, of `classes`; None: made by `out_of_fold`. method: one of METHODS.
    Raises ConfigError for labels that are none of the classes, and see `out_of_fold`.
    """
    names = sorted(set(labels)) if classes is None else list(classes)
    unknown = sorted(set(labels) - set(names))
    if unknown:
        raise ConfigError(
            Problem(f"the label {unknown[0]!r} is none of the classes of the predictions", "label errors", ", ".join(names[:20]))
        )
    given = np.array([names.index(label) for label in labels], dtype=np.int64)
    judged = out_of_fold(texts, given, folds=folds, seed=seed) if probabilities is None else probabilities
    if judged.shape != (len(texts), len(names)):
        raise ValueError(f"probabilities of shape {judged.shape} for {len(texts)} texts and {len(names)} classes")
    rows = suspects(given, judged) if method == "confident_learning" else low_margins(given, judged)
    best, margin = _others(given, judged).argmax(axis=1), margins(given, judged)
    return [
        Suspect(int(row), labels[row], names[int(best[row])], round(float(judged[row, best[row]]), 6), round(float(margin[row]), 6))
        for row in rows
    ]
