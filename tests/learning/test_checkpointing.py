"""Gradient checkpointing: the same gradient with less kept for the backward pass, whatever trains and in whatever mode a layer is."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest
import torch

from finecomb.config.schema.model import CLASSIFIERS
from finecomb.learning.tuning import Tuned

# The recomputed forward pass runs the same operations on the same numbers; float64.
TOLERANCE = 1e-12


def gradients(tuned: Tuned, batch: Any) -> dict[str, torch.Tensor]:
    """Gradients of what trains, of one batch, with dropout masks drawn from one seed."""
    tuned.model.double()
    tuned.train_mode()
    torch.manual_seed(3)
    torch.nn.functional.cross_entropy(tuned.forward(batch.inputs), batch.targets).backward()
    parameters = dict(tuned.model.named_parameters())
    found = {}
    for name in tuned.trainable:
        gradient = parameters[name].grad
        found[name] = torch.zeros_like(parameters[name]) if gradient is None else gradient.clone()
    return found


def pair(make: Any, family: str, tuning: str, **fields: Any) -> tuple[Tuned, Tuned]:
    return tuple(make.tuned(family, tuning, gradient_checkpointing=value, **fields) for value in (False, True))  # type: ignore[return-value]


@pytest.mark.parametrize("tuning", ["full", "lora", "prompt", "top_layers"])
@pytest.mark.parametrize("family", ["bert", "modernbert", "gpt2", "qwen3"])
def test_the_gradient_is_the_same_with_dropout(make: Any, family: str, tuning: str) -> None:
    plain, checkpointed = pair(make, family, tuning, dropout=0.2)
    batch = make.batch(plain.backbone.tokenizer)
    expected, found = gradients(plain, batch), gradients(checkpointed, batch)
    assert expected.keys() == found.keys()
    assert max(float(gradient.abs().max()) for gradient in found.values()) > 0
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=TOLERANCE, atol=TOLERANCE, msg=name)


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_every_architecture_has_the_same_gradient(make: Any, family: str) -> None:
    plain, checkpointed = pair(make, family, "full", dropout=0.2)
    batch = make.batch(plain.backbone.tokenizer)
    expected, found = gradients(plain, batch), gradients(checkpointed, batch)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=TOLERANCE, atol=TOLERANCE, msg=name)


def test_other_dropout_masks_in_the_second_pass_are_found(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from finecomb.learning.model import backbone

    original = backbone.checkpoint
    monkeypatch.setattr(backbone, "checkpoint", lambda *inputs, **options: original(*inputs, preserve_rng_state=False, **options))
    plain, checkpointed = pair(make, "bert", "full", dropout=0.2)
    batch = make.batch(plain.backbone.tokenizer)
    expected, found = gradients(plain, batch), gradients(checkpointed, batch)
    assert any(not torch.allclose(found[name], gradient) for name, gradient in expected.items())


@pytest.mark.parametrize("frozen_mode", ["eval", "train"])
@pytest.mark.parametrize("family", ["bert", "xlnet", "qwen3"])
def test_layers_run_again_in_the_backward_pass_also_where_they_are_frozen(make: Any, family: str, frozen_mode: str) -> None:
    """With LoRA, every layer is a frozen part; transformers' own checkpointing does nothing in eval mode."""
    config = dataclasses.replace(make.tunings["lora"], frozen_mode=frozen_mode)
    calls: Counter[bool] = Counter()
    for checkpointing in (False, True):
        tuned = make.tuned(family, config, gradient_checkpointing=checkpointing)
        layers = tuned.core.get_submodule(tuned.backbone.family.blocks)
        assert all(layer.training == (frozen_mode == "train") for layer in layers) or tuned.train_mode() is None
        for layer in layers:
            first = next(module for name, module in layer.named_modules() if name.endswith(tuned.backbone.family.lora[0]))
            first.register_forward_hook(lambda *_, checkpointing=checkpointing: calls.update([checkpointing]))
        gradients(tuned, make.batch(tuned.backbone.tokenizer))
    assert calls == {False: 2, True: 4}


def test_less_is_kept_for_the_backward_pass(make: Any) -> None:
    kept = []
    for tuned in pair(make, "bert", "lora"):
        sizes: list[int] = []

        def pack(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        tuned.train_mode()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            tuned.forward(make.batch(tuned.backbone.tokenizer).inputs)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 4, kept


def test_nothing_is_kept_without_gradients_and_the_logits_are_the_same(make: Any) -> None:
    plain, checkpointed = pair(make, "bert", "full")
    inputs = make.batch(plain.backbone.tokenizer).inputs
    with torch.no_grad():
        assert torch.equal(plain.forward(inputs), checkpointed.forward(inputs))
