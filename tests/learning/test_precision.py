"""bf16-true: pre-trained weights in bfloat16, new ones in fp32; what is saved gives the same logits when it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finecomb.config.schema import optimizer as schema
from finecomb.config.schema.model import CLASSIFIERS
from finecomb.config.schema.tuning import REFUSED
from finecomb.learning import optimizer, tuning

METHODS = ("full", "top_layers", "lora", "prompt")
BF16 = torch.bfloat16


@pytest.mark.parametrize("family", CLASSIFIERS)
def test_the_head_is_that_of_an_fp32_model_and_logits_have_its_resolution(make: Any, family: str) -> None:
    exact, lower = make.tuned(family, "full"), make.tuned(family, "full", dtype=BF16)
    new = tuple(f"{path}." for path in lower.backbone.new_modules)
    heads = [name for name, _ in lower.model.named_parameters() if name.startswith(new)]
    assert heads
    for name, parameter in lower.model.named_parameters():
        assert parameter.dtype == (torch.float32 if name in heads else BF16), name
    for name in heads:
        assert torch.equal(lower.model.get_parameter(name), exact.model.get_parameter(name))
    # Rotary frequencies and the like are those of the fp32 model.
    for name, buffer in exact.model.named_buffers():
        assert torch.equal(lower.model.get_buffer(name), buffer), name
    inputs = make.batch(exact.backbone.tokenizer).inputs
    with torch.no_grad():
        expected, found = exact.forward(inputs), lower.forward(inputs)
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.to(BF16).float())
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["bert", "qwen3"])
def test_what_is_new_trains_in_fp32_and_a_step_changes_it(make: Any, family: str, method: str) -> None:
    tuned = make.tuned(family, method, dtype=BF16)
    kinds = {name: tensor.dtype for name, tensor in tuned.trainable_state().items()}
    added = [name for name in kinds if name in tuned.head_names or ".lora_" in name or name.startswith("prompt_encoder.")]
    assert {kinds[name] for name in added} == {torch.float32}
    assert {kind for name, kind in kinds.items() if name not in added} <= {BF16}
    config = schema.Adam("adamw", 0.01, 0.0, 1.0, 1.0, betas=[0.9, 0.999], eps=1e-8)
    before = {name: tensor.clone() for name, tensor in tuned.trainable_state().items()}
    built = optimizer.build(config, tuned)
    batch = make.batch(tuned.backbone.tokenizer)
    tuned.train_mode()
    for _ in range(2):
        torch.nn.functional.cross_entropy(tuned.forward(batch.inputs), batch.targets).backward()
        built.step()
    moved = [name for name, tensor in tuned.trainable_state().items() if not torch.equal(tensor, before[name])]
    assert len(moved) > len(kinds) * 0.9
    states = {state["exp_avg"].dtype for state in built.state.values()}
    assert states == set(kinds.values())


@pytest.mark.parametrize("method", ["full", "head", "top_layers", "bitfit", "lora", "prompt"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "qwen3", "deberta-v2"])
def test_an_artifact_is_read_back_in_its_precision_with_the_same_logits(make: Any, tmp_path: Path, family: str, method: str) -> None:
    if (method, family) in REFUSED or (method, family) == ("bitfit", "qwen3"):
        pytest.skip("refused")
    tuned = make.tuned(family, method, dtype=BF16)
    generator = torch.Generator().manual_seed(0)
    for tensor in tuned.trainable_state().values():
        tensor.add_(0.05 * torch.randn(tensor.shape, generator=generator).to(tensor.dtype))
    tuning.save(tuned, tmp_path, {"max_length": 40})
    loaded = tuning.load(tmp_path)
    inputs = make.batch(tuned.backbone.tokenizer).inputs
    tuned.model.eval()
    with torch.no_grad():
        assert torch.equal(loaded.forward(inputs), tuned.forward(inputs))


def test_an_artifact_in_fp32_next_to_one_in_bf16_keeps_its_frozen_weights(make: Any, tmp_path: Path) -> None:
    for name, dtype in (("fp32", torch.float32), ("bf16", BF16), ("again", torch.float32)):
        tuning.save(make.tuned("bert", "head", dtype=dtype), tmp_path / name, {"max_length": 40})
    kinds = {name: tuning.load(tmp_path / name).core.get_input_embeddings().weight.dtype for name in ("fp32", "bf16", "again")}
    assert kinds == {"fp32": torch.float32, "bf16": BF16, "again": torch.float32}
    shard = tuning.artifact.FROZEN_SHARD
    assert (tmp_path / "fp32" / shard).stat().st_ino == (tmp_path / "again" / shard).stat().st_ino
