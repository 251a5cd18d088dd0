"""What tasks share that predict each token from those before it: targets in the text itself, and losses summed over tokens.

A token counts as one: the loss of a batch is the sum over its scored tokens divided by their number, over all micro-batches and ranks. The
first token of a text has nothing before it and is not scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from finecomb.learning.task import encoding
from finecomb.learning.task.encoding import Batch
from finecomb.learning.task.runner import Columns, Items, Loss
from finecomb.runs import sum_metrics

VERSION = "1"

UNSCORED = -100
SCORED, BYTES = "scored", "bytes"
"""Encoded columns: which tokens are scored (0 or 1, one for each token), and in one number the bytes of text that these stand for."""
_LOSS, _WEIGHT, _NLL, _TOKENS, _RIGHT, _BYTES = range(6)
METRICS = ("perplexity", "bits_per_byte", "token_accuracy")


class NextTokens:
    """A decoder-only model that predicts the tokens marked as scored.

    Evaluation keeps of each example: the sum of its tokens' losses and of their weights, the sum of -log p, how many tokens are scored, how
    many are the most probable ones, and the bytes of text that they stand for.
    """

    head = "causal_lm"
    problem_type: str | None = None
    label_names: list[str] | None = None
    num_outputs = 0

    def bind(self, tokenizer: Any, config: Any) -> None:
        """The outputs are the model's own vocabulary."""
        self.num_outputs = int(config.vocab_size)

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """Targets are in the text, not in labels."""
        raise TypeError("the targets of tokens are in the text")

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """Rows as one batch. Its targets are [B, L] in the order of the text: the id of each scored token, UNSCORED elsewhere."""
        batch = encoding.collate(tokenizer, features, None)
        length = max(len(row["input_ids"]) for row in features)
        targets = torch.full((len(features), length), UNSCORED, dtype=torch.int64)
        for position, row in enumerate(features):
            ids, scored = (torch.as_tensor(row[name], dtype=torch.int64) for name in ("input_ids", SCORED))
            targets[position, : len(ids)] = torch.where(scored > 0, ids, UNSCORED)
        targets[:, 0] = UNSCORED
        written = torch.tensor([float(row[BYTES][0]) for row in features], dtype=torch.float64)
        return Batch(batch.inputs, targets, batch.index, extra={BYTES: written})

    def item_targets(self, batch: Batch) -> Tensor:
        """The ids of the scored tokens of a batch [N]."""
        assert batch.targets is not None
        return batch.targets[batch.targets != UNSCORED]

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """The scored tokens, each with the logits at the token before it. outputs: [B, L, V]."""
        assert batch.targets is not None
        rows, columns = (batch.targets != UNSCORED).nonzero(as_tuple=True)
        return Items(outputs[rows, columns - 1], batch.targets[rows, columns], rows)

    def width(self, longest: int) -> int:
        """Six numbers, whatever the length."""
        return 6

    def reduce(self, outputs: Tensor, batch: Batch, loss: Loss | None) -> Tensor:
        """[B, 6]: see the class."""
        items = self.items(outputs, batch)
        kept = torch.zeros(len(batch), 6, dtype=torch.float64 if outputs.device.type != "mps" else torch.float32, device=outputs.device)

        def add(column: int, values: Tensor) -> None:
            kept[:, column].index_add_(0, items.rows, values.to(kept.dtype))

        if loss is not None and len(items.rows):
            values, weights = loss(items.logits, items.targets)
            add(_LOSS, values.to(kept.dtype) * weights.to(kept.dtype))
            add(_WEIGHT, weights)
        wide = items.logits.float() if items.logits.dtype in (torch.bfloat16, torch.float16) else items.logits
        add(_NLL, F.cross_entropy(wide, items.targets, reduction="none") if len(items.rows) else items.targets)
        add(_TOKENS, torch.ones_like(items.targets))
        add(_RIGHT, items.logits.argmax(-1) == items.targets)
        kept[:, _BYTES] = batch.extra[BYTES].to(kept.dtype)
        return kept

    def losses(self, kept: Tensor, examples: Columns, loss: Loss) -> tuple[Tensor, Tensor]:
        """Mean loss of each example's tokens, and the sum of their weights."""
        weights = kept[:, _WEIGHT]
        return torch.where(weights > 0, kept[:, _LOSS] / weights.clamp(min=1e-300), 0.0), weights

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """Perplexity, bits for each byte of text, and the share of tokens that are the most probable ones."""
        return sum_metrics.values(self.table(kept, examples), METRICS)

    def sums(self, kept: Tensor) -> dict[str, list[float]]:
        """Columns of the file of predictions that the metrics are computed from."""
        columns = {"nll": _NLL, "tokens": _TOKENS, "right": _RIGHT, "bytes": _BYTES}
        return {f"{sum_metrics.PREFIX}{name}": kept[:, column].tolist() for name, column in columns.items()}

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """`label` (the text to be predicted, where the data has one), `prediction` (empty: nothing is generated), and the sums."""
        texts = examples["label"] if "label" in examples else [""] * len(kept)
        return {"label": list(texts), "prediction": [""] * len(kept), **self.sums(kept)}

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """For each row how many `tokens` are scored, their `perplexity` (None without any) and the `log_probability` of all together."""
        return [
            {
                "tokens": int(row[_TOKENS]),
                "perplexity": math.exp(min(row[_NLL] / row[_TOKENS], 700.0)) if row[_TOKENS] else None,
                "log_probability": -row[_NLL],
            }
            for row in kept.tolist()
        ]

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """See `decode`."""
        return self.decode(kept)

    def compared(self, kept: Tensor) -> Tensor:
        """-log p for each token; which token is the most probable one may turn on rounding."""
        return kept[:, [_NLL]] / kept[:, [_TOKENS]].clamp(min=1)


def written_bytes(text: str, spans: Sequence[tuple[int, int]]) -> int:
    """Bytes of UTF-8 from the first of some spans of characters to the last; 0 without any."""
    real = [span for span in spans if span[1] > span[0]]
    return len(text[real[0][0] : real[-1][1]].encode()) if real else 0
