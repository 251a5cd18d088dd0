from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from finecomb.config.schema.model import CLASSIFIERS, FAMILIES, Model
from finecomb.core.errors import ConfigError
from finecomb.learning.model import build, inspect
from finecomb.learning.pooling import classify

PATHS = ("embeddings", "final", "pooler", "head")


def pretrained(path: Path, **fields: Any) -> Model:
    values = {"name": "mine", "source": [], "sha256": None, "model_type": "auto", "hub_id": None, "note": "", "dropout": None}
    values |= {"attention": "auto", "gradient_checkpointing": False}
    return Model(name_or_path=str(path), **{**values, **fields})


def built(choice: Model, *, num_outputs: int = 3, seed: int = 0) -> Any:
    names = [f"class {index}" for index in range(num_outputs)]
    return build(choice, inspect(choice), num_outputs=num_outputs, label_names=names, problem_type="single_label_classification", seed=seed)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_every_path_of_a_family_exists_and_together_they_hold_every_parameter(make: Any, model_type: str) -> None:
    backbone = make.backbone(model_type)
    family = backbone.family
    modules = dict(backbone.model.named_modules())
    assert [path for name in PATHS for path in getattr(family, name) if path not in modules] == []
    assert len(modules[family.blocks]) == 2
    held = [path for name in PATHS for path in getattr(family, name)] + [family.blocks, *family.unused]
    strays = [
        name for name, _ in backbone.model.named_parameters() if not any(name == path or name.startswith(f"{path}.") for path in held)
    ]
    assert strays == []
    assert all(parameter.dtype == torch.float32 for parameter in backbone.model.parameters())


