"""The label model against Snorkel 0.10's on the problems of its own tests and of ours.

Snorkel's accuracies come from `python -m benchmarks.label_model --rows 10000` with snorkel 0.10.0 and torch 2.13.0 installed: means over
the seeds from 0 on that stand beside each. The votes are drawn by NumPy's default generator from these seeds, so they are the same here.
"""

import numpy as np
import pytest
from benchmarks.label_model import accuracy, problems

from finecomb.data.annotator.label_model import fit

# problem: (seeds, accuracy of Snorkel's LabelModel)
SNORKEL = {
    "Snorkel: simple, 2 classes": (5, 0.9576),
    "Snorkel: simple, 3 classes": (5, 0.9792),
    "Snorkel: sparse": (2, 0.7593),
    "Snorkel: accuracies": (5, 0.9434),
    "Snorkel: convergence": (5, 1.0),
    "10 independent": (2, 0.8660),
    "25 independent": (2, 0.9487),
    "12 correlated, 3 copy 70 %": (5, 0.7271),
    "12 correlated, 5 copy 90 %": (5, 0.7264),
    "10, 90 to 10": (5, 0.6897),
    "10, 90 to 10, told": (5, 0.9242),
    "15, 5 classes": (2, 0.9544),
}


def test_every_problem_is_compared():
    assert set(SNORKEL) == set(problems(10))


@pytest.mark.parametrize("name", SNORKEL)
def test_the_label_model_is_at_most_half_a_point_behind_snorkels(name):
    seeds, theirs = SNORKEL[name]
    right, majority = [], []
    for seed in range(seeds):
        problem = problems(10_000)[name](np.random.default_rng(seed))
        balance = None if problem.balance is None else np.array(problem.balance)
        right.append(accuracy(problem, fit(problem.votes, problem.classes, balance=balance).probabilities))
        majority.append(accuracy(problem, fit(problem.votes, problem.classes, "majority").probabilities))
    assert np.mean(right) >= theirs - 0.005
    assert np.mean(right) >= np.mean(majority) - 0.005
