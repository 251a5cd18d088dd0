"""Rows that no training of ours is behind: what a reader needs to see whether fine-tuning was worth it.

`majority` answers the most frequent label of the training split (regression: its mean). `tfidf_logistic` is scikit-learn's logistic
regression on TF-IDF of words and word pairs (regression: ridge). `most_frequent_answer` answers questions. All are fitted on the training
split that the runs used, with fixed settings, and are deterministic. They need seconds, no network and no torch.
"""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.runs import squad
from finecomb.studies.analysis.scores import Predictions, ordered

# Stated under each table. alpha is scikit-learn's default.
SETTINGS = {
    "majority": "the most frequent label of train, or its mean",
    "tfidf_logistic": "scikit-learn: TF-IDF of words and word pairs (sublinear), logistic regression with C = 10, or ridge with alpha = 1",
    "most_frequent_answer": "the most frequent answer of train where the context has it, else the empty answer",
}
_OF_ANSWERS = ("most_frequent_answer",)
# Chosen once, on the validation split of movie_reviews (1: 70.6 %, 10: 72.6 %, 100: 72.9 %): a reference should not be a straw man.
_C = 10.0
_SEED = 0


@dataclass(frozen=True)
class Texts:
    """One split: texts, their second texts (None for single ones) and labels (class index, list of class indices, or number)."""

    text: Sequence[str]
    text_pair: Sequence[str] | None
    label: Sequence[Any]


@dataclass(frozen=True)
class Answers:
    """A reference's predictions in the order of the test split, as predictions/*.parquet holds them, and how many numbers it fitted."""

    predictions: list[Any]
    parameters: int


def check(names: Sequence[str]) -> None:
    """Raise ConfigError for a reference that does not exist."""
    unknown = [name for name in names if name not in SETTINGS]
    if unknown:
        allowed = ", ".join(SETTINGS)
        raise ConfigError([Problem(f"no reference is called {name}", allowed=allowed, hint=_hint(name)) for name in unknown])


def _hint(name: str) -> str:
    close = nearest(name, SETTINGS)
    return f"did you mean {close}?" if close else "name one of these"


def answers(names: Sequence[str], directory: Path, content_hash: str, split: str) -> dict[str, tuple[Predictions, int]]:
    """Each reference's predictions on `split` and its number of parameters, fitted on the train split of the prepared data in `directory`.

    Raises ConfigError when the prepared data are gone or no longer those that the runs used.
    """
    from finecomb.data.prepare import open_prepared

    prepared = open_prepared(directory)
    if prepared.content_hash != content_hash:
        raise ConfigError(
            Problem("the prepared data are no longer those of the runs", where=str(directory), hint="delete them and run again")
        )
    data = prepared.load()
    train, test = (_texts(data[name]) for name in ("train", split))
    label_names = prepared.label_names
    found = {}
    for name in names:
        try:
            if (name in _OF_ANSWERS) != (prepared.label_kind == "answers"):
                raise ValueError(f"it is no reference for labels of kind {prepared.label_kind!r}")
            given = answer(name, train, test, label_kind=prepared.label_kind, num_labels=len(label_names or []))
        except ValueError as error:
            raise ConfigError(Problem(f"{name} cannot be fitted: {error}", where=str(directory))) from error
        ids = data[split]["id"]
        if name in _OF_ANSWERS:
            found[name] = (_scored(ids, test, given.predictions), given.parameters)
            continue
        label, predictions = (_named(values, label_names) for values in (test.label, given.predictions))
        found[name] = (ordered(ids, label, predictions), given.parameters)
    return found


def _scored(ids: Sequence[str], test: Texts, predictions: Sequence[str]) -> Predictions:
    """Answers to questions with what each adds to the sums of the metrics; a reference has no loss."""
    expected = [json.loads(label)["text"] for label in test.label]
    no_answer = not all(expected)
    rows = [squad.sums(*pair, no_answer=no_answer) for pair in zip(predictions, expected, strict=True)]
    sums = {name: [row[name] for row in rows] for name in squad.SUMS}
    return ordered(ids, expected, predictions, {**sums, "loss": [math.nan] * len(rows), "weight": [1.0] * len(rows)})


