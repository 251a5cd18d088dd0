"""What is saved loads in plain transformers or PEFT, without finecomb, and gives the same logits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from finecomb.assets import hash_file
from finecomb.config.schema.model import CLASSIFIERS, FAMILIES, HUB_WEIGHTS, Model
from finecomb.config.schema.tuning import REFUSED
from finecomb.core.errors import ConfigError
from finecomb.learning import tuning
from finecomb.learning.model import inspect

METHODS = ("full", "head", "top_layers", "bitfit", "lora", "prompt")
CELLS = [(model_type, method) for model_type in CLASSIFIERS for method in METHODS if (method, model_type) not in REFUSED]
INFO = {"max_length": 40, "fingerprint": "abc"}


def trained(make: Any, model_type: str, method: str) -> Any:
    """As if trained: every trainable tensor is moved a little."""
    tuned = make.tuned(model_type, method)
    generator = torch.Generator().manual_seed(0)
    for tensor in tuned.trainable_state().values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator))
    return tuned


def plain(directory: Path, method: str) -> Any:
    """The model as a user without finecomb loads it."""
    if method not in ("lora", "prompt"):
        return AutoModelForSequenceClassification.from_pretrained(directory, local_files_only=True, dtype=torch.float32).eval()
    return PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(directory / "base"), str(directory)).eval()


@pytest.mark.parametrize(("model_type", "method"), CELLS)
def test_an_artifact_loads_without_finecomb_and_gives_the_same_logits(make: Any, tmp_path: Path, model_type: str, method: str) -> None:
    tuned = trained(make, model_type, method)
    tuning.save(tuned, tmp_path, INFO)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    # PEFT's own prompt forward misreads padded decoders, and shifts what is padded on the left; a text alone it reads rightly.
    texts = [[text] for text in make.texts] if method == "prompt" else [make.texts]
    model = plain(tmp_path, method)
    for group in texts:
        inputs = tokenizer(group, padding=True, return_tensors="pt")
        mine = make.batch(tuned.backbone.tokenizer, group).inputs
        assert {name: tensor.tolist() for name, tensor in inputs.items()} == {name: tensor.tolist() for name, tensor in mine.items()}
        with torch.no_grad():
            torch.testing.assert_close(model(**inputs).logits, tuned.forward(mine), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "model_type", [name for name, family in FAMILIES.items() if family.architecture == "encoder" and family.padding == "right"]
)
def test_prompts_on_encoders_agree_with_peft_in_padded_batches_too(make: Any, tmp_path: Path, model_type: str) -> None:
    tuned = trained(make, model_type, "prompt")
    tuning.save(tuned, tmp_path, INFO)
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    with torch.no_grad():
        torch.testing.assert_close(plain(tmp_path, "prompt")(**inputs).logits, tuned.forward(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("model_type", "method"), CELLS)
def test_an_artifact_read_back_gives_the_same_bits(make: Any, tmp_path: Path, model_type: str, method: str) -> None:
    tuned = trained(make, model_type, method)
    tuning.save(tuned, tmp_path, INFO)
    state = torch.random.get_rng_state()
    loaded = tuning.load(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), state)
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    with torch.no_grad():
        assert torch.equal(loaded.forward(inputs), tuned.forward(inputs))
    assert not any(module.training for module in loaded.model.modules())


@pytest.mark.parametrize("method", METHODS)
def test_names_lengths_and_sides_are_kept(make: Any, tmp_path: Path, method: str) -> None:
    tuned = trained(make, "xlnet", method)
    tuning.save(tuned, tmp_path, INFO)
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.id2label == dict(enumerate(make.names))
    assert config.label2id == {name: index for index, name in enumerate(make.names)}
    assert (config.num_labels, config.problem_type) == (3, "single_label_classification")
    assert config.architectures == ["XLNetForSequenceClassification"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.padding_side, tokenizer.model_max_length) == ("left", 40)
    record = json.loads((tmp_path / "finecomb.json").read_text())
    assert record["base"]["sha256"] == tuned.backbone.sha256
    assert (record["tuning"]["name"], record["fingerprint"], record["boundary"]) == (method, "abc", tuned.boundary)
    assert record["trainable"] == tuned.trainable
    assert not list(tmp_path.glob("*.bin"))


@pytest.mark.parametrize("method", ["head", "top_layers", "bitfit"])
def test_only_what_trains_is_newly_stored(make: Any, tmp_path: Path, method: str) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    tuned = trained(make, "bert", method)
    tuning.save(tuned, first, INFO)
    tuning.save(make.tuned("bert", method, seed=1), second, INFO)
    shared = [path / "model-00001-of-00002.safetensors" for path in (first, second)]
    assert os.path.samefile(*shared)
    own = load_file(first / "model-00002-of-00002.safetensors")
    assert set(own) == set(tuned.trainable)
    assert sum(tensor.numel() * tensor.element_size() for tensor in own.values()) == tuned.parameters["stored_bytes"]


@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_an_adapter_stores_what_trains_and_no_more(make: Any, tmp_path: Path, method: str) -> None:
    tuned = trained(make, "bert", method)
    tuning.save(tuned, tmp_path, INFO)
    stored = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(tensor.numel() * tensor.element_size() for tensor in stored.values()) == tuned.parameters["stored_bytes"]


def test_a_damaged_shared_file_is_written_anew(make: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    tuned = trained(make, "electra", "head")
    tuning.save(tuned, first, INFO)
    shared = first / "model-00001-of-00002.safetensors"
    shared.chmod(0o644)
    shared.write_bytes(shared.read_bytes()[:-100])
    tuning.save(tuned, second, INFO)
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    with torch.no_grad():
        assert torch.equal(tuning.load(second).forward(inputs), tuned.forward(inputs))


def test_a_file_system_without_links_gets_a_copy(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    tuned = trained(make, "bert", "head")
    tuning.save(tuned, tmp_path, INFO)
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    with torch.no_grad():
        assert torch.equal(tuning.load(tmp_path).forward(inputs), tuned.forward(inputs))


@pytest.mark.parametrize("model_type", [name for name in CLASSIFIERS if ("lora", name) not in REFUSED])
def test_an_adapter_loads_on_another_machine(make: Any, tmp_path: Path, model_type: str) -> None:
    """In another place, with the cache and the weights gone: by transformers' pipeline, plain PEFT and finecomb."""
    tuned = trained(make, model_type, "lora")
    tuning.save(tuned, tmp_path / "here", INFO)
    base = json.loads((tmp_path / "here" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base == "base"
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here")
    moved = Path(str(tuned.backbone.directory) + ".moved")
    tuned.backbone.directory.rename(moved)
    try:
        with torch.no_grad():
            expected = torch.softmax(tuned.forward(make.batch(tuned.backbone.tokenizer, make.texts[:1]).inputs), -1)[0].tolist()
            answers = pipeline("text-classification", model=str(tmp_path / "there"), top_k=None)([make.texts[0]])[0]
            logits = plain(tmp_path / "there", "lora")(**make.batch(tuned.backbone.tokenizer).inputs).logits
            torch.testing.assert_close(tuning.load(tmp_path / "there").forward(make.batch(tuned.backbone.tokenizer).inputs), logits)
        scores = {answer["label"]: answer["score"] for answer in answers}
        assert [scores[name] for name in make.names] == pytest.approx(expected, abs=1e-5)
    finally:
        moved.rename(tuned.backbone.directory)


def test_an_adapter_names_the_hub_only_where_its_weights_are_these(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make.backbone("bert").directory
    choice = Model(
        name="own", name_or_path=None, source=[f"file:{directory}"], sha256=None, model_type="bert", hub_id="owner/name", note="",
        dropout=None, attention="auto", gradient_checkpointing=False,
    )  # fmt: skip
    assert inspect(choice).hub_id is None
    monkeypatch.setitem(HUB_WEIGHTS, "owner/name", "0" * 64)
    assert inspect(choice).hub_id is None
    monkeypatch.setitem(HUB_WEIGHTS, "owner/name", hash_file(directory / "model.safetensors"))
    assert inspect(choice).hub_id == "owner/name"


def test_an_adapter_refuses_another_base(make: Any, tmp_path: Path) -> None:
    tuning.save(trained(make, "bert", "lora"), tmp_path / "artifact", INFO)
    other = make.backbone("bert", init_seed=9)
    with pytest.raises(ConfigError, match="are not those this adapter was trained on"):
        tuning.load(tmp_path / "artifact", base=other.directory)
    with pytest.raises(ConfigError, match="are gone"):
        tuning.load(tmp_path / "artifact", base=tmp_path / "nowhere")


def test_a_folder_that_is_no_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no finecomb\.json"):
        tuning.load(tmp_path)


def test_saving_leaves_the_tokenizer_in_use_as_it_was(make: Any, tmp_path: Path) -> None:
    tuned = trained(make, "bert", "head")
    before = tuned.backbone.tokenizer.model_max_length
    tuning.save(tuned, tmp_path, INFO)
    assert tuned.backbone.tokenizer.model_max_length == before
