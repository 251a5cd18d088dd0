"""From which score on a question has no answer: the threshold with the greatest F1, as SQuAD 2.0's official script finds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

VERSION = "1"


def best_threshold(no_answer: Sequence[float], f1: Sequence[float], unanswered: Sequence[float]) -> float:
    """The threshold above which no answer is given; of several with the same F1 the least.

    It is half way between two scores, so that rounding of a score changes no answer, and 1 beyond the least or greatest where every
    question is given the same.

    Args:
        no_answer: Scores [N] of no answer.
        f1: F1 [N] of each answer where it is given.
        unanswered: F1 [N] where none is given.
    """
    order = np.argsort(np.asarray(no_answer, dtype=np.float64), kind="stable")
    scores = np.asarray(no_answer, dtype=np.float64)[order]
    gained = (np.asarray(f1, dtype=np.float64) - np.asarray(unanswered, dtype=np.float64))[order]
    # After n of the questions in this order: the total F1 where these n are given their answers, less a constant.
    totals = np.concatenate([[0.0], np.cumsum(gained)])
    ends = np.concatenate([[scores[0] - 1], (scores[:-1] + scores[1:]) / 2, [scores[-1] + 1]])
    apart = np.concatenate([[True], scores[:-1] < scores[1:], [True]])  # equal scores get the same
    return float(ends[np.argmax(np.where(apart, totals, -np.inf))])
