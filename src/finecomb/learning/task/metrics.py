"""Metrics over all predictions of a split at once, in float64.

torchmetrics counts (confusion matrices) and measures errors and correlations; ratios are taken here, since it takes them in fp32.
A metric that the predictions or labels leave undefined is None: never 0, and never a crash. Inside a macro or weighted average, a class's
ratio of 0 / 0 counts as 0, as scikit-learn's zero_division=0 has it; classes that are neither present nor predicted are left out.
Logits that are not finite (a run that diverged) make every metric None.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics.functional import mean_absolute_error, mean_squared_error, pearson_corrcoef
from torchmetrics.functional.classification import multiclass_confusion_matrix, multilabel_confusion_matrix

VERSION = "1"

Metrics = dict[str, float | None]
AVERAGES = ("macro", "micro", "weighted")


def classification(logits: Tensor, targets: Tensor) -> Metrics:
    """Accuracy; precision, recall and F1 by average; mcc; auroc (class 1 against 0, or the macro mean of each class against the rest).

    logits: [N, K]. targets: [N] class indices. With two classes also precision_binary, recall_binary and f1_binary: those of class 1.
    """
    classes = logits.shape[1]
    names = ["accuracy", *_names(*AVERAGES), "mcc", "auroc", *(_names("binary") if classes == 2 else ())]
    if not _usable(logits, targets):
        return dict.fromkeys(names)
    matrix = multiclass_confusion_matrix(logits.argmax(-1), targets, classes).double()
    right, predicted, true = matrix.diagonal(), matrix.sum(0), matrix.sum(1)
    result: Metrics = {"accuracy": _value(right.sum() / matrix.sum()), **_averages(right, predicted, true)}
    result["mcc"] = _mcc(right, predicted, true)
    scores = _against_the_rest(logits.double())
    areas = [_area(scores[:, index], targets == index) for index in range(classes)]
    result["auroc"] = _value(areas[1] if classes == 2 else torch.stack(areas).mean())
    if classes == 2:
        result["precision_binary"] = _value(right[1] / predicted[1])
        result["recall_binary"] = _value(right[1] / true[1])
        result["f1_binary"] = _value(2 * right[1] / (predicted[1] + true[1]))
    return result


def multi_label(logits: Tensor, targets: Tensor, *, threshold: float) -> Metrics:
    """Accuracy (all labels of an example right); precision, recall and F1 by average over labels; auroc (macro over labels).

    logits: [N, K]. targets: [N, K] of 0 and 1. A label is predicted where its sigmoid reaches `threshold`.
    """
    if not _usable(logits, targets):
        return dict.fromkeys(["accuracy", *_names(*AVERAGES), "auroc"])
    truth = targets.long()
    # Given as 0 and 1: torchmetrics itself would leave out a probability equal to the threshold.
    chosen = (logits.double().sigmoid() >= threshold).long()
    matrices = multilabel_confusion_matrix(chosen, truth, logits.shape[1]).double()
    right, predicted, true = matrices[:, 1, 1], matrices[:, :, 1].sum(1), matrices[:, 1].sum(1)
    areas = [_area(logits[:, index], truth[:, index] == 1) for index in range(logits.shape[1])]
    return {
        "accuracy": _value((chosen == truth).all(1).double().mean()),
        **_averages(right, predicted, true),
        "auroc": _value(torch.stack(areas).mean()),
    }


def regression(logits: Tensor, targets: Tensor) -> Metrics:
    """pearson, spearman, rmse and mae of logits [N, 1] against targets [N]. The correlations are None where either side is constant."""
    if not _usable(logits, targets):
        return dict.fromkeys(("pearson", "spearman", "rmse", "mae"))
    predicted = logits[:, 0].double()
    truth = targets.double()
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions {tuple(predicted.shape)} and targets {tuple(truth.shape)} differ in shape")
    return {
        "pearson": _correlation(predicted, truth),
        # By definition, ties sharing their mean rank; torchmetrics ranks in fp32.
        "spearman": _correlation(_ranks(predicted), _ranks(truth)),
        "rmse": _value(mean_squared_error(predicted, truth, squared=False)),
        "mae": _value(mean_absolute_error(predicted, truth)),
    }


def _correlation(x: Tensor, y: Tensor) -> float | None:
    if bool((x == x[0]).all() or (y == y[0]).all()):
        return None
    # Standardised first, so that torchmetrics' guard against small variances (an absolute bound) never speaks.
    return _value(pearson_corrcoef((x - x.mean()) / x.std(), (y - y.mean()) / y.std()))


def _averages(right: Tensor, predicted: Tensor, true: Tensor) -> Metrics:
    """Precision, recall and F1 from each class's rows that are right, predicted and true."""
    ratios = {"precision": (right, predicted), "recall": (right, true), "f1": (2 * right, predicted + true)}
    present = predicted + true > 0
    result: Metrics = {}
    for name, (above, below) in ratios.items():
        each = torch.where(below > 0, above / below, 0.0)
        result[f"{name}_macro"] = _value(each[present].mean())
        result[f"{name}_micro"] = _value(above.sum() / below.sum())
        result[f"{name}_weighted"] = _value((each * true).sum() / true.sum())
    return result


def _mcc(right: Tensor, predicted: Tensor, true: Tensor) -> float | None:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 / 0 where all is predicted, or labelled, as one class."""
    total = true.sum()
    covariance = right.sum() * total - (predicted * true).sum()
    return _value(covariance / ((total**2 - (predicted**2).sum()) * (total**2 - (true**2).sum())).sqrt())


def _against_the_rest(logits: Tensor) -> Tensor:
    """[N, K] log odds of each class. They rank as the softmax does, without the ties where it saturates."""
    classes = range(logits.shape[1])
    return torch.stack([logits[:, i] - logits[:, [j for j in classes if j != i]].logsumexp(1) for i in classes], 1)


def _area(scores: Tensor, positive: Tensor) -> Tensor:
    """Area under the ROC curve: the share of pairs (positive, not) that are ranked rightly, ties counting half. NaN without such a pair."""
    positives = positive.sum().double()
    negatives = len(positive) - positives
    return (_ranks(scores)[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives)


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 1 on in float64; equal values share their mean rank."""
    _, place, counts = values.unique(return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1).double() / 2)[place]


def _names(*averages: str) -> list[str]:
    return [f"{name}_{average}" for average in averages for name in ("precision", "recall", "f1")]


def _usable(logits: Tensor, targets: Tensor) -> bool:
    return len(targets) > 0 and bool(torch.isfinite(logits).all())


def _value(tensor: Tensor) -> float | None:
    value = float(tensor)
    return value if math.isfinite(value) else None
