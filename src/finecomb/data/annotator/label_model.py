"""From votes to one label with its probability: majority, weighted majority, and the EM of Dawid & Skene (1979, Applied Statistics 28).

For EM abstaining is an answer like any other: a rule that can only say one class tells by its silence too. Sources that repeat each other
share one voice in it (see dependence.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from finecomb.data.annotator import dependence

ABSTAIN = -1
MODELS = ("majority", "weighted", "dawid_skene")
Votes: TypeAlias = NDArray[Any]  # any signed integer
Floats: TypeAlias = NDArray[np.float64]
# Votes, beside its own, of a source that is right seven times of ten: with few votes EM would otherwise turn a source round. For a source
# that speaks rarely they stand for as many more rows.
_PRIOR_VOTES, _PRIOR_ACCURACY = 2.0, 0.7
# Votes towards being as good in each class as over all: few votes tell little of a source's classes one by one.
_POOLED_VOTES = 20.0
# Rows added to each class when shares are estimated: where sources hardly meet, the classes count as equally common.
_EVEN_ROWS = 10.0
# Votes at the prior accuracy that lone votes of a source are judged by, beside its votes in company.
_LONE_VOTES = 10.0
_ITERATIONS, _TOLERANCE = 200, 1e-7


@dataclass(frozen=True)
class Fitted:
    """probabilities [n, k] of the classes of each row. balance [k]. confusion [m, k, k]: of each source, row true class, column vote; None
    for majority. tied: rows where the best two classes cannot be told apart. excess [m, m]: how much more each pair of sources agrees than
    independent ones would, from 0 to 1 (see dependence.py)."""

    probabilities: Floats
    balance: Floats
    confusion: Floats | None
    tied: NDArray[np.bool_]
    excess: Floats


def fit(votes: Votes, classes: int, model: str = "dawid_skene", balance: Floats | None = None, *, silence: bool = True) -> Fitted:
    """Votes [n, m]: class indices, ABSTAIN for none. balance: shares of the classes where they are known; majority takes none.

    silence: whether abstaining tells anything, as it does of rules; of people who were not asked it does not.
    """
    # Rows with the same votes get the same answer: each pattern is computed once.
    # As strings of bytes they are sorted several times as fast as by numpy.unique's own axis.
    keys = np.ascontiguousarray(votes, dtype=np.int16).view(f"V{2 * votes.shape[1]}").reshape(-1)
    _, first, place, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    patterns = votes[first]
    place = place.reshape(-1)
    fitted = _of_patterns(patterns, counts.astype(np.float64), classes, model, balance, silence)
    return Fitted(fitted.probabilities[place], fitted.balance, fitted.confusion, fitted.tied[place], fitted.excess)


def _of_patterns(votes: Votes, counts: Floats, classes: int, model: str, balance: Floats | None, silence: bool) -> Fitted:
    """`fit` for different rows, each of which stands for several."""
    voted = (votes != ABSTAIN).any(axis=1)
    majority = _majority(votes, classes, np.ones(votes.shape[1]), None)
    shares = _shares(majority, counts * voted)
    prior = _prior(votes, counts, classes)
    confusion = _given_a_vote(_confusion(votes, counts, majority, prior))
    excess = dependence.excess_agreement(votes, counts, confusion, shares)
    if model == "majority":
        return _fitted(majority, shares, None, excess)
    if model == "weighted":
        return _fitted(_weighted(votes, counts, majority, balance), shares if balance is None else balance, confusion, excess)
    weights = dependence.voices(excess)
    start = _majority(votes, classes, weights, balance)
    estimates = _em(votes, counts, start, prior, weights, balance, silence)
    return _fitted(*estimates, excess)


def _majority(votes: Votes, classes: int, weights: Floats, balance: Floats | None) -> Floats:
    """Shares of the votes for each class [n, k]; without a vote the shares of the classes, or even ones."""
    tally = np.stack([(votes == c) @ weights for c in range(classes)], axis=1)
    return _normalized(tally if balance is None else tally * balance, np.full(classes, 1 / classes) if balance is None else balance)


def _weighted(votes: Votes, counts: Floats, majority: Floats, balance: Floats | None) -> Floats:
    """One weight for each source: the log-odds of how often its votes agree with the majority (Nitzan & Paroush 1982)."""
    classes = majority.shape[1]
    scores = np.zeros_like(majority) if balance is None else np.tile(np.log(balance), (len(majority), 1))
    for column in votes.T:
        said = np.flatnonzero(column != ABSTAIN)
        agreed = (counts[said] * majority[said, column[said]]).sum() / max(counts[said].sum(), 1.0)
        accuracy = min(max(agreed, 0.05), 0.95)
        scores[said, column[said]] += np.log(accuracy * max(1, classes - 1) / (1 - accuracy))
    return _softmax(scores)


def _em(
    votes: Votes, counts: Floats, start: Floats, prior: Floats, weights: Floats, balance: Floats | None, silence: bool
) -> tuple[Floats, Floats, Floats]:
    """Probabilities, balance and confusion by EM.

    Only rows with several votes are evidence. A lone vote counts as its source's votes in company do. A row that nobody votes on counts by
    the shares of the classes: it tells how rarely sources speak, but judged by its silence it would become a class of its own.
    """
    spoke = (votes != ABSTAIN).sum(axis=1)
    lone: NDArray[np.bool_] = np.equal(spoke, 1)
    several = counts * (spoke > 1)
    shares = _shares(start, counts * (spoke > 0), _EVEN_ROWS) if balance is None else balance
    probabilities, before = start, -np.inf
    for _ in range(_ITERATIONS):
        believed = np.where((spoke > 0)[:, None], probabilities, shares)
        believed[lone] = _alone(votes, several, probabilities, lone)
        confusion = _confusion(votes, counts, believed, prior)
        logs = np.log(confusion) if silence else _silent(np.log(_given_a_vote(confusion)))
        scores = np.tile(np.log(shares), (len(votes), 1))
        for source, column in enumerate(votes.T):
            scores += weights[source] * logs[source].T[column]  # ABSTAIN is the last answer, as -1 is the last index
        probabilities = _softmax(scores)
        peak = scores.max(axis=1)
        likelihood = float((several * (peak + np.log(np.exp(scores - peak[:, None]).sum(axis=1)))).sum())
        shares = _shares(np.where(lone[:, None], start, probabilities), counts * (spoke > 0), _EVEN_ROWS) if balance is None else balance
        if abs(likelihood - before) <= _TOLERANCE * max(1.0, abs(likelihood)):
            break
        before = likelihood
    return np.where((spoke > 0)[:, None], probabilities, shares), shares, _given_a_vote(confusion)


def _alone(votes: Votes, several: Floats, probabilities: Floats, lone: NDArray[np.bool_]) -> Floats:
    """Probabilities of rows with one vote: those of the rows on which the same source votes the same in company, and beforehand 0.7."""
    classes = probabilities.shape[1]
    other = (1 - _PRIOR_ACCURACY) / max(1, classes - 1)
    right = np.zeros((votes.shape[1], classes, classes))
    for source, column in enumerate(votes.T):
        for c in range(classes):
            agreeing = several * np.equal(column, c)
            right[source, c] = agreeing @ probabilities + _LONE_VOTES * (np.eye(classes)[c] * (_PRIOR_ACCURACY - other) + other)
    right /= right.sum(axis=2, keepdims=True)
    # A rule that says one class meets others mostly where they contradict it, which tells nothing of where it speaks alone.
    said = _said(votes, classes)
    for rule in np.flatnonzero(said.sum(axis=1) == 1).tolist():
        c = int(said[rule].argmax())
        if right[rule, c, c] < _PRIOR_ACCURACY:
            right[rule, c] = np.eye(classes)[c] * (_PRIOR_ACCURACY - other) + other
    source = (votes[lone] != ABSTAIN).argmax(axis=1)
    answers: Floats = right[source, votes[lone].max(axis=1)]
    return answers


def _silent(logs: Floats) -> Floats:
    """Answers [m, k, k] with an abstention that tells nothing beside them."""
    return np.concatenate([logs, np.zeros((*logs.shape[:2], 1))], axis=2)


def _said(votes: Votes, classes: int) -> NDArray[np.bool_]:
    """Whether a source ever says a class, [m, k]."""
    return np.stack([(votes == c).any(axis=0) for c in range(classes)], axis=1)


def _prior(votes: Votes, counts: Floats, classes: int) -> Floats:
    """Rows [m, k, k + 1] that hold `_PRIOR_VOTES` votes in each class, 0.7 of them right; what a source never says it may not say."""
    coverage = np.clip(counts @ (votes != ABSTAIN) / counts.sum(), 0.01, 0.99)[:, None, None]
    other = (1 - _PRIOR_ACCURACY) / max(1, classes - 1)
    says = _said(votes, classes)[:, None, :]
    voting = coverage * (np.eye(classes) * (_PRIOR_ACCURACY - other) + other)[None] * np.where(says, 1.0, 1e-3)
    silent = 1.0 - voting.sum(axis=2, keepdims=True)
    pseudo_counts: Floats = _PRIOR_VOTES / coverage * np.concatenate([voting, np.clip(silent, 0.01, None)], axis=2)
    return pseudo_counts


def _confusion(votes: Votes, counts: Floats, probabilities: Floats, prior: Floats) -> Floats:
    """P(answer | class) of each source, [m, k, k + 1]; the last answer is an abstention."""
    classes = probabilities.shape[1]
    weighted = counts[:, None] * probabilities
    totals = prior.copy()
    for source, column in enumerate(votes.T):
        answers = np.where(column == ABSTAIN, classes, column)
        for c in range(classes):
            totals[source, c] += np.bincount(answers, weights=weighted[:, c], minlength=classes + 1)
    every: NDArray[np.bool_] = np.all(_said(votes, classes), axis=1)
    pooled = _pooled(totals)
    totals += _POOLED_VOTES * every[:, None, None] * pooled / (1 - pooled[:, :, -1:])
    normalized: Floats = totals / totals.sum(axis=2, keepdims=True)
    return normalized


def _pooled(counts: Floats) -> Floats:
    """P(answer | class), [m, k, k + 1], of sources that are as often right and silent in every class, and wrong evenly."""
    classes = counts.shape[1]
    totals = counts.sum(axis=(1, 2))
    right = np.einsum("mcc->m", counts[:, :, :classes]) / totals
    silent = counts[:, :, classes].sum(axis=1) / totals
    answers = np.tile(((1 - right - silent) / max(1, classes - 1))[:, None, None], (1, classes, classes + 1))
    answers[:, np.arange(classes), np.arange(classes)] = right[:, None]
    answers[:, :, classes] = silent[:, None]
    return answers


def _given_a_vote(confusion: Floats) -> Floats:
    """P(vote | class) of each source given that it votes, [m, k, k]."""
    voting = confusion[:, :, :-1]
    shares: Floats = voting / voting.sum(axis=2, keepdims=True)
    return shares


def _shares(probabilities: Floats, counts: Floats, even: float = 1.0) -> Floats:
    """Shares of the classes over rows that count so much, and `even` rows more of each class."""
    totals: Floats = counts @ probabilities + even
    return totals / totals.sum()


def _normalized(counts: Floats, nothing: Floats) -> Floats:
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1e-300), nothing)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _fitted(probabilities: Floats, balance: Floats, confusion: Floats | None, excess: Floats) -> Fitted:
    top = np.sort(probabilities, axis=1)
    tied = np.isclose(top[:, -1], top[:, -2], rtol=0, atol=1e-9) if probabilities.shape[1] > 1 else np.zeros(len(top), dtype=bool)
    return Fitted(probabilities, balance, confusion, tied, excess)
