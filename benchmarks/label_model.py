"""Label models on synthetic votes whose truth is known: accuracy and seconds, beside Snorkel's LabelModel and
crowd-kit's DawidSkene where they are installed.

    python -m benchmarks.label_model [--seeds 5] [--first 2000] [--rows 10000] [--only correlated]

Problems: those of Snorkel 0.10's own tests (its simple label matrix with 2 and 3 classes, the sparse one, five sources of known accuracy,
the pipeline with divisors), and those of our own: 10 and 25 independent sources, 12 of which some copy one, shares 90 to 10 with the class
balance given and not, 15 sources on five classes. Accuracy is over the rows that any source votes on; a tie goes to the first class.
Seeds below 2000 were looked at while rules were chosen.
Snorkel is trained as its tests do it (lr 0.01), for as many epochs as they or, for our own problems, 500.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.data.annotator.label_model import ABSTAIN, MODELS, fit

INSTALL = {
    "snorkel": "for its column: pip install snorkel==0.10.0 (needs torch, pandas and tensorboard)",
    "crowdkit": "for its column: pip install crowd-kit==1.4.2 (needs nltk, pandas and transformers)",
}


@dataclass(frozen=True)
class Votes:
    """truth [n], votes [n, m], number of classes, epochs that Snorkel trains, and the class balance where models are told it."""

    truth: NDArray[np.int64]
    votes: NDArray[np.int64]
    classes: int
    epochs: int = 500
    balance: list[float] | None = None


def simple_label_matrix(rows: int, sources: int, classes: int, draw: np.random.Generator, *, abstain: float = 1.0, epochs: int) -> Votes:
    """Random tables P(vote | class) that lean towards being right, as Snorkel's synthetic data have them (snorkel.synthetic, 0.10)."""
    tables = draw.random((sources, classes + 1, classes))
    tables[:, 1:, :] += (classes - 1) * np.eye(classes)
    tables[:, 0, :] *= abstain
    tables /= tables.sum(axis=1, keepdims=True)
    truth = draw.integers(0, classes, rows)
    edges = tables.cumsum(axis=1)[:, :, truth]  # [m, k + 1, n]
    votes = (draw.random((sources, 1, rows)) > edges).sum(axis=1).T - 1
    return Votes(truth, np.minimum(votes, classes - 1), classes, epochs)


def independent(
    rows: int, accuracies: Any, coverage: Any, draw: np.random.Generator, *, shares: list[float], told: bool = False, epochs: int = 500
) -> Votes:
    """Sources that are right with a probability of their own, and wrong evenly among the other classes."""
    classes = len(shares)
    truth = draw.choice(classes, rows, p=shares)
    votes = np.full((rows, len(accuracies)), ABSTAIN, dtype=np.int64)
    for column, accuracy in enumerate(accuracies):
        wrong = (truth + draw.integers(1, classes, rows)) % classes
        said = np.where(draw.random(rows) < accuracy, truth, wrong)
        speaks = draw.random(rows) < np.broadcast_to(coverage, len(accuracies))[column]
        votes[:, column] = np.where(speaks, said, ABSTAIN)
    return Votes(truth, votes, classes, epochs, shares if told else None)


def correlated(rows: int, draw: np.random.Generator, sources: int, copies: int, share: float) -> Votes:
    """Independent sources, and copies of the first one: with probability `share` a copy says what it says, else what it finds itself."""
    found = independent(rows, draw.uniform(0.6, 0.8, sources), 0.5, draw, shares=[0.5, 0.5])
    columns = [found.votes]
    for _ in range(copies):
        right = np.where(draw.random(rows) < 0.65, found.truth, 1 - found.truth)
        own = np.where(draw.random(rows) < 0.5, right, ABSTAIN)
        columns.append(np.where(draw.random(rows) < share, found.votes[:, 0], own)[:, None])
    return Votes(found.truth, np.column_stack(columns), 2)


def divisors(rows: int, draw: np.random.Generator) -> Votes:
    """Snorkel's test of convergence: sources of one class each see the truth where a number is divisible; one more is always wrong."""
    first, second, number = draw.uniform(-1, 1, rows), draw.uniform(-1, 1, rows), draw.integers(0, 1000, rows)
    truth = (first > second + 0.25).astype(np.int64)
    wrong = np.where((number % 3 == 1) & (truth == 1), 0, ABSTAIN)
    sources = [np.where((number % by == 0) & (truth == label), label, ABSTAIN) for label in (1, 0) for by in range(2, 9)]
    return Votes(truth, np.column_stack([wrong, *sources]), 2, 100)