def _texts(split: Any) -> Texts:
    return Texts(list(split["text"]), list(split["text_pair"]) if "text_pair" in split.column_names else None, list(split["label"]))


def _named(values: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """Class indices as the names that predictions/*.parquet holds."""
    if names is None:
        return [float(value) for value in values]
    return [[names[index] for index in value] if isinstance(value, list) else names[value] for value in values]


def answer(name: str, train: Texts, test: Texts, *, label_kind: str, num_labels: int) -> Answers:
    """Fit reference `name` on `train` and predict `test`.

    label_kind: "class", "classes", "number" or "answers". num_labels: classes (of which train may lack some). Raises ValueError when the
    training texts hold not a single word.
    """
    fits: dict[str, Callable[..., Answers]] = {
        "majority": _majority,
        "tfidf_logistic": _tfidf_logistic,
        "most_frequent_answer": _most_frequent_answer,
    }
    return fits[name](train, test, label_kind, num_labels)


def _majority(train: Texts, test: Texts, label_kind: str, num_labels: int) -> Answers:
    rows = len(test.text)
    if label_kind == "number":
        return Answers([float(np.mean(train.label))] * rows, 1)
    if label_kind == "class":
        # The first of equally frequent labels.
        return Answers([int(np.bincount(train.label, minlength=num_labels).argmax())] * rows, 1)
    shares = _indicators(train.label, num_labels).mean(axis=0)
    return Answers([np.flatnonzero(shares >= 0.5).tolist()] * rows, num_labels)


def _most_frequent_answer(train: Texts, test: Texts, label_kind: str, num_labels: int) -> Answers:
    """The first of equally frequent ones; a text counts once for each question that it is an answer to."""
    tally = Counter(text for label in train.label for text in dict.fromkeys(json.loads(label)["text"]))
    if not tally:
        raise ValueError("no question of train has an answer")
    [(most, _)] = tally.most_common(1)
    return Answers([most if most in context else "" for context in test.text_pair or ()], 1)


def _tfidf_logistic(train: Texts, test: Texts, label_kind: str, num_labels: int) -> Answers:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    seen, asked = _features(train, test)
    if label_kind == "class" and len(set(train.label)) == 1:
        return _majority(train, test, label_kind, num_labels)
    logistic = LogisticRegression(C=_C, max_iter=1000, random_state=_SEED)
    models = {"class": logistic, "classes": OneVsRestClassifier(logistic), "number": Ridge(alpha=1.0, random_state=_SEED)}
    model = models[label_kind]
    target = _indicators(train.label, num_labels) if label_kind == "classes" else np.asarray(train.label)
    with warnings.catch_warnings():
        # A label that no (or every) training text has makes a constant column, which is then predicted as such.
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples|Label not .*", category=UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted = model.fit(seen, target).predict(asked)
    predictions = [np.flatnonzero(row).tolist() for row in predicted] if label_kind == "classes" else predicted.tolist()
    return Answers(predictions, _parameters(model))


def _parameters(model: Any) -> int:
    fitted = getattr(model, "estimators_", [model])
    return sum(int(np.size(each.coef_) + np.size(each.intercept_)) for each in fitted if hasattr(each, "coef_"))


def _features(train: Texts, test: Texts) -> tuple[Any, Any]:
    """TF-IDF matrices of train and test; the second texts of pairs stand beside the first in columns of their own."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    blocks = []
    for seen, asked in [(train.text, test.text), (train.text_pair, test.text_pair)]:
        if seen is not None and asked is not None:
            # Words of one letter count too, unlike scikit-learn's default.
            vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
            blocks.append((vectorizer.fit_transform(seen), vectorizer.transform(asked)))
    return hstack([seen for seen, _ in blocks], format="csr"), hstack([asked for _, asked in blocks], format="csr")


def _indicators(labels: Sequence[Sequence[int]], num_labels: int) -> Any:
    matrix = np.zeros((len(labels), num_labels), dtype=np.int64)
    for row, indices in enumerate(labels):
        matrix[row, list(indices)] = 1
    return matrix
