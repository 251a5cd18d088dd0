"""Metrics over all predictions of a split at once, in float64.

torchmetrics counts (confusion matrices) and measures errors and correlations. Classification metrics are computed from the counts in
`finecomb.runs.class_metrics`, where tables compute them too: what is 0 / 0 is 0 there, as in scikit-learn. An area under the curve or a
correlation that predictions or labels leave undefined is None: never 0, and never a crash.
Logits that are not finite (a run that diverged) make every metric None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics.functional import mean_absolute_error, mean_squared_error, pearson_corrcoef
from torchmetrics.functional.classification import multiclass_confusion_matrix, multilabel_confusion_matrix

from finecomb.runs.class_metrics import CLASS_METRICS, ClassCounts

VERSION = "2"

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
    result = _of_counts(names, matrix.diagonal(), matrix.sum(0), matrix.sum(1), matrix.sum(), matrix.trace(), exclusive=True)
    scores = _against_the_rest(logits.double())
    areas = [_area(scores[:, index], targets == index) for index in range(classes)]
    result["auroc"] = _value(areas[1] if classes == 2 else torch.stack(areas).mean())
    return result


def multi_label(logits: Tensor, targets: Tensor, *, threshold: float) -> Metrics:
    """Accuracy (all labels of an example right); precision, recall and F1 by average over labels; auroc (macro over labels).

    logits: [N, K]. targets: [N, K] of 0 and 1. A label is predicted where its sigmoid reaches `threshold`.
    """
    names = ["accuracy", *_names(*AVERAGES), "auroc"]
    if not _usable(logits, targets):
        return dict.fromkeys(names)
    truth = targets.long()
    # Given as 0 and 1: torchmetrics itself would leave out a probability equal to the threshold.
    chosen = (logits.double().sigmoid() >= threshold).long()
    matrices = multilabel_confusion_matrix(chosen, truth, logits.shape[1]).double()
    right, predicted, true = matrices[:, 1, 1], matrices[:, :, 1].sum(1), matrices[:, 1].sum(1)
    areas = [_area(logits[:, index], truth[:, index] == 1) for index in range(logits.shape[1])]
    all_right = (chosen == truth).all(1).double().sum()
    result = _of_counts(names, right, predicted, true, torch.tensor(len(truth)), all_right, exclusive=False)
    return result | {"auroc": _value(torch.stack(areas).mean())}


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


def _of_counts(
    names: Sequence[str], hit: Tensor, predicted: Tensor, labeled: Tensor, total: Tensor, right: Tensor, *, exclusive: bool
) -> Metrics:
    """The metrics among `names` that follow from each class's counts [K], the number of examples and of those that are right."""
    true_positives, chosen, occurring, examples, correct = (
        side.double().cpu().numpy()[None] for side in (hit, predicted, labeled, total, right)
    )
    counts = ClassCounts(true_positives, chosen, occurring, examples, correct, exclusive)
    return {name: float(CLASS_METRICS[name](counts, 0.0)[0]) for name in names if name in CLASS_METRICS}


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
