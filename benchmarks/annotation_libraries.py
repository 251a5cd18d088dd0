"""Agreement and label errors: finecomb's functions and those of scikit-learn, krippendorff and cleanlab, their values and seconds.

    python -m benchmarks.annotation_libraries

Agreement: 95 % intervals from 1,000 draws over 1,000 rows of 3 annotators, of 3 and of 10 classes. Label errors: 3,000 rows of 3 classes,
with the probabilities as they are, and rounded to one decimal, so that many rows have equal margins.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import krippendorff
import numpy as np
from cleanlab.filter import find_label_issues
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from finecomb.data.annotator.label_model import ABSTAIN
from finecomb.labeling import agreement, label_errors

ROWS, DRAWS = 1000, 1000


def ratings(classes: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """Answers [rows, 3]: a third at random, a tenth missing."""
    truth = draw.integers(0, classes, ROWS)
    answers = np.where(draw.random((ROWS, 3)) < 0.3, draw.integers(0, classes, (ROWS, 3)), truth[:, None])
    return np.where(draw.random((ROWS, 3)) < 0.1, ABSTAIN, answers)


def statistics(answers: NDArray[np.int64], classes: int) -> dict[str, Callable[[NDArray[np.int64]], float | None]]:
    """Each statistic of each library as a function of row numbers."""
    pair = answers[(answers[:, :2] >= 0).all(axis=1), :2]

    def library_alpha(rows: NDArray[np.int64]) -> float:
        counts = (answers[rows][:, :, None] == np.arange(classes)).sum(axis=1)
        return float(krippendorff.alpha(value_counts=counts, value_domain=np.arange(classes), level_of_measurement="nominal"))

    def kappa_by(function: Callable[..., Any], **given: Any) -> Callable[[NDArray[np.int64]], Any]:
        return lambda rows: function(*pair[rows % len(pair)].T, **given)

    return {
        "kappa, finecomb": kappa_by(agreement.cohen_kappa, categories=classes),
        "kappa, scikit-learn": kappa_by(cohen_kappa_score, labels=np.arange(classes)),
        "alpha, finecomb": lambda rows: agreement.krippendorff_alpha(answers[rows], classes),
        "alpha, krippendorff": library_alpha,
    }


def main() -> None:
    """Print both tables."""
    print("| classes | statistic | 95 % interval | s |\n|---|---|---|---|")
    for classes in (3, 10):
        for name, statistic in statistics(ratings(classes, np.random.default_rng(0)), classes).items():
            start = time.process_time()
            low, high = agreement.bootstrap(statistic, ROWS, 0, DRAWS) or (np.nan, np.nan)
            print(f"| {classes} | {name} | {low:.6f} to {high:.6f} | {time.process_time() - start:.2f} |", flush=True)
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 3000)
    scores = np.exp(draw.normal(size=(3000, 3)) + np.eye(3)[np.where(draw.random(3000) < 0.1, draw.integers(0, 3, 3000), labels)])
    exact = scores / scores.sum(axis=1, keepdims=True)
    print("\n| probabilities | method | rows of both | of finecomb or cleanlab alone | same order |\n|---|---|---|---|---|")
    for title, probabilities in (("exact", exact), ("rounded", np.round(exact, 1) / np.round(exact, 1).sum(axis=1, keepdims=True))):
        for method, chosen in (("confident_learning", label_errors.suspects), ("low_normalized_margin", label_errors.low_margins)):
            rows = chosen(labels, probabilities).tolist()
            peer = find_label_issues(
                labels, probabilities, filter_by=method, return_indices_ranked_by="normalized_margin", n_jobs=1
            ).tolist()  # fmt: skip
            print(f"| {title} | {method} | {len(set(rows) & set(peer))} | {len(set(rows) ^ set(peer))} | {rows == peer} |")


if __name__ == "__main__":
    main()
