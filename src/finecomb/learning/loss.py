"""Losses: a value and a weight for each example. The loss of a batch is sum(values * weights) / sum(weights), over the whole global batch.

So a loss is a sum and a count, and does not depend on how a batch is split. `weights` needs no logits: the global sum is known before
the first forward pass. Values are computed in at least fp32, whatever the precision of the logits. Weights are float64 and each is computed
from its own example alone: a matrix product (`targets @ class_weights`) would sum in an order that depends on the size of the batch and on
the processor, so that a micro-batch would not get the weights that the whole batch gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from finecomb.config.plugins import find_build
from finecomb.config.schema import loss as schema

VERSION = "2"

MULTI_LABEL = "sequence_classification multi_label"


class LossFunction(Protocol):
    """(logits [N, K], targets) -> values [N] and weights [N]."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each example, and how much it counts."""

    def weights(self, targets: Tensor) -> Tensor:
        """How much each example counts, from the targets alone."""


def build(config: schema.Loss, task_variant: str, *, label_counts: Sequence[int] | None) -> LossFunction:
    """The loss of `config` for a task.

    label_counts: training rows of each class, by class index; None for regression.
    """
    if own := find_build("loss", config.name):
        return own(config, task_variant, label_counts=label_counts)
    multi_label = task_variant == MULTI_LABEL
    match config:
        case schema.CrossEntropy():
            weights = class_weights(config.class_weights, label_counts)
            if multi_label:
                return BinaryCrossEntropy(config.label_smoothing, weights)
            return CrossEntropy(config.label_smoothing, weights)
        case schema.Focal():
            return BinaryFocal(config.gamma) if multi_label else Focal(config.gamma)
        case schema.Huber():
            return Huber(config.delta)
        case schema.MeanSquaredError() if task_variant in ("regression", "similarity"):
            return MeanSquaredError()
        case schema.MeanSquaredError():
            return OneHotMeanSquaredError(config.one_hot_scale, config.true_class_weight)
    raise ValueError(f"no loss named {config.name}")


def class_weights(setting: Sequence[float] | str | None, label_counts: Sequence[int] | None) -> Tensor | None:
    """Weights by class index in float64: None, `balanced` (rows / (classes * rows of the class), as scikit-learn has it), or a list.

    Which settings there are, and whether they fit the classes and their rows, is checked in `config.class_weights`.
    """
    if setting is None:
        return None
    if not isinstance(setting, str):
        return torch.tensor([float(value) for value in setting], dtype=torch.float64)
    if label_counts is None:
        raise ValueError("balanced class weights need the rows of each class")
    counts = torch.tensor(list(label_counts), dtype=torch.float64)
    return counts.sum() / (len(counts) * counts)


