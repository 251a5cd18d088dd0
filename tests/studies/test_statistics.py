"""The statistics are checked against scikit-learn, scipy and plain loops over resampled rows."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from finecomb.studies.analysis import statistics as S

CLASS_REFERENCES = {
    "accuracy": reference.accuracy_score,
    "f1_macro": lambda y, p: reference.f1_score(y, p, average="macro", zero_division=0),
    "f1_micro": lambda y, p: reference.f1_score(y, p, average="micro"),
    "f1_weighted": lambda y, p: reference.f1_score(y, p, average="weighted", zero_division=0),
    "precision_macro": lambda y, p: reference.precision_score(y, p, average="macro", zero_division=0),
    "precision_weighted": lambda y, p: reference.precision_score(y, p, average="weighted", zero_division=0),
    "recall_macro": lambda y, p: reference.recall_score(y, p, average="macro", zero_division=0),
    "recall_weighted": lambda y, p: reference.recall_score(y, p, average="weighted", zero_division=0),
    "precision_micro": lambda y, p: reference.precision_score(y, p, average="micro"),
    "recall_micro": lambda y, p: reference.recall_score(y, p, average="micro"),
    "mcc": reference.matthews_corrcoef,
}
NUMBER_REFERENCES = {
    "pearson": lambda y, p: stats.pearsonr(y, p).statistic,
    "spearman": lambda y, p: stats.spearmanr(y, p).statistic,
    "rmse": reference.root_mean_squared_error,
    "mae": reference.mean_absolute_error,
}


def class_data(classes: int = 4, examples: int = 60):
    generator = np.random.default_rng(3)
    # The last class is rare, so that some resamples lack it altogether.
    truth = generator.choice(classes, size=examples, p=[0.4, 0.35, 0.22, 0.03])
    runs = np.stack([np.where(generator.random(examples) < 0.7, truth, generator.integers(0, classes, examples)) for _ in range(3)])
    return truth, runs


def number_data(examples: int = 40):
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 6, examples).astype(float)  # ties
    return truth, np.stack([truth + generator.normal(size=examples) + 1000 for _ in range(2)] + [np.round(truth / 2)])


def drawn_rows(counts):
    return [np.repeat(np.arange(len(row)), row.astype(int)) for row in counts]


@pytest.mark.parametrize("metric", sorted(CLASS_REFERENCES))
def test_class_metrics_on_resamples_equal_scikit_learn_on_the_drawn_rows(metric):
    truth, runs = class_data()
    counts = np.concatenate([np.ones((1, len(truth))), *S.resampled_counts(len(truth), 40, seed=1)])
    ours = S.class_scores(counts, np.eye(4)[truth], np.eye(4)[runs], [metric])
    for row, drawn in enumerate(drawn_rows(counts)):
        for run in range(len(runs)):
            assert ours[row, run, 0] == pytest.approx(CLASS_REFERENCES[metric](truth[drawn], runs[run][drawn]), abs=1e-12)


@pytest.mark.parametrize("metric", sorted(NUMBER_REFERENCES))
def test_number_metrics_on_resamples_equal_scipy_on_the_drawn_rows(metric):
    truth, runs = number_data()
    counts = np.concatenate([np.ones((1, len(truth))), *S.resampled_counts(len(truth), 40, seed=1)])
    ours = S.number_scores(counts, truth, runs, [metric])
    for row, drawn in enumerate(drawn_rows(counts)):
        for run in range(len(runs)):
            assert ours[row, run, 0] == pytest.approx(NUMBER_REFERENCES[metric](truth[drawn], runs[run][drawn]), abs=1e-9)


def test_mcc_of_a_constant_side_is_0_as_scikit_learn_has_it_and_is_counted():
    truth, predicted = np.array([0, 1, 0, 1]), np.array([[1, 1, 1, 1], [0, 1, 0, 1]])
    scores = S.class_scores(np.ones((1, 4)), np.eye(2)[truth], np.eye(2)[predicted], ["mcc", "f1_macro"])
    assert scores[0, 0].tolist() == pytest.approx([reference.matthews_corrcoef(truth, predicted[0]), 1 / 3])
    undefined = S.zero_divisions(np.eye(2)[truth], np.eye(2)[predicted], ["mcc", "f1_macro", "precision_binary", "recall_binary"])
    assert undefined.tolist() == [[True, False, False, False], [False, False, False, False]]
    never = S.zero_divisions(np.eye(2)[truth], np.eye(2)[[[0, 0, 0, 0]]], ["precision_binary", "recall_binary"])
    assert never.tolist() == [[True, False]]


@pytest.mark.parametrize("multi_label", [False, True])
def test_training_and_tables_compute_the_same_numbers_and_they_are_those_of_scikit_learn(multi_label):
    """One definition of each metric, also with classes that are absent from the labels, the predictions or both."""
    import torch

    from finecomb.learning.task import metrics as training

    generator = np.random.default_rng(7)
    for trial in range(20):
        classes, rows = int(generator.integers(2, 6)), int(generator.integers(3, 25))
        shown = int(generator.integers(1, classes + 1))
        if multi_label:
            truth = generator.integers(0, 2, (rows, classes)) * (np.arange(classes) < shown)
            predicted = generator.integers(0, 2, (rows, classes)) * (np.arange(classes) < generator.integers(1, classes + 1))
            found = training.multi_label(torch.tensor(predicted - 0.5), torch.tensor(truth), threshold=0.5)
            sides = truth, predicted
        else:
            sides = generator.integers(0, shown, rows), generator.integers(0, classes, rows)
            truth, predicted = (np.eye(classes, dtype=int)[side] for side in sides)
            found = training.classification(torch.tensor(predicted, dtype=torch.float64), torch.tensor(sides[0]))
        names = [name for name in S.CLASS_METRICS if name in found]
        weights = np.vstack([np.ones(rows), generator.integers(0, 3, rows)])
        weights[1, 0] += 1
        table = S.class_scores(weights, truth.astype(float), predicted[None].astype(float), names, exclusive=not multi_label)[:, 0]
        assert table[0].tolist() == pytest.approx([found[name] for name in names], abs=1e-12), trial
        for row, drawn in enumerate(drawn_rows(weights)):
            for name, value in zip(names, table[row], strict=True):
                sample = tuple(side[drawn] for side in sides)
                if name == "accuracy":
                    expected = reference.accuracy_score(*sample)
                elif name == "mcc":
                    expected = reference.matthews_corrcoef(*sample)
                else:
                    score, _, average = name.partition("_")
                    given = {"average": average, "zero_division": 0}
                    expected = getattr(reference, f"{score}_score")(*sample, **given)
                assert value == pytest.approx(expected, abs=1e-12), (trial, name)


def test_f1_binary_scores_class_one():
    truth, predicted = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 1, 0, 1])
    ours = S.class_scores(np.ones((1, 5)), np.eye(2)[truth], np.eye(2)[predicted][None], ["f1_binary"])
    assert ours.item() == pytest.approx(reference.f1_score(truth, predicted))


def test_multi_label_f1_equals_scikit_learn():
    generator = np.random.default_rng(0)
    truth, predicted = generator.integers(0, 2, (30, 5)), generator.integers(0, 2, (30, 5))
    truth[:, 4] = predicted[:, 4] = 0  # a label that nothing has counts as 0
    sides = truth.astype(float), predicted[None].astype(float)
    ours = S.class_scores(np.ones((1, 30)), *sides, ["f1_macro", "f1_micro", "f1_weighted", "accuracy"], exclusive=False)
    expected = [reference.f1_score(truth, predicted, average=average, zero_division=0) for average in ("macro", "micro", "weighted")]
    expected.append(reference.accuracy_score(truth, predicted))
    np.testing.assert_allclose(ours[0, 0], expected, rtol=1e-12)


def test_correlation_with_a_constant_is_undefined_not_a_number():
    truth, _ = number_data()
    constant = np.full((1, len(truth)), 2.345678)
    scores = S.number_scores(np.ones((1, len(truth))), truth, constant, ["pearson", "spearman"])
    assert np.isnan(scores).all()
    assert np.isnan(S.percentile_interval(np.full(9, np.nan)).low)


def test_each_resample_draws_as_many_examples_as_there_are_and_the_seed_decides_which():
    first, again, other = (np.concatenate(list(S.resampled_counts(700, 500, seed=seed))) for seed in (0, 0, 1))
    assert first.shape == (500, 700)
    assert (first.sum(axis=1) == 700).all()
    assert (first == again).all()
    assert (first != other).any()
    # Each example is drawn once on average; its count has variance 1 - 1/N.
    assert first.mean() == 1.0
    assert first.var() == pytest.approx(1, abs=0.02)


def test_bootstrap_interval_of_an_accuracy_agrees_with_the_binomial_one():
    correct = np.r_[np.ones(860), np.zeros(140)]
    values = S.bootstrap(lambda counts: counts @ correct / 1000, 1000, resamples=4000)
    interval = S.percentile_interval(values)
    half = 1.96 * np.sqrt(0.86 * 0.14 / 1000)
    assert interval.low == pytest.approx(0.86 - half, abs=0.002)
    assert interval.high == pytest.approx(0.86 + half, abs=0.002)


def test_paired_difference_is_narrower_than_an_unpaired_one_and_has_the_known_width():
    """Two runs that disagree on 4 % of the examples: standard error sqrt(d / n), not that of two independent samples."""
    base = np.r_[np.ones(930), np.zeros(70)]
    other = base.copy()
    other[:20], other[-20:] = 0, 1
    values = S.bootstrap(lambda counts: counts @ np.column_stack([base, other]) / 1000, 1000, resamples=4000)
    interval = S.paired_difference(values[:, 1], values[:, 0])
    assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * np.sqrt(0.04 / 1000), abs=0.001)
    assert not interval.excludes(0.0)
    assert S.paired_difference(values[:, 0] + 0.02, values[:, 1]).excludes(0.0)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        correct = (generator.random(300) < 0.8).astype(float)
        interval = S.percentile_interval(S.bootstrap(lambda counts, c=correct: counts @ c / 300, 300, resamples=600, seed=trial))
        covered += not interval.excludes(0.8)
    assert 180 <= covered <= 199


def test_spread_over_one_seed_is_not_measured():
    assert S.spread([0.9]) == S.Spread(0.9, None)
    assert S.spread([1.0, 2.0, 3.0]) == S.Spread(2.0, pytest.approx(1.0))


def test_an_undefined_interval_excludes_nothing():
    assert not S.Interval(float("nan"), float("nan")).excludes(0.0)
