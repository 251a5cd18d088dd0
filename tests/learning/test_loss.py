"""Losses against torch's own, and the contract: values and weights of each example, whatever the split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from finecomb.config.schema import loss as schema
from finecomb.learning import loss

CLASSES, SEVERAL, NUMBER = "sequence_classification", "sequence_classification multi_label", "regression"
COUNTS = [10, 20, 70]
torch.manual_seed(0)
LOGITS = torch.randn(8, 3, dtype=torch.float64)
TARGETS = torch.tensor([0, 1, 2, 2, 1, 0, 2, 2])
MANY = torch.randint(2, (8, 3)).float()
NUMBERS = torch.randn(8)
SOFT = torch.rand(8, 3, dtype=torch.float64)
SOFT = SOFT / SOFT.sum(1, keepdim=True)


def cross_entropy(smoothing: float = 0.0, weights: Any = None, variant: str = CLASSES) -> Any:
    config = schema.CrossEntropy(name="cross_entropy", label_smoothing=smoothing, class_weights=weights)
    return loss.build(config, variant, label_counts=COUNTS)


def mean(function: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    values, weights = function(logits, targets)
    assert values.shape == weights.shape == (len(targets),)
    assert torch.equal(weights, function.weights(targets))
    return (values * weights).sum() / weights.sum()


CASES = {
    "cross_entropy": (cross_entropy(), LOGITS, TARGETS),
    "weighted cross_entropy": (cross_entropy(0.1, "balanced"), LOGITS, TARGETS),
    "soft cross_entropy": (cross_entropy(0.1, "balanced"), LOGITS, SOFT),
    "multi-label cross_entropy": (cross_entropy(0.1, [1, 2, 3], SEVERAL), LOGITS, MANY),
    "focal": (loss.build(schema.Focal(name="focal", gamma=2.0), CLASSES, label_counts=COUNTS), LOGITS, TARGETS),
    "multi-label focal": (loss.build(schema.Focal(name="focal", gamma=0.5), SEVERAL, label_counts=COUNTS), LOGITS, MANY),
    "mse": (loss.build(schema.MeanSquaredError("mse", 1.0, 1.0), NUMBER, label_counts=None), LOGITS[:, :1], NUMBERS),
    "huber": (loss.build(schema.Huber("huber", 0.7), NUMBER, label_counts=None), LOGITS[:, :1], NUMBERS),
    "one-hot mse": (loss.build(schema.MeanSquaredError("mse", 30.0, 15.0), CLASSES, label_counts=COUNTS), LOGITS, TARGETS),
}


@pytest.mark.parametrize("name", CASES)
def test_any_split_of_a_batch_gives_the_same_loss_and_gradient(name: str) -> None:
    function, logits, targets = CASES[name]
    whole = logits.clone().requires_grad_()
    mean(function, whole, targets).backward()
    parts = logits.clone().requires_grad_()
    total = function.weights(targets).sum()
    for start, end in ((0, 1), (1, 6), (6, 8)):
        values, weights = function(parts[start:end], targets[start:end])
        ((values * weights).sum() / total).backward()
    torch.testing.assert_close(parts.grad, whole.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("classes", [3, 5, 17])
@pytest.mark.parametrize("variant", [CLASSES, SEVERAL])
def test_weights_of_an_example_and_of_its_labels_do_not_depend_on_the_size_of_the_batch(variant: str, classes: int) -> None:
    # A matrix product sums in an order that depends on the number of rows and on the processor.
    draw = torch.Generator().manual_seed(0)
    config = schema.CrossEntropy(name="cross_entropy", label_smoothing=0.1, class_weights=[0.1 + 0.7 * at for at in range(classes)])
    function = loss.build(config, variant, label_counts=[1] * classes)
    for size in range(1, 70):
        logits = torch.randn(size, classes, dtype=torch.float64, generator=draw)
        targets = torch.rand(size, classes, dtype=torch.float64, generator=draw).softmax(1)
        values, weights = function(logits, targets)
        alone = [function(logits[[row]], targets[[row]]) for row in range(size)]
        assert torch.equal(weights, torch.cat([weight for _, weight in alone])), f"weights of {size} examples"
        torch.testing.assert_close(values, torch.cat([value for value, _ in alone]), rtol=0, atol=1e-14)


def test_class_weights_are_kept_in_double_precision() -> None:
    function = cross_entropy(0.0, [0.1, 0.2, 0.7])
    assert torch.equal(function.weights(TARGETS), torch.tensor([0.1, 0.2, 0.7], dtype=torch.float64)[TARGETS])
    torch.testing.assert_close(function.weights(SOFT.float()), SOFT.float().double() @ function.class_weights, rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", CASES)
def test_nothing_in_is_nothing_out(name: str) -> None:
    function, logits, targets = CASES[name]
    values, weights = function(logits[:0], targets[:0])
    assert values.shape == weights.shape == (0,)
    assert float((values * weights).sum()) == 0.0


@pytest.mark.parametrize("name", CASES)
def test_half_precision_logits_are_widened_and_extremes_stay_finite(name: str) -> None:
    function, logits, targets = CASES[name]
    assert function(logits.bfloat16(), targets)[0].dtype == torch.float32
    extreme = (logits.float() * 1e4).requires_grad_()
    values, _ = function(extreme, targets)
    values.sum().backward()
    assert bool(torch.isfinite(values).all() and torch.isfinite(extreme.grad).all())


@pytest.mark.parametrize("weights", [None, "balanced", [0.5, 0.0, 3.0]])
def test_cross_entropy_is_torchs_with_class_weights(weights: Any) -> None:
    reference = (
        {None: None, "balanced": [100 / 30, 100 / 60, 100 / 210]}.get(weights, weights) if not isinstance(weights, list) else weights
    )
    reference = None if reference is None else torch.tensor(reference, dtype=torch.float64)
    torch.testing.assert_close(
        mean(cross_entropy(0.0, weights), LOGITS, TARGETS), F.cross_entropy(LOGITS, TARGETS, weight=reference), rtol=1e-12, atol=0
    )


def test_label_smoothing_is_torchs() -> None:
    torch.testing.assert_close(mean(cross_entropy(0.2), LOGITS, TARGETS), F.cross_entropy(LOGITS, TARGETS, label_smoothing=0.2))


def test_label_smoothing_with_class_weights_is_the_weighted_mean_of_the_smoothed_losses() -> None:
    weights = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    ours = mean(cross_entropy(0.2, [1, 2, 5]), LOGITS, TARGETS)
    each = F.cross_entropy(LOGITS, TARGETS, label_smoothing=0.2, reduction="none")
    torch.testing.assert_close(ours, (each * weights[TARGETS]).sum() / weights[TARGETS].sum())
    assert not torch.isclose(ours, F.cross_entropy(LOGITS, TARGETS, weight=weights, label_smoothing=0.2))


def test_multi_label_cross_entropy_is_torchs_mean() -> None:
    function = cross_entropy(variant=SEVERAL)
    torch.testing.assert_close(mean(function, LOGITS, MANY), F.binary_cross_entropy_with_logits(LOGITS, MANY.double()))
    smoothed = mean(cross_entropy(0.2, variant=SEVERAL), LOGITS, MANY)
    torch.testing.assert_close(smoothed, F.binary_cross_entropy_with_logits(LOGITS, MANY.double() * 0.8 + 0.1))


def test_focal_follows_its_equation_and_is_cross_entropy_at_gamma_0() -> None:
    p = LOGITS.softmax(1).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(CASES["focal"][0](LOGITS, TARGETS)[0], -((1 - p) ** 2) * p.log())
    plain = loss.build(schema.Focal(name="focal", gamma=0.0), CLASSES, label_counts=COUNTS)
    torch.testing.assert_close(mean(plain, LOGITS, TARGETS), F.cross_entropy(LOGITS, TARGETS))
    q = torch.where(MANY > 0, LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    torch.testing.assert_close(CASES["multi-label focal"][0](LOGITS, MANY)[0], (-((1 - q) ** 0.5) * q.log()).mean(1))


def test_regression_losses_are_torchs() -> None:
    predictions = LOGITS[:, 0]
    torch.testing.assert_close(mean(CASES["mse"][0], LOGITS[:, :1], NUMBERS), F.mse_loss(predictions, NUMBERS.double()))
    torch.testing.assert_close(mean(CASES["huber"][0], LOGITS[:, :1], NUMBERS), F.huber_loss(predictions, NUMBERS.double(), delta=0.7))


@pytest.mark.parametrize("name", ["mse", "huber"])
def test_shapes_that_would_broadcast_are_refused(name: str) -> None:
    function = CASES[name][0]
    for logits, targets in ((LOGITS[:, 0], NUMBERS), (LOGITS[:, :1], NUMBERS[:, None]), (LOGITS, NUMBERS)):
        with pytest.raises(ValueError, match="regression wants"):
            function(logits, targets)


def test_one_hot_mse_is_the_plain_square_loss_and_its_rescaled_form() -> None:
    one_hot = F.one_hot(TARGETS, 3).double()
    plain = loss.build(schema.MeanSquaredError("mse", 1.0, 1.0), CLASSES, label_counts=COUNTS)
    torch.testing.assert_close(mean(plain, LOGITS, TARGETS), F.mse_loss(LOGITS, one_hot))
    row, k, big = LOGITS[0], 15.0, 30.0
    by_hand = (k * (row[0] - big) ** 2 + row[1] ** 2 + row[2] ** 2) / 3
    torch.testing.assert_close(CASES["one-hot mse"][0](LOGITS, TARGETS)[0][0], by_hand)


@pytest.mark.parametrize(("smoothing", "weights"), [(0.0, None), (0.1, None), (0.0, [1.0, 5.0, 0.2]), (0.1, "balanced")])
def test_soft_labels_that_are_certain_give_the_loss_and_gradient_of_hard_ones(smoothing: float, weights: Any) -> None:
    function = cross_entropy(smoothing, weights)
    hard, soft = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    one, other = mean(function, hard, TARGETS), mean(function, soft, F.one_hot(TARGETS, 3).float())
    one.backward()
    other.backward()
    torch.testing.assert_close(other, one, rtol=0, atol=1e-9)
    torch.testing.assert_close(soft.grad, hard.grad, rtol=0, atol=1e-9)


def test_soft_labels_are_the_target_of_the_cross_entropy() -> None:
    values, weights = cross_entropy(weights=[1.0, 5.0, 0.2])(LOGITS, SOFT)
    torch.testing.assert_close(values, -(SOFT * LOGITS.log_softmax(-1)).sum(-1))
    torch.testing.assert_close(weights.double(), SOFT @ torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64), atol=1e-6, rtol=0)
