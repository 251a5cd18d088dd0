"""Rows that no training of ours is behind: what a reader needs to see whether fine-tuning was worth it.

`majority` answers the most frequent label of the training split (regression: its mean). `tfidf_logistic` is scikit-learn's logistic
regression on TF-IDF of words and word pairs (regression: ridge). Both are fitted on the training split that the runs used, with fixed
settings, and are deterministic. `first_sentence` answers with that of the source, where a target is to be written. `most_frequent_tag`
gives each token the tag that it has most often in train, and `most_frequent_answer` answers questions. They need seconds, no network and
no torch.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from finecomb.config.plugins import all_task_facts as task_facts
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.runs import entities, squad
from finecomb.runs.sum_metrics import PREFIX
from finecomb.runs.text_statistics import statistics
from finecomb.studies.analysis.scores import Predictions, ordered

# Stated under each table. alpha is scikit-learn's default.
SETTINGS = {
    "majority": "the most frequent label of train, or its mean",
    "most_frequent_answer": "the most frequent answer of train where the context has it, else the empty answer",
    "first_sentence": "the first sentence of the source, at most its first line",
    "tfidf_logistic": "scikit-learn: TF-IDF of words and word pairs (sublinear), logistic regression with C = 10, or ridge with alpha = 1",
    "most_frequent_tag": "each token's most frequent tag in train; for tokens that train lacks O, without a scheme the most frequent tag",
}
# The kinds of labels that a reference answers.
_OF_LABELS = ("class", "classes", "number")
_KINDS = {
    "majority": _OF_LABELS, "tfidf_logistic": _OF_LABELS, "first_sentence": ("target",), "most_frequent_tag": ("tags",),
    "most_frequent_answer": ("answers",),
}  # fmt: skip
# Chosen once, on the validation split of movie_reviews (1: 70.6 %, 10: 72.6 %, 100: 72.9 %): a reference should not be a straw man.
_C = 10.0
_SEED = 0


@dataclass(frozen=True)
class Texts:
    """One split: texts, their second texts (None for single ones), and labels.

    label: a class index, a list of class indices (of tags: one for each token), a number, or a text.
    """

    text: Sequence[str]
    text_pair: Sequence[str] | None
    label: Sequence[Any]


@dataclass(frozen=True)
class Answers:
    """A reference's predictions in the order of the test split, as predictions/*.parquet holds them, and how many numbers it fitted.

    sums: what each example adds to metrics of sums, by name; see `scores.Predictions`.
    """

    predictions: list[Any]
    parameters: int
    sums: Mapping[str, Sequence[float]] = field(default_factory=dict)


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
    label_names = prepared.label_names or []
    found = {}
    for name in names:
        try:
            given = answer(name, train, test, label_kind=prepared.label_kind, num_labels=len(label_names), label_names=label_names)
        except ValueError as error:
            raise ConfigError(Problem(f"{name} cannot be fitted: {error}", where=str(directory))) from error
        labels = [json.loads(label)["text"] for label in test.label] if prepared.label_kind == "answers" else test.label
        label, predictions = (_named(values, prepared.label_names) for values in (labels, given.predictions))
        found[name] = (ordered(data[split]["id"], label, predictions, given.sums), given.parameters)
    return found


def _texts(split: Any) -> Texts:
    return Texts(list(split["text"]), list(split["text_pair"]) if "text_pair" in split.column_names else None, list(split["label"]))


def _named(values: Sequence[Any], names: Sequence[str] | None) -> list[Any]:
    """Class indices as the names that predictions/*.parquet holds."""
    if (values and isinstance(values[0], str)) or (names is None and values and isinstance(values[0], list)):
        return list(values)
    if names is None:
        return [float(value) for value in values]
    return [[names[index] for index in value] if isinstance(value, list) else names[value] for value in values]


def answer(name: str, train: Texts, test: Texts, *, label_kind: str, num_labels: int, label_names: Sequence[str] = ()) -> Answers:
    """Fit reference `name` on `train` and predict `test`.

    label_kind: "class", "classes", "number", "target", "tags" or "answers". num_labels: classes (of which train may lack some).
    label_names: of tags.
    Raises ValueError when the training texts hold not a single word, or the reference does not serve labels of this kind.
    """
    if label_kind not in _KINDS[name]:
        fitting = ", ".join(other for other, kinds in _KINDS.items() if label_kind in kinds)
        raise ValueError(f"it does not serve labels of kind {label_kind}; " + (f"{fitting} does" if fitting else "no reference does"))
    if name == "most_frequent_tag":
        return _most_frequent_tag(train, test, label_names)
    fits: dict[str, Callable[..., Answers]] = {
        "majority": _majority, "tfidf_logistic": _tfidf_logistic, "first_sentence": _first_sentence,
        "most_frequent_answer": _most_frequent_answer,
    }  # fmt: skip
    return fits[name](train, test, label_kind, num_labels)


def _most_frequent_tag(train: Texts, test: Texts, names: Sequence[str]) -> Answers:
    """Of equally frequent tags the first one by index."""
    counts: dict[str, Counter[int]] = {}
    for text, tags in zip(train.text, train.label, strict=True):
        for token, tag in zip(text.split(), tags, strict=True):
            counts.setdefault(token, Counter())[tag] += 1
    most = {token: _first_of_most(counter) for token, counter in counts.items()}
    unseen = names.index(entities.OUTSIDE) if entities.is_bio(names) else _first_of_most(sum(counts.values(), Counter()))
    predictions = [[most.get(token, unseen) for token in text.split()] for text in test.text]
    labels, named = ([[names[tag] for tag in row] for row in side] for side in (test.label, predictions))
    columns = entities.sums(labels, named, names)
    return Answers(predictions, len(most) + 1, {name.removeprefix(PREFIX): values for name, values in columns.items()})


def _first_of_most(counter: Counter[int]) -> int:
    return max(sorted(counter), key=counter.__getitem__)


def _first_sentence(train: Texts, test: Texts, label_kind: str, num_labels: int) -> Answers:
    metrics = tuple(name for facts in task_facts().values() if facts.kind == label_kind for name in facts.generated)
    texts = [first_sentence(text) for text in test.text]
    columns = statistics(texts, test.label, dict.fromkeys(metrics))
    sums = {name.removeprefix(PREFIX): column for name, column in columns.items()}
    return Answers(texts, 0, {**sums, "generated": [1.0] * len(texts)})


def _most_frequent_answer(train: Texts, test: Texts, label_kind: str, num_labels: int) -> Answers:
    """The first of equally frequent ones; a text counts once for each question that it is an answer to."""
    tally = Counter(text for label in train.label for text in dict.fromkeys(json.loads(label)["text"]))
    if not tally:
        raise ValueError("no question of train has an answer")
    [(most, _)] = tally.most_common(1)
    texts = [most if most in context else "" for context in test.text_pair or ()]
    expected = [json.loads(label)["text"] for label in test.label]
    rows = [squad.sums(*pair, no_answer=not all(expected)) for pair in zip(texts, expected, strict=True)]
    return Answers(texts, 1, {name: [row[name] for row in rows] for name in squad.SUMS})


def first_sentence(text: str) -> str:
    """What stands before the first mark that ends a sentence and is followed by white space, with the mark; at most the first line."""
    line = text.strip().split("\n", 1)[0]
    return re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0]


def _majority(train: Texts, test: Texts, label_kind: str, num_labels: int) -> Answers:
    rows = len(test.text)
    if label_kind == "number":
        return Answers([float(np.mean(train.label))] * rows, 1)
    if label_kind == "class":
        # The first of equally frequent labels.
        return Answers([int(np.bincount(train.label, minlength=num_labels).argmax())] * rows, 1)
    shares = _indicators(train.label, num_labels).mean(axis=0)
    return Answers([np.flatnonzero(shares >= 0.5).tolist()] * rows, num_labels)


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