def _wide(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


class _Unweighted:
    """Every example counts as one."""

    def weights(self, targets: Tensor) -> Tensor:
        """Ones."""
        return torch.ones(len(targets), device=targets.device)


class CrossEntropy:
    """Cross-entropy against one class, with label smoothing (Szegedy et al. 2016, section 7): q = (1 - e) * one_hot + e / K.

    Soft labels take the place of the one-hot target: -sum q log p, which has the gradient of the hard label's where q is one-hot.

    An example's weight is that of its class, and its value does not depend on weights. Without smoothing, or without weights, this is
    torch's cross_entropy. With both it is not: torch weights every class's share of the smoothed target by that class's weight, yet divides
    by the weights of the true classes alone, so that its "mean" is a mean of nothing. Here it is the weighted mean of the examples' losses.
    """

    def __init__(self, label_smoothing: float, class_weights: Tensor | None) -> None:
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits: [N, K]. targets: [N] class indices, or [N, K] probabilities."""
        logits = _wide(logits)
        wanted = targets.to(logits.dtype) if targets.dim() == 2 else targets
        values = F.cross_entropy(logits, wanted, reduction="none", label_smoothing=self.label_smoothing)
        return values, self.weights(targets)

    def weights(self, targets: Tensor) -> Tensor:
        """[N] weight of each example's class; of soft labels the mean over the classes, by their probabilities."""
        if self.class_weights is None:
            return torch.ones(len(targets), device=targets.device)
        class_weights = self.class_weights.to(targets.device)
        return (targets * class_weights).sum(1) if targets.dim() == 2 else class_weights[targets]


class BinaryCrossEntropy(_Unweighted):
    """Binary cross-entropy of each label, averaged over the labels of an example; class weights weight the labels in that average.

    Smoothing moves both targets of a label towards 1 / 2: t * (1 - e) + e / 2.
    """

    def __init__(self, label_smoothing: float, class_weights: Tensor | None) -> None:
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits, targets: [N, K]."""
        logits = _wide(logits)
        smoothed = targets.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        terms = F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")
        if self.class_weights is None:
            return terms.mean(1), self.weights(targets)
        label_weights = self.class_weights.to(terms.device)
        return (terms * (label_weights / label_weights.sum())).sum(1).to(terms.dtype), self.weights(targets)


class Focal(_Unweighted):
    """-(1 - p)^gamma * log p of the true class (Lin et al. 2017, equation 4, without the alpha of equation 5)."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits: [N, K]. targets: [N] class indices."""
        log_p = F.log_softmax(_wide(logits), -1).gather(1, targets[:, None])[:, 0]
        return _discounted(log_p, self.gamma), self.weights(targets)


class BinaryFocal(_Unweighted):
    """Focal loss of each label's own yes or no (Lin et al. 2017, equations 2 to 4), averaged over the labels of an example."""

    def __init__(self, gamma: float) -> None:
        self.gamma = gamma

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits, targets: [N, K]."""
        logits = _wide(logits)
        log_p = F.logsigmoid(logits * (2 * targets.to(logits.dtype) - 1))
        return _discounted(log_p, self.gamma).mean(1), self.weights(targets)


def _discounted(log_p: Tensor, gamma: float) -> Tensor:
    # Kept above 0, where a power below 1 has no finite slope.
    missed = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).eps)
    return -(missed**gamma) * log_p


def _single_output(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions and targets, both [N]. [N, 1] against [N] would be broadcast to [N, N] and give a wrong loss in silence."""
    if logits.shape != (len(targets), 1) or targets.dim() != 1:
        raise ValueError(f"regression wants logits [N, 1] and targets [N], not {tuple(logits.shape)} and {tuple(targets.shape)}")
    predictions = _wide(logits)[:, 0]
    return predictions, targets.to(predictions.dtype)


class MeanSquaredError(_Unweighted):
    """(prediction - target)^2."""

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits: [N, 1]. targets: [N]."""
        predictions, truth = _single_output(logits, targets)
        return (predictions - truth) ** 2, self.weights(targets)


class Huber(_Unweighted):
    """d^2 / 2 up to |d| = delta, then delta * (|d| - delta / 2) (Huber 1964)."""

    def __init__(self, delta: float) -> None:
        self.delta = delta

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits: [N, 1]. targets: [N]."""
        predictions, truth = _single_output(logits, targets)
        return F.huber_loss(predictions, truth, reduction="none", delta=self.delta), self.weights(targets)


class OneHotMeanSquaredError(_Unweighted):
    """Square loss for classification, rescaled (Hui & Belkin 2021): (k * (f_y - M)^2 + sum over other classes of f_i^2) / C.

    No softmax: the outputs themselves are fitted to M for the true class y and to 0 for the other classes. k = M = 1 is the plain square
    loss on one-hot targets; the paper raises both where there are many classes.
    """

    def __init__(self, one_hot_scale: float, true_class_weight: float) -> None:
        self.one_hot_scale = one_hot_scale
        self.true_class_weight = true_class_weight

    def __call__(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """logits: [N, C]. targets: [N] class indices."""
        logits = _wide(logits)
        one_hot = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        terms = (logits - self.one_hot_scale * one_hot) ** 2 * (1 + (self.true_class_weight - 1) * one_hot)
        return terms.mean(1), self.weights(targets)
