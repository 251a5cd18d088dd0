"""The label model against Snorkel 0.10's on the problems of its own tests and of ours.

Snorkel's accuracies come from `python -m benchmarks.label_model --seeds 20` with snorkel 0.10.0 and torch 2.13.0 installed: means over 20
seeds that were not looked at while our rules were chosen. NumPy's default generator draws the votes from these seeds, so they are the same
here.
"""

import numpy as np
import pytest
from benchmarks.label_model import accuracy, problems

from finecomb.data.annotator.label_model import fit

# problem: accuracy of Snorkel's LabelModel
SNORKEL = {
    "Snorkel: simple, 2 classes": 0.9632,
    "Snorkel: simple, 3 classes": 0.9805,
    "Snorkel: sparse": 0.7234,
    "Snorkel: accuracies": 0.9463,
    "Snorkel: convergence": 1.0000,
    "10 independent": 0.8573,
    "25 independent": 0.9498,
    "12 correlated, 3 copy 70 %": 0.7382,
    "12 correlated, 5 copy 90 %": 0.7368,
    "10, 90 to 10": 0.6949,
    "10, 90 to 10, told": 0.9320,
    "15, 5 classes": 0.9479,
}
SEEDS = range(2000, 2020)


def test_every_problem_is_compared():
    assert set(SNORKEL) == set(problems(10))


@pytest.mark.parametrize("name", SNORKEL)
def test_the_label_model_is_at_most_half_a_point_behind_snorkels(name):
    right, majority = [], []
    for seed in SEEDS:
        problem = problems(10_000)[name](np.random.default_rng(seed))
        balance = None if problem.balance is None else np.array(problem.balance)
        right.append(accuracy(problem, fit(problem.votes, problem.classes, balance=balance).probabilities))
        majority.append(accuracy(problem, fit(problem.votes, problem.classes, "majority").probabilities))
    assert np.mean(right) >= SNORKEL[name] - 0.005
    assert np.mean(right) >= np.mean(majority) - 0.005


@pytest.mark.parametrize("seed", range(20))
def test_sources_that_hardly_speak_are_never_turned_round(seed):
    """Of 10,000 rows some hundreds have a vote, mostly one. Pseudo-counts in rows, not votes, once let EM be wrong in 0.84 of them."""
    problem = problems(10)["Snorkel: sparse"](np.random.default_rng(seed))
    right, majority = (accuracy(problem, fit(problem.votes, problem.classes, model).probabilities) for model in ("dawid_skene", "majority"))
    assert right >= majority - 0.05
