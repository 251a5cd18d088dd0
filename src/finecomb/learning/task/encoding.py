"""From texts to padded batches. What truncation cuts is counted for each example; padding is told by the attention mask alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

VERSION = "1"


@dataclass(frozen=True)
class Batch:
    """Examples on their way through the model.

    inputs: what the model takes, each [B, L]. targets: see TaskRunner.targets; None when there are no labels.
    index: [B] int64, the row of each example in its split.
    weights: [B], how much the loss of each example counts in training; None: all alike. Evaluation does not look at them.
    extra: what the task needs beside the model, each [B, ...], such as the word that each token is of.
    """

    inputs: dict[str, Tensor]
    targets: Tensor | None
    index: Tensor
    weights: Tensor | None = None
    extra: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The batch on another device."""
        move = {"device": device, "non_blocking": non_blocking}
        targets = None if self.targets is None else self.targets.to(**move)
        weights = None if self.weights is None else self.weights.to(**move)
        inputs, extra = ({name: value.to(**move) for name, value in tensors.items()} for tensors in (self.inputs, self.extra))
        return replace(self, inputs=inputs, targets=targets, weights=weights, extra=extra)

    def __len__(self) -> int:
        return len(self.index)


def encode(tokenizer: Any, text: list[str], text_pair: list[str] | None, max_length: int) -> dict[str, list[Any]]:
    """Token ids, attention mask and (where the architecture has them) token types of each text or pair, without padding.

    A text of more than max_length tokens, special ones included, is cut at its end; of a pair the longer text is cut first. `truncated`
    holds the number of tokens cut. A text of no tokens at all (an empty one, for a tokenizer that adds nothing) becomes one
    end-of-text token, so that every example has a token to read.
    """
    # No texts make no columns, whatever the tokenizer would make of them.
    encoded = tokenizer(text, text_pair, truncation=False, padding=False, verbose=False) if text else {}
    columns = {name: list(encoded.get(name, [])) for name in tokenizer.model_input_names}
    ids = columns["input_ids"]
    truncated = [0] * len(ids)
    long = [row for row, tokens in enumerate(ids) if len(tokens) > max_length]
    if long:
        pairs = None if text_pair is None else [text_pair[row] for row in long]
        cut = tokenizer([text[row] for row in long], pairs, truncation="longest_first", max_length=max_length, padding=False)
        for position, row in enumerate(long):
            truncated[row] = len(ids[row]) - len(cut["input_ids"][position])
            for name, column in columns.items():
                column[row] = cut[name][position]
    placeholder = {"input_ids": _end_of_text(tokenizer), "attention_mask": 1, "token_type_ids": 0}
    for row in (row for row, tokens in enumerate(ids) if not tokens):
        for name, column in columns.items():
            column[row] = [placeholder[name]]
    return {**columns, "truncated": truncated}


def _end_of_text(tokenizer: Any) -> int:
    candidates = (tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    return next(token for token in candidates if token is not None)


def collate(tokenizer: Any, features: Sequence[dict[str, Any]], targets: Tensor | None) -> Batch:
    """Rows of `encode` as tensors, padded to the longest row on the tokenizer's side.

    features: rows with the tokenizer's inputs; their `index` is kept, or counted from 0 where a row has none.
    """
    if not features:
        raise ValueError("a batch needs at least one example")
    padding = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0}
    length = max(len(row["input_ids"]) for row in features)
    inputs = {}
    for name in tokenizer.model_input_names:
        padded = torch.full((len(features), length), padding[name], dtype=torch.int64)
        for position, row in enumerate(features):
            tokens = torch.as_tensor(row[name], dtype=torch.int64)
            start = length - len(tokens) if tokenizer.padding_side == "left" else 0
            padded[position, start : start + len(tokens)] = tokens
        inputs[name] = padded
    index = torch.tensor([int(row.get("index", position)) for position, row in enumerate(features)], dtype=torch.int64)
    return Batch(inputs, targets, index)
