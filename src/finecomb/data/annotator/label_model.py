"""From votes to one label with its probability: majority, weighted majority, and the EM of Dawid & Skene (1979, Applied Statistics 28).

For EM abstaining is an answer like any other: a rule that can only say one class tells by its silence too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

ABSTAIN = -1
MODELS = ("majority", "weighted", "dawid_skene")
Votes: TypeAlias = NDArray[np.int8]
Floats: TypeAlias = NDArray[np.float64]
# Pseudo-counts towards a source that is right seven times of ten: with few votes EM would otherwise turn a source round.
_PRIOR_VOTES, _PRIOR_ACCURACY = 2.0, 0.7
_ITERATIONS, _TOLERANCE = 200, 1e-7


@dataclass(frozen=True)
class Fitted:
    """probabilities [n, k] of the classes of each row. balance [k]. confusion [m, k, k]: of each source, row true class, column vote; None
    for majority. tied: rows where the best two classes cannot be told apart."""

    probabilities: Floats
    balance: Floats
    confusion: Floats | None
    tied: NDArray[np.bool_]


def fit(votes: Votes, classes: int, model: str = "dawid_skene", balance: Floats | None = None, *, silence: bool = True) -> Fitted:
    """Votes [n, m]: class indices, ABSTAIN for none. balance: shares of the classes where they are known.

    silence: whether abstaining tells anything, as it does of rules; of people who were not asked it does not.
    """
    # [n, m, k + 1]: the last answer is an abstention.
    answers = (np.where(votes == ABSTAIN, classes, votes)[:, :, None] == np.arange(classes + 1)).astype(np.float64)
    if not silence:
        answers[:, :, classes] = 0.0
    probabilities = _normalised(answers[:, :, :classes].sum(axis=1), np.full(classes, 1 / classes))
    if model == "majority":
        return _fitted(probabilities, _mean(probabilities, votes), None)
    if model == "weighted":
        confusion = _confusion(answers, probabilities, _prior(answers))
        # One weight for each source: the log-odds of how often its votes agree with the majority (Nitzan & Paroush 1982).
        agreed = np.einsum("nmk,nk->m", answers[:, :, :classes], probabilities)
        accuracy = np.clip(agreed / np.maximum(answers[:, :, :classes].sum(axis=(0, 2)), 1.0), 0.05, 0.95)
        scores = np.einsum("nmk,m->nk", answers[:, :, :classes], np.log(accuracy * max(1, classes - 1) / (1 - accuracy)))
        return _fitted(_softmax(scores), _mean(probabilities, votes), _given_a_vote(confusion))
    # Rows that nobody votes on are no evidence: EM would make them a class of their own, whose mark is silence.
    voted = np.flatnonzero(np.any(votes != ABSTAIN, axis=1))
    if not len(voted):
        return _fitted(probabilities, _mean(probabilities, votes), None)
    found = _em(votes[voted], answers[voted], probabilities[voted], _prior(answers[voted]), balance)
    every = np.tile(found.balance, (len(votes), 1))
    every[voted] = found.probabilities
    return _fitted(every, found.balance, found.confusion)


def _em(votes: Votes, answers: Floats, probabilities: Floats, prior: Floats, balance: Floats | None) -> Fitted:
    shares = _mean(probabilities, votes) if balance is None else balance
    confusion = _confusion(answers, probabilities, prior)
    before = -np.inf
    for _ in range(_ITERATIONS):
        scores = np.log(shares) + np.einsum("nma,mca->nc", answers, np.log(confusion))
        peak = scores.max(axis=1, keepdims=True)
        likelihood = float((peak[:, 0] + np.log(np.exp(scores - peak).sum(axis=1))).sum())
        probabilities = _softmax(scores)
        confusion = _confusion(answers, probabilities, prior)
        shares = _mean(probabilities, votes) if balance is None else balance
        if abs(likelihood - before) <= _TOLERANCE * max(1.0, abs(likelihood)):
            break
        before = likelihood
    return _fitted(probabilities, shares, _given_a_vote(confusion))


def _prior(answers: Floats) -> Floats:
    """Pseudo-counts [m, k, k + 1]: as often as the source votes, it is right in seven cases of ten; what it never says it may not say."""
    classes = answers.shape[2] - 1
    coverage = np.clip(answers[:, :, :classes].mean(axis=(0, 2)) * classes, 0.01, 0.99)[:, None, None]
    other = (1 - _PRIOR_ACCURACY) / max(1, classes - 1)
    says = np.asarray(answers[:, :, :classes].max(axis=0) > 0)[:, None, :]
    voting = coverage * (np.eye(classes) * (_PRIOR_ACCURACY - other) + other)[None] * np.where(says, 1.0, 1e-3)
    silent = 1.0 - voting.sum(axis=2, keepdims=True)
    found: Floats = _PRIOR_VOTES * np.concatenate([voting, np.clip(silent, 0.01, None)], axis=2)
    return found


def _confusion(answers: Floats, probabilities: Floats, prior: Floats) -> Floats:
    """P(answer | class) of each source, [m, k, k + 1]."""
    counts = np.einsum("nc,nma->mca", probabilities, answers) + prior
    found: Floats = counts / counts.sum(axis=2, keepdims=True)
    return found


def _given_a_vote(confusion: Floats) -> Floats:
    """P(vote | class) of each source given that it votes, [m, k, k]."""
    voting = confusion[:, :, :-1]
    found: Floats = voting / voting.sum(axis=2, keepdims=True)
    return found


def _mean(probabilities: Floats, votes: Votes) -> Floats:
    """Shares of the classes over the rows that anybody voted on."""
    voted = (votes != ABSTAIN).any(axis=1)
    classes = probabilities.shape[1]
    if not voted.any():
        return np.full(classes, 1 / classes)
    found = probabilities[voted].sum(axis=0) + 1.0
    return found / found.sum()


def _normalised(counts: Floats, nothing: Floats) -> Floats:
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1e-300), nothing)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Floats = powers / powers.sum(axis=1, keepdims=True)
    return found


def _fitted(probabilities: Floats, balance: Floats, confusion: Floats | None) -> Fitted:
    top = np.sort(probabilities, axis=1)
    tied = np.isclose(top[:, -1], top[:, -2], rtol=0, atol=1e-9) if probabilities.shape[1] > 1 else np.zeros(len(top), dtype=bool)
    return Fitted(probabilities, balance, confusion, tied)
