"""What trains, what stays, in which mode, and how far from the head it lies; for each method on each architecture."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from finecomb.config.schema import optimizer as optimizer_schema
from finecomb.config.schema import tuning as schema
from finecomb.config.schema.model import CLASSIFIERS
from finecomb.core.errors import ConfigError
from finecomb.learning import loss, optimizer, tuning
from finecomb.learning.model import build, inspect
from finecomb.learning.tuning.tuned import inside

METHODS = ("full", "head", "top_layers", "bitfit", "lora", "prompt")
CELLS = [(model_type, method) for model_type in CLASSIFIERS for method in METHODS if (method, model_type) not in schema.REFUSED]
ADAMW = optimizer_schema.Adam("adamw", 1e-2, 0.0, 1.0, 1.0, [0.9, 0.999], 1e-8)


def step(make: Any, tuned: Any) -> None:
    batch = make.batch(tuned.backbone.tokenizer)
    built = optimizer.build(ADAMW, tuned)
    tuned.train_mode()
    values, weights = loss.CrossEntropy(0.0, None)(tuned.forward(batch.inputs), batch.targets)
    (values.sum() / weights.sum()).backward()
    built.step()


@pytest.mark.parametrize(("model_type", "method"), CELLS)
def test_one_step_moves_what_trains_and_nothing_else(make: Any, model_type: str, method: str) -> None:
    tuned = make.tuned(model_type, method, dropout=0.1)
    before = {name: tensor.clone() for name, tensor in tuned.model.state_dict().items()}
    parameters = dict(tuned.model.named_parameters())
    assert tuned.trainable == [name for name, parameter in parameters.items() if parameter.requires_grad]
    step(make, tuned)
    after = tuned.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    # The gradient of LoRA's A is exactly 0 while B is 0.
    assert moved == {name for name in tuned.trainable if "lora_A" not in name}
    assert [name for name in tuned.trainable if parameters[name].grad is None] == []
    assert [name for name, parameter in parameters.items() if not parameter.requires_grad and parameter.grad is not None] == []
    assert tuned.head_names


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_trainable_sets(make: Any, model_type: str) -> None:
    plain = make.backbone(model_type)
    family, names = plain.family, [name for name, _ in plain.model.named_parameters()]
    top = (f"{family.blocks}.1",)
    expected = {
        "full": {name for name in names if not inside(name, family.unused)},
        "head": {name for name in names if inside(name, family.head)},
        "top_layers": {name for name in names if inside(name, (*family.head, *family.pooler, *family.final, *top))},
    }
    for method, chosen in expected.items():
        assert set(make.tuned(model_type, method).trainable) == chosen, method


@pytest.mark.parametrize(("model_type", "method"), CELLS)
def test_boundary_and_depth(make: Any, model_type: str, method: str) -> None:
    tuned = make.tuned(model_type, method)
    without_embedding_biases = method == "bitfit" and model_type in ("xlnet", "gpt2")
    expected = {
        "full": "embeddings",
        "head": "head",
        "top_layers": "layer 2 of 2",
        "bitfit": "layer 1 of 2" if without_embedding_biases else "embeddings",
        "lora": "layer 1 of 2",
        "prompt": "embeddings",
    }
    assert tuned.boundary == expected[method]
    assert {tuned.depth_of(name) for name in tuned.head_names} == {0}
    assert max(map(tuned.depth_of, tuned.trainable)) == {"embeddings": 3, "layer 1 of 2": 2, "layer 2 of 2": 1, "head": 0}[tuned.boundary]


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_top_layers_counts_from_the_head(make: Any, depth: int) -> None:
    config = schema.TopLayers("top_layers", "eval", k=depth, embeddings=False, pooler=False)
    tuned = make.tuned("bert", config, layers=3)
    assert {name.split(".")[3] for name in tuned.trainable if ".layer." in name} == {str(index) for index in range(3 - depth, 3)}
    assert tuned.boundary == (f"layer {4 - depth} of 3" if depth else "head")


def test_top_layers_with_everything_is_full(make: Any) -> None:
    config = schema.TopLayers("top_layers", "eval", k=2, embeddings=True, pooler=True)
    for model_type in CLASSIFIERS:
        assert make.tuned(model_type, config).trainable == make.tuned(model_type, "full").trainable


def test_more_top_layers_than_there_are_is_told(make: Any) -> None:
    with pytest.raises(ConfigError, match="5 top layers of a model that has 2"):
        make.tuned("bert", schema.TopLayers("top_layers", "eval", k=5, embeddings=False, pooler=False))


def test_the_pooler_trains_only_when_asked(make: Any) -> None:
    asked = make.tuned("bert", schema.Head("head", "eval", pooler=True))
    assert set(asked.trainable) - set(make.tuned("bert", "head").trainable) == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert asked.boundary == "pooler"
    assert set(asked.head_names) == {"classifier.weight", "classifier.bias"}


def test_bitfit_trains_every_bias(make: Any) -> None:
    for model_type in ("bert", "xlnet"):
        tuned = make.tuned(model_type, "bitfit")
        biases = {name for name, _ in tuned.model.named_parameters() if name.endswith("bias")}
        assert biases <= set(tuned.trainable)
        assert all(name in biases or name in tuned.head_names for name in tuned.trainable)
    assert "transformer.layer.0.rel_attn.r_w_bias" in tuned.trainable


@pytest.mark.parametrize(
    "model_type", [model_type for method, model_type in schema.REFUSED if method == "bitfit" and model_type in CLASSIFIERS]
)
def test_refused_cells_are_impossible(make: Any, model_type: str) -> None:
    with pytest.raises(ConfigError, match="no biases below the head"):
        make.tuned(model_type, "bitfit")


def test_nothing_else_is_refused() -> None:
    assert {method for method, _ in schema.REFUSED} == {"bitfit"}


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_all_linear_adapts_every_map_of_the_layers_and_not_the_head(make: Any, model_type: str) -> None:
    config = dataclasses.replace(make.tunings["lora"], target_modules="all-linear")
    tuned = make.tuned(model_type, config)
    adapted = {tuned.plain_name(name) for name in tuned.trainable if ".lora_A" in name}
    blocks = make.backbone(model_type).model.get_submodule(tuned.backbone.family.blocks)
    linear = {
        f"{tuned.backbone.family.blocks}.{name}.weight" for name, m in blocks.named_modules() if type(m).__name__ in ("Linear", "Conv1D")
    }
    assert adapted == linear


def test_lora_targets_that_do_not_exist_are_told_with_those_that_do(make: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        make.tuned("bert", dataclasses.replace(make.tunings["lora"], target_modules=["query", "q_proj", "classifier"]))
    assert "q_proj, classifier" in caught.value.problems[0].what
    assert "attention.self.query" in caught.value.problems[0].allowed


def test_lora_starts_as_the_plain_model(make: Any) -> None:
    tuned = make.tuned("llama", "lora")
    batch = make.batch(tuned.backbone.tokenizer)
    plain = make.tuned("llama", "full")
    torch.testing.assert_close(tuned.forward(batch.inputs), plain.forward(batch.inputs))


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_added_tensors_come_from_the_seed_alone(make: Any, method: str) -> None:
    torch.manual_seed(1)
    first = make.tuned("bert", method, seed=0).trainable_state()
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = make.tuned("bert", method, seed=0).trainable_state()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], second[name]) for name in first)
    third = make.tuned("bert", method, seed=1).trainable_state()
    added = [name for name in first if "lora_A" in name or "prompt" in name]
    assert added
    assert not any(torch.equal(first[name], third[name]) for name in added)


def test_heads_are_equal_across_methods(make: Any) -> None:
    heads = []
    for method in ("full", "head", "lora", "prompt"):
        tuned = make.tuned("distilbert", method, seed=5)
        state = tuned.trainable_state()
        heads.append({tuned.plain_name(name): state[name] for name in tuned.head_names})
    for other in heads[1:]:
        assert other.keys() == heads[0].keys()
        assert all(torch.equal(other[name], heads[0][name]) for name in other)


def test_a_prompt_starts_from_embeddings_of_ordinary_words(make: Any) -> None:
    tuned = make.tuned("bert", "prompt")
    words = tuned.core.get_input_embeddings().weight
    ids = [int((words == row).all(1).nonzero()[0]) for row in tuned.model.prompt_encoder["default"].embedding.weight]
    assert not set(ids) & set(tuned.backbone.tokenizer.all_special_ids)
    noise = (
        make.tuned("bert", dataclasses.replace(make.tunings["prompt"], prompt_tuning_init="RANDOM"))
        .model.prompt_encoder["default"]
        .embedding.weight
    )
    assert not any(bool((words == row).all(1).any()) for row in noise)


def dropout_modules(tuned: Any) -> dict[str, bool]:
    return {name: module.training for name, module in tuned.core.named_modules() if type(module).__name__ == "Dropout"}


def test_frozen_parts_are_in_eval_mode_and_what_trains_in_train_mode(make: Any) -> None:
    tuned = make.tuned("bert", "top_layers", dropout=0.1)
    tuned.train_mode()
    modes = dropout_modules(tuned)
    assert modes.pop("dropout") is True
    assert {name for name, training in modes.items() if training} == {name for name in modes if ".layer.1." in name}
    # Scaled dot-product attention asks the attention module, not its dropout.
    assert tuned.core.bert.encoder.layer[1].attention.self.training
    assert not tuned.core.bert.encoder.layer[0].attention.self.training
    assert not tuned.core.bert.embeddings.training


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_full_is_wholly_in_train_mode(make: Any, model_type: str) -> None:
    tuned = make.tuned(model_type, "full", dropout=0.1)
    tuned.model.eval()
    tuned.train_mode()
    assert all(module.training for module in tuned.model.modules())


@pytest.mark.parametrize("model_type", CLASSIFIERS)
@pytest.mark.parametrize("method", ["head", "lora", "prompt"])
def test_features_below_the_boundary_carry_no_noise(make: Any, model_type: str, method: str) -> None:
    tuned = make.tuned(model_type, method, dropout=0.4)
    tuned.train_mode()
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    seen = []
    blocks = tuned.core.get_submodule(tuned.backbone.family.blocks)
    hook = blocks[-1].register_forward_hook(lambda module, _, output: seen.append(output[0] if isinstance(output, tuple) else output))
    for _ in range(2):
        tuned.forward(inputs)
    hook.remove()
    assert torch.equal(seen[0], seen[1])


def test_frozen_mode_train_puts_everything_in_train_mode(make: Any) -> None:
    tuned = make.tuned("bert", schema.Head("head", "train", pooler=False), dropout=0.1)
    tuned.train_mode()
    assert all(module.training for module in tuned.model.modules())
    assert tuned.frozen_mode == "train"


def test_lora_dropout_is_on_and_its_neighbours_are_off(make: Any) -> None:
    tuned = make.tuned("bert", dataclasses.replace(make.tunings["lora"], lora_dropout=0.5), dropout=0.1)
    tuned.train_mode()
    modes = dropout_modules(tuned)
    assert {training for name, training in modes.items() if "lora_dropout" in name} == {True}
    assert {training for name, training in modes.items() if "lora_dropout" not in name and ".layer." in name} == {False}


def test_bitfit_has_dropout_on_in_every_part_with_a_bias(make: Any) -> None:
    tuned = make.tuned("bert", "bitfit", dropout=0.1)
    tuned.train_mode()
    assert set(dropout_modules(tuned).values()) == {True}


@pytest.mark.parametrize("method", METHODS)
def test_the_trainable_state_goes_back_where_it_came_from(make: Any, method: str) -> None:
    tuned, other = make.tuned("bert", method), make.tuned("bert", method, seed=3)
    step(make, tuned)
    other.load_trainable_state({name: tensor.clone() for name, tensor in tuned.trainable_state().items()})
    tuned.model.eval()
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    assert torch.equal(tuned.forward(inputs), other.forward(inputs))


def test_a_state_that_does_not_fit_is_refused(make: Any) -> None:
    tuned = make.tuned("bert", "head")
    state = tuned.trainable_state()
    for wrong in ({}, {**state, "more": torch.zeros(1)}, {**state, "classifier.bias": torch.zeros(9)}):
        with pytest.raises(ValueError, match="trainable tensors"):
            tuned.load_trainable_state(wrong)


def test_parameters_are_counted_once(make: Any) -> None:
    plain = sum(parameter.numel() for parameter in make.backbone("bert").model.parameters())
    head = make.tuned("bert", "head").parameters
    assert head == {"total": plain, "trainable": 3 * 32 + 3, "stored_bytes": 4 * (3 * 32 + 3)}
    lora = make.tuned("bert", "lora").parameters
    added = 2 * 2 * 2 * 4 * 32  # layers, maps, A and B, rank, hidden
    assert (lora["total"], lora["trainable"]) == (plain + added, added + 99)
    assert make.tuned("bert", "prompt").parameters["trainable"] == 5 * 32 + 99


def test_texts_that_outgrow_the_positions_are_told(make: Any) -> None:
    tuned = make.tuned("roberta", "prompt")
    tuned.check_length(187)
    with pytest.raises(ConfigError, match="188 tokens and 5 virtual ones in a model with 192 positions"):
        tuned.check_length(188)
    make.tuned("xlnet", "prompt").check_length(10_000)


@pytest.mark.parametrize("model_type", [name for name in CLASSIFIERS if name not in ("xlnet", "deberta-v2")])
def test_the_longest_text_that_is_allowed_fits(make: Any, model_type: str) -> None:
    tuned = make.tuned(model_type, "prompt")
    tokenizer = tuned.backbone.tokenizer
    encoded = make.task().encode(tokenizer, {"text": ["the good film " * 200]}, 187)
    tuned.check_length(len(encoded["input_ids"][0]))
    rows = [{name: column[0] for name, column in encoded.items()}]
    assert bool(torch.isfinite(tuned.forward(make.task().collate(tokenizer, rows, None).inputs)).all())


def test_every_method_has_learning_rates(make: Any) -> None:
    for method in METHODS:
        rates = make.tuned("bert", method).learning_rates
        assert set(rates) == set(schema.OPTIMIZER_FAMILY.values())
        assert all(rate.low <= rate.default <= rate.high for rate in rates.values())


def test_a_pooler_that_is_new_trains_under_every_method(make: Any, tmp_path: Any) -> None:
    backbone = make.backbone("bert")
    kept = {name: tensor for name, tensor in backbone.model.state_dict().items() if "pooler" not in name}
    backbone.model.save_pretrained(tmp_path, state_dict=kept)
    backbone.tokenizer.save_pretrained(tmp_path)
    choice = dataclasses.replace(make.choice("bert"), name_or_path=str(tmp_path))
    for method in METHODS:
        fresh = build(choice, inspect(choice), num_outputs=3, label_names=make.names, problem_type="single_label_classification", seed=0)
        tuned = tuning.build(make.tunings[method]).apply(fresh, seed=0)
        assert {tuned.plain_name(name) for name in tuned.head_names} >= {"bert.pooler.dense.weight", "classifier.weight"}, method


@pytest.mark.parametrize(("model_type", "method"), CELLS)
def test_a_step_under_bfloat16_autocast(make: Any, model_type: str, method: str) -> None:
    tuned = make.tuned(model_type, method)
    batch = make.batch(tuned.backbone.tokenizer)
    with torch.autocast("cpu", torch.bfloat16):
        values, _ = loss.CrossEntropy(0.0, None)(tuned.forward(batch.inputs), batch.targets)
    values.sum().backward()
    exact = tuned.forward(batch.inputs)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, loss.CrossEntropy(0.0, None)(exact, batch.targets)[0], rtol=0.1, atol=0.1)
    assert all(tuned.model.get_parameter(name).grad.dtype == torch.float32 for name in tuned.trainable)
