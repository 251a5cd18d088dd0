"""How answers are scored: the rules of SQuAD's official evaluation scripts (Rajpurkar et al. 2016 and 2018), as shares in [0, 1].

Texts are normalized (lower case, no punctuation, no articles, single spaces). An answer counts with the reference that it fits best: for
`exact_match` by equality, for `f1` by the words that both have, as often as both have them. Version 1.1 takes the references as they are;
version 2.0 leaves out those of which normalization leaves nothing, and a question without any has the empty answer as its reference.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

VERSION = "1"

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words separated by single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, reference: str) -> float:
    """1 where both are equal once normalized, else 0."""
    return float(normalized(prediction) == normalized(reference))


def f1(prediction: str, reference: str, *, no_answer: bool) -> float:
    """Harmonic mean of the shares of words that both have.

    no_answer: two empty answers agree (version 2.0), in place of having nothing in common (version 1.1).
    """
    words, expected = normalized(prediction).split(), normalized(reference).split()
    if no_answer and (not words or not expected):
        return float(words == expected)
    common = (Counter(words) & Counter(expected)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(words), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def scores(prediction: str, references: Sequence[str], *, no_answer: bool) -> tuple[float, float]:
    """Exact match and F1 of an answer, each with its best reference.

    references: empty for a question without an answer. no_answer: by version 2.0 of the rules, which knows such questions; else by 1.1.
    """
    usable = expected(references) if no_answer else references
    if not usable:
        raise ValueError("version 1.1 of the rules knows no question without an answer")
    exact = max(exact_match(prediction, reference) for reference in usable)
    return exact, max(f1(prediction, reference, no_answer=no_answer) for reference in usable)


def expected(references: Sequence[str]) -> list[str]:
    """The references of version 2.0: those of which normalization leaves something, else the empty answer."""
    return [reference for reference in references if normalized(reference)] or [""]


SUMS = ("exact_match", "f1", "rows", "has_answer", "has_answer_exact_match", "has_answer_f1", "no_answer", "no_answer_right")


def sums(prediction: str, references: Sequence[str], *, no_answer: bool) -> dict[str, float]:
    """What an example adds to the sums of which the metrics are made (see `runs.sum_metrics`), by name."""
    exact, overlap = scores(prediction, references, no_answer=no_answer)
    has_answer = float(bool(references))
    return {
        "exact_match": exact,
        "f1": overlap,
        "rows": 1.0,
        "has_answer": has_answer,
        "has_answer_exact_match": exact * has_answer,
        "has_answer_f1": overlap * has_answer,
        "no_answer": 1 - has_answer,
        "no_answer_right": exact * (1 - has_answer),
    }
