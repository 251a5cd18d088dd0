"""How similar two texts are: the cosine of their pooled features, in the units of the labels. No tensor is new.

The two texts of an example are two sequences of a batch; no example sees another, so that a loss of pairs does not depend on how a batch is
split (contrastive losses with in-batch negatives would).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from finecomb.learning.task import encoding, metrics
from finecomb.learning.task.encoding import Batch
from finecomb.learning.task.runner import Columns, Items, Loss

VERSION = "1"

LENGTHS = "lengths"
"""Encoded column: tokens of the first and of the second text, which stand one after the other."""


class Similarity:
    """Cosine similarity of sentence features (Reimers and Gurevych 2019, section 3).

    The target of a pair is (label - low) / (high - low), and its loss that of the cosine; predictions are low + cosine * (high - low).

    Args:
        pooling: "mean" of a text's tokens, "cls" (the first) or "last".
        low: Label of texts that have nothing in common.
        high: Label of texts that mean the same.
    """

    head = "features"
    num_outputs = 1
    problem_type: str | None = None
    label_names: list[str] | None = None

    def __init__(self, *, pooling: str, low: float, high: float) -> None:
        self.pooling, self.low, self.high = pooling, low, high
        self.encoding: tuple[str, ...] = (f"version {VERSION}",)

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Nothing is needed of them."""

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """[B] float32 labels, in their own units."""
        return torch.as_tensor([float(label) for label in labels], dtype=torch.float32)

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Both texts, each cut at max_length tokens."""
        both = [encoding.encode(tokenizer, list(columns[name]), None, max_length) for name in ("text", "text_pair")]
        names = [name for name in both[0] if name != "truncated"]
        encoded: dict[str, list[Any]] = {name: [[*a, *b] for a, b in zip(*(side[name] for side in both), strict=True)] for name in names}
        encoded[LENGTHS] = [[len(a), len(b)] for a, b in zip(*(side["input_ids"] for side in both), strict=True)]
        encoded["truncated"] = [a + b for a, b in zip(*(side["truncated"] for side in both), strict=True)]
        return encoded

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """Both texts of each example, one below the other [2 B, L]. Targets are [B]; extra: the tokens of each text [2 B]."""
        texts = []
        for row in features:
            first = int(row[LENGTHS][0])
            for part in (slice(0, first), slice(first, None)):
                texts.append({name: row[name][part] for name in tokenizer.model_input_names})
        batch = encoding.collate(tokenizer, texts, None)
        lengths = torch.from_numpy(np.concatenate([np.asarray(row[LENGTHS], dtype=np.int64) for row in features]))
        index = torch.tensor([int(row.get("index", position)) for position, row in enumerate(features)], dtype=torch.int64)
        return Batch(batch.inputs, None if labels is None else self.targets(labels), index, extra={LENGTHS: lengths})

    def item_targets(self, batch: Batch) -> Tensor:
        """The cosine that each pair should have [B]."""
        assert batch.targets is not None
        return (batch.targets - self.low) / (self.high - self.low)

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """One item a pair, whose output is the cosine. outputs: [2 B, L, d]."""
        rows = torch.arange(len(batch), device=outputs.device)
        return Items(self.cosine(outputs, batch)[:, None], self.item_targets(batch), rows)

    def cosine(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] cosine of the two texts' pooled features."""
        lengths = batch.extra[LENGTHS].to(outputs.device)
        wide = outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
        if self.pooling == "mean":
            real = (torch.arange(wide.shape[1], device=wide.device)[None] < lengths[:, None]).to(wide.dtype)
            pooled = (wide * real[..., None]).sum(1) / lengths[:, None].to(wide.dtype)
        else:
            column = torch.zeros_like(lengths) if self.pooling == "cls" else lengths - 1
            pooled = wide[torch.arange(len(lengths), device=wide.device), column]
        return F.cosine_similarity(pooled[0::2], pooled[1::2], dim=-1)

    def width(self, longest: int) -> int:
        """One number."""
        return 1

    def reduce(self, outputs: Tensor, batch: Batch, loss: Loss | None) -> Tensor:
        """[B, 1] prediction in the units of the labels."""
        return (self.low + self.cosine(outputs, batch) * (self.high - self.low))[:, None]

    def losses(self, kept: Tensor, examples: Columns, loss: Loss) -> tuple[Tensor, Tensor]:
        """From the predictions, in float64."""
        scale = self.high - self.low
        return loss((kept - self.low) / scale, (self.targets(examples["label"]).double() - self.low) / scale)

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """See `metrics.regression`."""
        return metrics.regression(kept, self.targets(examples["label"]))

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """label, prediction, and the cosine."""
        values = kept[:, 0].tolist()
        cosines = [(value - self.low) / (self.high - self.low) for value in values]
        return {"label": [float(label) for label in examples["label"]], "prediction": values, "cosine": cosines}

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """`value` for each row, in the units of the labels, and the `cosine`."""
        return [{"value": value, "cosine": (value - self.low) / (self.high - self.low)} for value in kept[:, 0].tolist()]

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """See `decode`."""
        return self.decode(kept)

    def compared(self, kept: Tensor) -> Tensor:
        """The predictions."""
        return kept
