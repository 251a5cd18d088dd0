"""What the tests of the learning wing share: tiny models, ways of tuning them, texts, and batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from finecomb.config.schema import task as task_schema
from finecomb.config.schema import tuning as schema
from finecomb.config.schema.model import TinyModel
from finecomb.learning import task, tuning
from finecomb.learning.model import Backbone, build, inspect
from finecomb.learning.task import Batch, TaskRunner
from finecomb.learning.tuning import Tuned

TEXTS = ["a good movie", "the worst film i have ever seen, and the acting was zzz too", "fun"]
NAMES = ["bad", "fair", "good"]
TUNINGS: dict[str, schema.Tuning] = {
    "full": schema.Full(name="full", frozen_mode="eval"),
    "head": schema.Head(name="head", frozen_mode="eval", pooler=False),
    "top_layers": schema.TopLayers(name="top_layers", frozen_mode="eval", k=1, embeddings=False, pooler=True),
    "bitfit": schema.BitFit(name="bitfit", frozen_mode="eval"),
    "lora": schema.Lora(name="lora", frozen_mode="eval", r=4, lora_alpha=8, lora_dropout=0.0, target_modules="auto", use_rslora=False),
    "prompt": schema.Prompt(name="prompt", frozen_mode="eval", num_virtual_tokens=5, prompt_tuning_init="SAMPLE_VOCAB"),
}


@pytest.fixture(autouse=True, scope="module")
def _alone(alone: None) -> None:
    """No network, the tests' own cache, one thread."""


class Make:
    """Builders with the defaults of most tests."""

    texts = TEXTS
    names = NAMES
    tunings = TUNINGS

    def choice(self, model_type: str, **fields: Any) -> TinyModel:
        values = {
            "name": "tiny", "name_or_path": None, "source": [], "sha256": None, "model_type": model_type, "hub_id": None,
            "note": "", "dropout": None, "attention": "auto", "gradient_checkpointing": False,
            "layers": 2, "hidden": 32, "heads": 2, "init_seed": 0, "architecture": model_type,
        }  # fmt: skip
        return TinyModel(**{**values, **fields})

    def task(self, **fields: Any) -> TaskRunner:
        values = {"name": "sequence_classification", "multi_label": False, "threshold": 0.5}
        kind = "classes" if fields.get("multi_label") else "class"
        return task.build(task_schema.SequenceClassification(**{**values, **fields}), label_kind=kind, label_names=NAMES)

    def backbone(self, model_type: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **fields: Any) -> Backbone:
        choice = self.choice(model_type, **fields)
        return build(
            choice, inspect(choice), num_outputs=3, label_names=NAMES, problem_type="single_label_classification", seed=seed, dtype=dtype
        )

    def tuned(self, model_type: str, config: str | schema.Tuning, *, seed: int = 0, **fields: Any) -> Tuned:
        chosen = TUNINGS[config] if isinstance(config, str) else config
        return tuning.build(chosen).apply(self.backbone(model_type, seed=seed, **fields), seed=seed)

    def rows(self, tokenizer: Any, texts: list[str] | None = None, pairs: list[str] | None = None) -> list[dict[str, Any]]:
        encoded = self.task().encode(tokenizer, {"text": texts or TEXTS} | ({"text_pair": pairs} if pairs else {}), 40)
        return [{name: column[index] for name, column in encoded.items()} for index in range(len(texts or TEXTS))]

    def batch(self, tokenizer: Any, texts: list[str] | None = None, labels: list[int] | None = None) -> Batch:
        rows = self.rows(tokenizer, texts)
        return self.task().collate(tokenizer, rows, labels if labels is not None else [index % 3 for index in range(len(rows))])

    def padded(self, inputs: dict[str, torch.Tensor], tokenizer: Any, *, left: int = 0, right: int = 0) -> dict[str, torch.Tensor]:
        """More padding columns on either side."""
        values = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0}
        return {name: torch.nn.functional.pad(tensor, (left, right), value=values[name]) for name, tensor in inputs.items()}


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