@pytest.mark.parametrize("model_type", CLASSIFIERS)
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_dropout_sets_every_rate(make: Any, model_type: str, rate: float) -> None:
    backbone = make.backbone(model_type, dropout=rate)
    assert {module.p for module in backbone.model.modules() if isinstance(module, torch.nn.Dropout)} <= {rate}
    model = backbone.model.train()
    batch = make.batch(backbone.tokenizer)
    extra = {"use_mems": False} if model_type == "xlnet" else {}
    first, second = (model(**batch.inputs, **extra).logits for _ in range(2))
    assert torch.equal(first, second) is (rate == 0.0)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_no_two_parameters_share_memory(make: Any, model_type: str) -> None:
    state = make.backbone(model_type).model.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_the_head_comes_from_the_seed_alone(make: Any, model_type: str) -> None:
    torch.manual_seed(1)
    first = make.backbone(model_type, seed=0)
    torch.manual_seed(2)
    before = torch.random.get_rng_state()
    second = make.backbone(model_type, seed=0)
    third = make.backbone(model_type, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    states = [backbone.model.state_dict() for backbone in (first, second, third)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    differing = {name for name in states[0] if not torch.equal(states[0][name], states[2][name])}
    assert differing
    assert all(name.startswith(first.family.head) for name in differing)


def test_the_backbone_does_not_depend_on_the_number_of_outputs(make: Any) -> None:
    choice = make.choice("xlm-roberta")
    two, three = (built(choice, num_outputs=count).model.roberta.state_dict() for count in (2, 3))
    assert all(torch.equal(two[name], three[name]) for name in two)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_a_model_written_to_a_directory_is_read_by_its_path(make: Any, tmp_path: Path, model_type: str) -> None:
    backbone = make.backbone(model_type)
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    again = built(pretrained(tmp_path))
    batch, other = make.batch(backbone.tokenizer), make.batch(again.tokenizer)
    assert {name: tensor.tolist() for name, tensor in batch.inputs.items()} == {name: t.tolist() for name, t in other.inputs.items()}
    assert again.tokenizer.padding_side == backbone.family.padding
    mine, theirs = backbone.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_head_that_comes_with_the_weights_is_replaced(make: Any, tmp_path: Path) -> None:
    backbone = make.backbone("bert", seed=7)
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    assert not torch.equal(built(pretrained(tmp_path)).model.classifier.weight, backbone.model.classifier.weight)
    assert built(pretrained(tmp_path), num_outputs=5).model.classifier.weight.shape == (5, 32)


def test_label_names_and_problem_type_are_in_the_config(make: Any) -> None:
    config = make.backbone("distilbert").model.config
    assert config.id2label == {0: "bad", 1: "fair", 2: "good"}
    assert config.label2id == {"bad": 0, "fair": 1, "good": 2}
    assert (config.num_labels, config.problem_type) == (3, "single_label_classification")


def stored(make: Any, directory: Path, model_type: str = "bert") -> dict[str, torch.Tensor]:
    backbone = make.backbone(model_type)
    backbone.model.save_pretrained(directory)
    backbone.tokenizer.save_pretrained(directory)
    return load_file(directory / "model.safetensors")


def write(directory: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, directory / "model.safetensors", metadata={"format": "pt"})


def test_a_missing_tensor_below_the_head_is_told(make: Any, tmp_path: Path) -> None:
    state = stored(make, tmp_path)
    del state["bert.encoder.layer.1.output.dense.weight"]
    write(tmp_path, state)
    with pytest.raises(ConfigError, match=r"missing: bert\.encoder\.layer\.1\.output\.dense\.weight"):
        built(pretrained(tmp_path))


def test_layers_that_the_config_leaves_out_are_told(make: Any, tmp_path: Path) -> None:
    stored(make, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    with pytest.raises(ConfigError, match=r"of layers that config\.json does not have"):
        built(pretrained(tmp_path))


def test_a_tensor_of_another_shape_is_told(make: Any, tmp_path: Path) -> None:
    state = stored(make, tmp_path)
    state["bert.encoder.layer.0.output.dense.weight"] = torch.zeros(3, 3)
    write(tmp_path, state)
    with pytest.raises(ConfigError, match="another shape"):
        built(pretrained(tmp_path))


def test_a_pooler_that_the_weights_lack_is_new_and_drawn_from_the_seed(make: Any, tmp_path: Path) -> None:
    state = stored(make, tmp_path)
    write(tmp_path, {name: tensor for name, tensor in state.items() if "pooler" not in name})
    torch.manual_seed(3)
    first = built(pretrained(tmp_path))
    torch.manual_seed(4)
    second = built(pretrained(tmp_path))
    assert first.new_modules == ("classifier", "bert.pooler")
    assert torch.equal(first.model.bert.pooler.dense.weight, second.model.bert.pooler.dense.weight)


def test_a_tokenizer_with_more_tokens_than_embeddings_is_told(make: Any, tmp_path: Path) -> None:
    stored(make, tmp_path)
    tokenizer = make.backbone("bert").tokenizer
    tokenizer.add_tokens(["unheard-of"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="embeddings"):
        built(pretrained(tmp_path))


def test_weights_in_half_precision_are_used_in_full(make: Any, tmp_path: Path) -> None:
    state = stored(make, tmp_path)
    write(tmp_path, {name: tensor.half() for name, tensor in state.items()})
    assert {parameter.dtype for parameter in built(pretrained(tmp_path)).model.parameters()} == {torch.float32}


def test_sdpa_is_used_where_the_architecture_has_it(make: Any) -> None:
    used = {model_type: make.backbone(model_type).model.config._attn_implementation for model_type in CLASSIFIERS}
    assert {model_type for model_type, kind in used.items() if kind != "sdpa"} == {"deberta-v2", "xlnet"}


def test_the_seed_draws_what_transformers_would_draw(make: Any) -> None:
    backbone = make.backbone("bert", hidden=64)
    spread = AutoModelForSequenceClassification.from_config(backbone.model.config).classifier.weight.detach().std()
    assert float(backbone.model.classifier.weight.detach().std()) == pytest.approx(float(spread), rel=0.2)
    assert backbone.model.classifier.bias.abs().max() == 0


def test_a_damaged_file_of_weights_is_told(make: Any, tmp_path: Path) -> None:
    stored(make, tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ConfigError, match="the weights cannot be read"):
        built(pretrained(tmp_path))


def test_a_damaged_tiny_model_in_the_cache_is_made_again(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))
    choice = make.choice("bert")
    before = built(choice)
    weights = before.directory / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()  # a new file, as the old one is still mapped
    weights.write_bytes(content)
    after = built(choice)
    assert all(torch.equal(value, after.model.state_dict()[name]) for name, value in before.model.state_dict().items())
    assert weights.read_bytes() != content


@pytest.mark.parametrize("content", ["[]", "{", ""])
def test_a_tokenizer_that_cannot_be_read_is_told(make: Any, tmp_path: Path, content: str) -> None:
    stored(make, tmp_path)
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ConfigError, match="the tokenizer cannot be loaded"):
        built(pretrained(tmp_path))


def test_a_repeated_build_is_the_same_in_every_bit_and_says_nothing(make: Any, capfd: pytest.CaptureFixture[str]) -> None:
    first, second = (make.tuned("xlnet", "lora").model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_every_listed_attention_gives_the_same_logits(make: Any, model_type: str) -> None:
    family = FAMILIES[model_type]
    logits = {}
    for attention in ("auto", *family.attention):
        if attention == "flash_attention_2":
            continue
        backbone = make.backbone(model_type, attention=attention)
        assert attention in ("auto", backbone.model.config._attn_implementation)
        with torch.no_grad():
            logits[attention] = classify(backbone.model, make.batch(backbone.tokenizer).inputs)
    for attention, found in logits.items():
        torch.testing.assert_close(found, logits["auto"], rtol=1e-5, atol=1e-5, msg=attention)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_the_listed_attentions_are_those_that_transformers_has(make: Any, model_type: str) -> None:
    model = make.backbone(model_type).model
    has = {"sdpa": model._supports_sdpa, "eager": True, "flash_attention_2": model._supports_flash_attn}
    assert set(FAMILIES[model_type].attention) == {name for name, present in has.items() if present}


def test_an_attention_that_the_weights_lack_is_refused_before_a_run_is_made(make: Any) -> None:
    with pytest.raises(ConfigError, match=r"model\.attention=sdpa is not available for xlnet"):
        inspect(make.choice("xlnet", attention="sdpa"))