def problems(rows: int) -> dict[str, Callable[[np.random.Generator], Votes]]:
    """Every problem by its name: a function of a generator of random numbers."""
    return {
        "Snorkel: simple, 2 classes": lambda draw: simple_label_matrix(10_000, 10, 2, draw, epochs=200),
        "Snorkel: simple, 3 classes": lambda draw: simple_label_matrix(10_000, 10, 3, draw, epochs=200),
        "Snorkel: sparse": lambda draw: simple_label_matrix(10_000, 10, 2, draw, abstain=1000.0, epochs=1000),
        "Snorkel: accuracies": lambda draw: independent(
            1000, [0.95, 0.6, 0.7, 0.55, 0.8], [1, 0.8, 1, 1, 1], draw, shares=[0.5, 0.5], epochs=1000
        ),
        "Snorkel: convergence": lambda draw: divisors(1500, draw),
        "10 independent": lambda draw: independent(rows, draw.uniform(0.55, 0.85, 10), 0.5, draw, shares=[0.5, 0.5]),
        "25 independent": lambda draw: independent(rows, draw.uniform(0.55, 0.85, 25), 0.5, draw, shares=[0.5, 0.5]),
        "12 correlated, 3 copy 70 %": lambda draw: correlated(rows, draw, 9, 3, 0.7),
        "12 correlated, 5 copy 90 %": lambda draw: correlated(rows, draw, 7, 5, 0.9),
        "10, 90 to 10": lambda draw: independent(rows, draw.uniform(0.55, 0.85, 10), 0.5, draw, shares=[0.9, 0.1]),
        "10, 90 to 10, told": lambda draw: independent(rows, draw.uniform(0.55, 0.85, 10), 0.5, draw, shares=[0.9, 0.1], told=True),
        "15, 5 classes": lambda draw: independent(rows, draw.uniform(0.5, 0.8, 15), 0.5, draw, shares=[0.2] * 5),
    }


def snorkel_probabilities(problem: Votes) -> NDArray[np.float64]:
    """What Snorkel's LabelModel says."""
    from snorkel.labeling.model import LabelModel

    model = LabelModel(cardinality=problem.classes, verbose=False)
    model.fit(problem.votes, n_epochs=problem.epochs, lr=0.01, seed=123, class_balance=problem.balance, progress_bar=False)
    found: NDArray[np.float64] = model.predict_proba(problem.votes)
    return found


def crowd_kit_probabilities(problem: Votes) -> NDArray[np.float64]:
    """Posterior of crowd-kit's DawidSkene; its prior of the classes cannot be given."""
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    rows, sources = np.nonzero(problem.votes != ABSTAIN)
    frame = pd.DataFrame({"task": rows, "worker": sources, "label": problem.votes[rows, sources]})
    fitted = DawidSkene(n_iter=100).fit_predict_proba(frame)
    probabilities = np.zeros((len(problem.truth), problem.classes))
    probabilities[np.ix_(fitted.index, fitted.columns)] = fitted
    return probabilities


def accuracy(problem: Votes, probabilities: NDArray[np.float64]) -> float:
    """Share of right labels among the rows that any source votes on."""
    voted = (problem.votes != ABSTAIN).any(axis=1)
    return float((probabilities.argmax(axis=1) == problem.truth)[voted].mean())


def _ours(name: str, problem: Votes) -> NDArray[np.float64]:
    balance = None if problem.balance is None else np.array(problem.balance)
    return fit(problem.votes, problem.classes, name, balance).probabilities


def models() -> dict[str, Callable[[Votes], NDArray[np.float64]]]:
    """Each model by its name: votes in, probabilities out."""
    named: dict[str, Callable[[Votes], NDArray[np.float64]]] = {name: functools.partial(_ours, name) for name in MODELS}
    for package, title, model in (("snorkel", "Snorkel", snorkel_probabilities), ("crowdkit", "crowd-kit", crowd_kit_probabilities)):
        if importlib.util.find_spec(package) is None:
            print(f"{title} is not installed; {INSTALL[package]}")
        else:
            named[title] = model
    return named


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=2000, help="the first seed")
    parser.add_argument("--rows", type=int, default=10_000, help="rows of our own problems; Snorkel's have those of its tests")
    parser.add_argument("--only", default="", help="problems whose name holds this")
    given = parser.parse_args()
    named = models()
    print("| problem | " + " | ".join(f"{name} | s" for name in named) + " |")
    print("|---|" + "---|---|" * len(named))
    for title, make in ((title, make) for title, make in problems(given.rows).items() if given.only in title):
        cells = []
        drawn = [make(np.random.default_rng(seed)) for seed in range(given.first, given.first + given.seeds)]
        for model in named.values():
            start = time.process_time()
            right = [accuracy(problem, model(problem)) for problem in drawn]
            cells.append(f"{np.mean(right):.4f} | {(time.process_time() - start) / len(drawn):.2f}")
        print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
