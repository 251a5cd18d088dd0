"""Heads that a task may name: tokens are read in the order of the text, whatever the padding and beside whatever other text."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from finecomb.config.schema.model import TinyModel
from finecomb.core.errors import ConfigError
from finecomb.learning import tuning
from finecomb.learning.model import build, inspect
from finecomb.learning.model.tiny import tiny_directory

TOKENS = [("token_classification", "bert"), ("token_classification", "xlnet"), ("token_classification", "gpt2"),
          ("token_classification", "llama"), ("causal_lm", "gpt2"), ("causal_lm", "llama"), ("causal_lm", "qwen3")]  # fmt: skip


@pytest.mark.parametrize("method", ["full", "lora", "prompt"])
@pytest.mark.parametrize(("head", "model_type"), TOKENS)
def test_each_token_has_the_logits_that_its_text_has_alone(make: Any, head: str, model_type: str, method: str) -> None:
    choice: TinyModel = make.choice(model_type)
    backbone = build(choice, inspect(choice), head=head, num_outputs=3, label_names=make.names, problem_type=None, seed=0)
    tuned = tuning.build(make.tunings[method]).apply(backbone, seed=0)
    tuned.model.double().eval()
    texts = ["good", "a good film that is long", "the plot"]
    rows = make.rows(backbone.tokenizer, texts)
    inputs = make.task().collate(backbone.tokenizer, rows, None).inputs
    with torch.no_grad():
        together = tuned.forward(make.padded(inputs, backbone.tokenizer, left=2, right=3))
        for number, row in enumerate(rows):
            alone = tuned.forward(make.task().collate(backbone.tokenizer, [row], None).inputs)[0]
            length = len(row["input_ids"])
            torch.testing.assert_close(together[number, :length], alone[:length], rtol=0, atol=1e-9)
    assert together.shape[2] == (3 if head == "token_classification" else backbone.model.config.vocab_size)


def test_weights_without_a_head_for_words_are_refused(make: Any, tmp_path: Path) -> None:
    """A new head for words would have to learn the language; only a head for classes is drawn anew."""
    choice: TinyModel = make.choice("llama")
    whole = tiny_directory(choice, inspect(choice))
    shutil.copytree(whole, tmp_path / "without")
    tensors = load_file(whole / "model.safetensors")
    assert tensors.pop("lm_head.weight").shape == (tensors["model.embed_tokens.weight"].shape)
    save_file(tensors, tmp_path / "without" / "model.safetensors", metadata={"format": "pt"})
    source = dataclasses.replace(inspect(choice), directory=tmp_path / "without")
    with pytest.raises(ConfigError, match=r"missing: lm_head\.weight"):
        build(choice, source, head="causal_lm", num_outputs=3, label_names=None, problem_type=None, seed=0)
