from __future__ import annotations

from typing import Any

import pytest
import torch

from finecomb.config.schema import optimizer as schema
from finecomb.config.schema.model import CLASSIFIERS
from finecomb.learning import optimizer

COMMON = {"lr": 1e-2, "weight_decay": 0.1, "head_lr_multiplier": 1.0, "layer_decay": 1.0}
OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda **f: schema.Sgd("sgd", **{**COMMON, **f}, momentum=0.9, nesterov=True),
    "adam": lambda **f: schema.Adam("adam", **{**COMMON, **f}, betas=[0.9, 0.99], eps=1e-8),
    "adamw": lambda **f: schema.Adam("adamw", **{**COMMON, **f}, betas=[0.9, 0.99], eps=1e-8),
    "adafactor": lambda **f: schema.Adafactor("adafactor", **{**COMMON, **f}, beta2_decay=-0.8, clip_threshold=1.0),
}
KINDS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adafactor": torch.optim.Adafactor}


def groups_by_name(tuned: Any, config: Any) -> dict[str, dict[str, Any]]:
    names = {id(parameter): name for name, parameter in tuned.model.named_parameters()}
    return {names[id(p)]: group for group in optimizer.parameter_groups(config, tuned) for p in group["params"]}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_is_torchs_and_holds_what_trains_and_no_more(make: Any, name: str) -> None:
    tuned = make.tuned("bert", "top_layers")
    built = optimizer.build(OPTIMIZERS[name](), tuned)
    assert type(built) is KINDS[name]
    held = [parameter for group in built.param_groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(p) for p in tuned.model.parameters() if p.requires_grad}
    assert len(held) == len(tuned.trainable)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_decay_goes_to_matrices_only(make: Any, model_type: str) -> None:
    tuned = make.tuned(model_type, "full")
    parameters = dict(tuned.model.named_parameters())
    for name, group in groups_by_name(tuned, OPTIMIZERS["adamw"]()).items():
        plain_matrix = parameters[name].dim() >= 2 and not name.endswith("_bias")
        assert (group["weight_decay"] == 0.1) is plain_matrix, name
        if any(word in name.lower() for word in ("norm", "ln_", "bias")):
            assert group["weight_decay"] == 0.0, name


def test_a_norm_is_known_by_its_type_and_not_by_its_name_or_size(make: Any) -> None:
    class OddNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(2, 2))

    tuned = make.tuned("bert", "full")
    tuned.core.classifier.extra = OddNorm()
    tuned.trainable = [name for name, _ in tuned.model.named_parameters()]
    assert "classifier.extra.scale" in optimizer.undecayed(tuned)


def test_lora_matrices_decay_and_virtual_tokens_do_not(make: Any) -> None:
    lora = groups_by_name(make.tuned("bert", "lora"), OPTIMIZERS["adamw"]())
    assert all(group["weight_decay"] == 0.1 for name, group in lora.items() if ".lora_" in name)
    prompt = groups_by_name(make.tuned("bert", "prompt"), OPTIMIZERS["adamw"]())
    assert prompt["prompt_encoder.default.embedding.weight"]["weight_decay"] == 0.0


def test_rates_fall_with_the_distance_from_the_head(make: Any) -> None:
    tuned = make.tuned("bert", "full")
    config = OPTIMIZERS["adamw"](layer_decay=0.5, head_lr_multiplier=10.0)
    rates = {name: group["lr"] for name, group in groups_by_name(tuned, config).items()}
    assert rates["classifier.weight"] == pytest.approx(0.1)
    assert rates["bert.pooler.dense.weight"] == pytest.approx(0.01)
    assert rates["bert.encoder.layer.1.output.dense.weight"] == pytest.approx(0.005)
    assert rates["bert.encoder.layer.0.output.dense.bias"] == pytest.approx(0.0025)
    assert rates["bert.embeddings.word_embeddings.weight"] == pytest.approx(0.00125)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_fused_step_is_the_plain_step(make: Any, name: str) -> None:
    weights = []
    for fused in (True, False):
        tuned = make.tuned("bert", "full")
        built = optimizer.build(OPTIMIZERS[name](), tuned, fused=fused)
        generator = torch.Generator().manual_seed(0)
        for _ in range(3):
            for parameter in tuned.trainable_state():
                tuned.model.get_parameter(parameter).grad = torch.randn(tuned.model.get_parameter(parameter).shape, generator=generator)
            built.step()
        weights.append(torch.cat([parameter.detach().flatten() for parameter in tuned.trainable_state().values()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_steps_give_the_same_bits(make: Any, name: str) -> None:
    states = []
    for _ in range(2):
        tuned = make.tuned("bert", "top_layers")
        built = optimizer.build(OPTIMIZERS[name](), tuned)
        for _ in range(2):
            built.zero_grad()
            tuned.forward(make.batch(tuned.backbone.tokenizer).inputs).square().sum().backward()
            built.step()
        states.append(tuned.trainable_state())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
