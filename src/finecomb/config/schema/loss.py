"""Losses. Which task allows which stands in `task.FACTS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finecomb.config.schema.base import option


@dataclass
class Loss:
    """What every loss has."""

    name: str = option("name of the choice")


@dataclass
class CrossEntropy(Loss):
    """Cross-entropy; for multi-label tasks the binary one of each label."""

    label_smoothing: float = option("share of the target spread over all classes", low=0.0, high=0.99)
    class_weights: Any = option("null; balanced (rows / (classes * rows of the class)); or a list with a weight for each class")


@dataclass
class MeanSquaredError(Loss):
    """Squared error; for classification on one-hot targets (Hui & Belkin 2021), rescaled by k and M for many classes."""

    one_hot_scale: float = option("M: the value of the true class in the target (classification)", low=0.0)
    true_class_weight: float = option("k: weight of the true class's term (classification)", low=0.0)


@dataclass
class Huber(Loss):
    """Quadratic near 0, linear beyond delta (Huber 1964)."""

    delta: float = option("where the loss turns linear", low=1e-9)


@dataclass
class Focal(Loss):
    """Cross-entropy times (1 - p)^gamma (Lin et al. 2017, equation 4)."""

    gamma: float = option("how much well-classified items are discounted", low=0.0)


def weights_of(loss: Loss) -> Any:
    """The class weights of a loss; None for a loss that takes none."""
    return loss.class_weights if isinstance(loss, CrossEntropy) else None


CHOICES = {"cross_entropy": CrossEntropy, "mse": MeanSquaredError, "huber": Huber, "focal": Focal}
