"""Every metric against scikit-learn or scipy, and None where it is undefined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk
import torch

from finecomb.config.schema import task as schema
from finecomb.learning.task import metrics

GENERATOR = np.random.default_rng(0)


def several(classes: int, rows: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    targets = GENERATOR.integers(classes, size=rows)
    logits = GENERATOR.normal(size=(rows, classes)) + 1.2 * np.eye(classes)[targets]
    return torch.tensor(logits), torch.tensor(targets)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classification_agrees_with_scikit_learn(classes: int) -> None:
    logits, targets = several(classes)
    predicted, truth = logits.argmax(1).numpy(), targets.numpy()
    probabilities = logits.softmax(1).numpy()
    expected = {"accuracy": sk.accuracy_score(truth, predicted), "mcc": sk.matthews_corrcoef(truth, predicted)}
    for average in ("macro", "micro", "weighted", *(("binary",) if classes == 2 else ())):
        scores = sk.precision_recall_fscore_support(truth, predicted, average=average)
        expected.update({f"{name}_{average}": score for name, score in zip(("precision", "recall", "f1"), scores[:3], strict=True)})
    if classes == 2:
        expected["auroc"] = sk.roc_auc_score(truth, probabilities[:, 1])
    else:
        expected["auroc"] = sk.roc_auc_score(truth, probabilities, multi_class="ovr", average="macro")
    assert metrics.classification(logits, targets) == pytest.approx(expected, abs=1e-12)


def test_multi_label_agrees_with_scikit_learn() -> None:
    targets = torch.tensor(GENERATOR.integers(2, size=(150, 4)))
    logits = torch.tensor(GENERATOR.normal(size=(150, 4))) + targets
    predicted, truth = (logits.sigmoid() >= 0.4).long().numpy(), targets.numpy()
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted),
        "auroc": sk.roc_auc_score(truth, logits.sigmoid().numpy(), average="macro"),
    }
    for average in ("macro", "micro", "weighted"):
        scores = sk.precision_recall_fscore_support(truth, predicted, average=average)
        expected.update({f"{name}_{average}": score for name, score in zip(("precision", "recall", "f1"), scores[:3], strict=True)})
    assert metrics.multi_label(logits, targets.float(), threshold=0.4) == pytest.approx(expected, abs=1e-12)


def test_regression_agrees_with_scipy_with_ties_and_small_spreads() -> None:
    for scale in (1.0, 1e-6):
        truth = torch.tensor(GENERATOR.integers(6, size=100)).float()
        predicted = (truth.double() + torch.tensor(GENERATOR.normal(size=100)).round(decimals=1)) * scale
        expected = {
            "pearson": scipy.stats.pearsonr(predicted, truth)[0],
            "spearman": scipy.stats.spearmanr(predicted, truth)[0],
            "rmse": sk.root_mean_squared_error(truth.double(), predicted),
            "mae": sk.mean_absolute_error(truth.double(), predicted),
        }
        assert metrics.regression(predicted[:, None], truth) == pytest.approx(expected, abs=1e-12)


def test_the_keys_are_those_that_the_schema_promises() -> None:
    logits, targets = several(2)
    promised = {variant: set(facts.metrics) - {"loss"} for variant, facts in schema.FACTS.items()}
    assert set(metrics.classification(logits, targets)) == promised["sequence_classification"]
    assert set(metrics.multi_label(logits, logits > 0, threshold=0.5)) == promised["sequence_classification multi_label"]
    assert set(metrics.regression(logits[:, :1], targets)) == promised["regression"]
    several_classes = set(metrics.classification(*several(3)))
    assert several_classes == {name for name in promised["sequence_classification"] if "binary" not in name}


def test_the_order_of_examples_changes_nothing() -> None:
    logits, targets = several(3)
    order = torch.randperm(len(targets))
    assert metrics.classification(logits[order], targets[order]) == pytest.approx(metrics.classification(logits, targets), abs=1e-12)


def undefined(result: dict[str, Any]) -> set[str]:
    return {name for name, value in result.items() if value is None}


def test_one_class_in_the_labels_leaves_auroc_undefined_and_mcc_0() -> None:
    logits, _ = several(2, rows=20)
    for targets in (torch.ones(20, dtype=torch.int64), torch.zeros(20, dtype=torch.int64)):
        result = metrics.classification(logits, targets)
        assert undefined(result) == {"auroc"}
        assert result["mcc"] == sk.matthews_corrcoef(targets, logits.argmax(1)) == 0.0
        assert result["recall_binary"] == sk.recall_score(targets, logits.argmax(1), zero_division=0)


def test_predictions_of_one_class_have_the_metrics_of_scikit_learn() -> None:
    targets = torch.tensor([0, 1, 0, 1])
    result = metrics.classification(torch.tensor([[1.0, 0.0]] * 4), targets)
    assert undefined(result) == set()
    assert result["mcc"] == result["precision_binary"] == result["f1_binary"] == 0.0
    assert result["f1_macro"] == pytest.approx(sk.f1_score(targets, [0] * 4, average="macro"))
    assert result["auroc"] == pytest.approx(0.5)


def test_a_label_that_never_occurs_counts_as_0_in_multi_label_averages() -> None:
    targets = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    logits = torch.where(targets > 0, 1.0, -1.0).double()
    result = metrics.multi_label(logits, targets, threshold=0.5)
    assert result["f1_macro"] == pytest.approx(sk.f1_score(targets, targets, average="macro", zero_division=0)) == pytest.approx(2 / 3)


def test_a_class_that_no_row_has_leaves_auroc_undefined_and_the_macro_mean_as_scikit_learn_has_it() -> None:
    logits, targets = several(3)
    targets = targets.clamp(max=1)
    result = metrics.classification(logits, targets)
    assert result["auroc"] is None
    assert result["f1_macro"] == pytest.approx(sk.f1_score(targets, logits.argmax(1), average="macro"))


def test_constant_values_leave_correlations_undefined_but_not_errors() -> None:
    truth = torch.tensor([1.0, 2.0, 3.0])
    for predictions, targets in ((torch.full((3, 1), 0.1), truth), (truth[:, None], torch.full((3,), 0.1))):
        result = metrics.regression(predictions, targets)
        assert undefined(result) == {"pearson", "spearman"}
        assert result["mae"] > 0


def test_no_rows_or_a_diverged_run_leave_everything_undefined() -> None:
    logits, targets = several(2, rows=10)
    broken = logits.clone()
    broken[3, 1] = float("nan")
    for result in (metrics.classification(logits[:0], targets[:0]), metrics.classification(broken, targets)):
        assert undefined(result) == set(result)
    assert undefined(metrics.regression(broken[:, 1:], targets)) == {"pearson", "spearman", "rmse", "mae"}
    empty = metrics.multi_label(logits[:0], targets[:0, None].expand(0, 2), threshold=0.5)
    assert undefined(empty) == set(empty)


def test_auroc_is_not_fooled_by_saturated_probabilities() -> None:
    margins = torch.tensor([40.0, 41.0, 42.0, 43.0], dtype=torch.float64)
    logits = torch.stack((torch.zeros(4, dtype=torch.float64), margins), 1)
    assert metrics.classification(logits, torch.tensor([0, 0, 1, 1]))["auroc"] == 1.0


def test_a_label_on_the_threshold_counts_as_predicted() -> None:
    result = metrics.multi_label(torch.zeros(2, 2), torch.tensor([[1, 0], [1, 1]]), threshold=0.5)
    assert result["recall_micro"] == 1.0
    assert result["accuracy"] == 0.5
