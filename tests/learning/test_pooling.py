"""Logits are the same whatever the padding: its side, its amount, the company, and whether its id stands in the text."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from finecomb.config.schema.model import CLASSIFIERS, FAMILIES
from finecomb.config.schema.tuning import REFUSED
from finecomb.learning.pooling import classify

CELLS = [
    (model_type, method)
    for model_type in CLASSIFIERS
    for method in ("full", "bitfit", "lora", "prompt")
    if (method, model_type) not in REFUSED
]


@pytest.mark.parametrize(("model_type", "method"), CELLS)
def test_padding_never_changes_a_logit(make: Any, model_type: str, method: str) -> None:
    tuned = make.tuned(model_type, method)
    tuned.model.double().eval()
    tokenizer = tuned.backbone.tokenizer
    with torch.no_grad():
        for parameter in tuned.trainable_state().values():  # LoRA's B is 0 at first
            parameter.add_(0.05)
        together = tuned.forward(make.batch(tokenizer).inputs)
        alone = torch.cat([tuned.forward(make.batch(tokenizer, [text]).inputs) for text in make.texts])
        more = make.padded(make.batch(tokenizer).inputs, tokenizer, left=3, right=7)
        padded = tuned.forward(more)
        tokenizer.padding_side = "left" if tokenizer.padding_side == "right" else "right"
        other_side = tuned.forward(make.batch(tokenizer).inputs)
    assert together.std() > 1e-3
    for logits in (alone, padded, other_side):
        torch.testing.assert_close(logits, together, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_a_text_without_padding_is_read_as_transformers_reads_it(make: Any, model_type: str) -> None:
    backbone = make.backbone(model_type)
    model = backbone.model.double()
    inputs = make.batch(backbone.tokenizer, ["the plot was dull"]).inputs
    torch.testing.assert_close(classify(model, inputs), model(**inputs).logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize("model_type", [name for name, family in FAMILIES.items() if family.causal])
def test_a_text_that_ends_with_the_padding_token_is_read_to_its_end(make: Any, model_type: str) -> None:
    backbone = make.backbone(model_type)
    model, tokenizer = backbone.model.double(), backbone.tokenizer
    ids = [*tokenizer("a good movie")["input_ids"], tokenizer.pad_token_id]
    rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)}, make.rows(tokenizer)[1]]
    logits = classify(model, make.task().collate(tokenizer, rows, None).inputs)[0]
    hidden_states = getattr(model, model.base_model_prefix)(input_ids=torch.tensor([ids])).last_hidden_state
    torch.testing.assert_close(logits, model.score(hidden_states[0, -1]), rtol=0, atol=1e-9)


def test_virtual_tokens_stand_right_before_the_text(make: Any) -> None:
    tuned = make.tuned("xlnet", "prompt")
    batch = make.batch(tuned.backbone.tokenizer)
    assert bool((batch.inputs["attention_mask"][0, :3] == 0).all())
    adapted = tuned.adapt(batch.inputs)
    prompt = tuned.model.prompt_encoder["default"].embedding.weight
    assert all(torch.equal(row[:5], prompt) for row in adapted["inputs_embeds"])
    assert adapted["attention_mask"].sum(1).tolist() == (batch.inputs["attention_mask"].sum(1) + 5).tolist()
