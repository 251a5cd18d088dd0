"""A tag for each token of a text: entities, parts of speech. The tokens of a text are separated by single spaces.

A token is read at its first sub-word. A token that truncation cuts off, or of which the tokenizer makes nothing, is counted; it has the
tag O in predictions (without a scheme: none), and counts as missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task import encoding, entities
from finecomb.learning.task.encoding import Batch
from finecomb.learning.task.entities import OUTSIDE
from finecomb.learning.task.next_tokens import UNSCORED
from finecomb.learning.task.runner import Columns, Items, Loss
from finecomb.runs import sum_metrics

VERSION = "1"

TOKEN, LOST = "token", "counted.lost_tokens"
"""Encoded columns: for each sub-word the number of its token from 1 on (0: none), and how many tokens of the text have no sub-word."""
_LOSS, _WEIGHT, _FIRST = 0, 1, 2
METRICS = ("token_accuracy", "entity_precision", "entity_recall", "entity_f1", "entity_f1_default")


class TokenClassification:
    """Tags of tokens.

    Evaluation keeps of each example the sum of its losses, the sum of their weights, and for each token the number of its tag from 1 on, 0
    where it has none.

    Args:
        label_names: The tags by index.
        subwords: Which sub-words of a token the loss judges: "first" or "all".
    """

    head = "token_classification"
    problem_type: str | None = None

    def __init__(self, label_names: list[str], *, subwords: str) -> None:
        self.label_names: list[str] | None = list(label_names)
        self.names = list(label_names)
        self.num_outputs = len(label_names)
        self.subwords = subwords
        self.encoding: tuple[str, ...] = (f"version {VERSION}",)
        self._scheme = entities.is_bio(label_names)
        self._missing = OUTSIDE if self._scheme else ""

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Raise ConfigError for a tokenizer that does not say which characters its tokens stand for."""
        if not tokenizer.is_fast:
            what = f"{type(tokenizer).__name__} does not say which characters its tokens stand for"
            raise ConfigError(Problem(what, "model", hint="choose a model with a fast tokenizer (tokenizer.json)"))

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """Targets are made with the batch, whose tokens they belong to."""
        raise TypeError("the targets of tokens depend on their sub-words")

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """The text as a whole, and the token that each sub-word is of."""
        encoded = encoding.encode(tokenizer, list(columns["text"]), None, max_length)
        encoded |= {TOKEN: [], LOST: []}
        for text, ids in zip(columns["text"], encoded["input_ids"], strict=True):
            spans = tokenizer(text, truncation=True, max_length=max_length, return_offsets_mapping=True, verbose=False)["offset_mapping"]
            numbers = _token_of_each(text, spans)[: len(ids)] + [0] * (len(ids) - len(spans))
            # Evaluation keeps as many numbers of a row as it has sub-words.
            numbers = [number if number <= len(ids) else 0 for number in numbers]
            encoded[TOKEN].append(numbers)
            encoded[LOST].append([len(text.split(" ")) - len(set(numbers) - {0})])
        return encoded

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """Rows as one batch. Targets are [B, L] in the order of the text: a tag for each sub-word that is judged, UNSCORED elsewhere."""
        batch = encoding.collate(tokenizer, features, None)
        length = max(len(row["input_ids"]) for row in features)
        first = torch.zeros(len(features), length, dtype=torch.int64)
        targets = torch.full((len(features), length), UNSCORED, dtype=torch.int64)
        for position, row in enumerate(features):
            token = np.asarray(row[TOKEN], dtype=np.int64)
            begins = (token > 0) & (np.diff(token, prepend=0) != 0)
            first[position, : len(token)] = torch.from_numpy(np.where(begins, token, 0))
            if labels is not None:
                judged = begins if self.subwords == "first" else token > 0
                tags = np.asarray([UNSCORED, *labels[position]], dtype=np.int64)
                targets[position, : len(token)] = torch.from_numpy(np.where(judged, tags[token], UNSCORED))
        return Batch(batch.inputs, None if labels is None else targets, batch.index, extra={TOKEN: first})

    def item_targets(self, batch: Batch) -> Tensor:
        """The tags of the sub-words that are judged [N]."""
        assert batch.targets is not None
        return batch.targets[batch.targets != UNSCORED]

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """The sub-words that are judged. outputs: [B, L, K]."""
        assert batch.targets is not None
        rows, columns = (batch.targets != UNSCORED).nonzero(as_tuple=True)
        return Items(outputs[rows, columns], batch.targets[rows, columns], rows)

    def width(self, longest: int) -> int:
        """Two sums, and a tag for each token; there are no more tokens than sub-words."""
        return _FIRST + longest

    def reduce(self, outputs: Tensor, batch: Batch, loss: Loss | None) -> Tensor:
        """See the class."""
        first = batch.extra[TOKEN]
        kind = torch.float64 if outputs.device.type != "mps" else torch.float32
        kept = torch.zeros(len(batch), self.width(first.shape[1]), dtype=kind, device=outputs.device)
        if loss is not None and batch.targets is not None:
            items = self.items(outputs, batch)
            if len(items.rows):
                values, weights = loss(items.logits, items.targets)
                kept[:, _LOSS].index_add_(0, items.rows, values.to(kind) * weights.to(kind))
                kept[:, _WEIGHT].index_add_(0, items.rows, weights.to(kind))
        rows, columns = first.nonzero(as_tuple=True)
        kept[rows, _FIRST - 1 + first[rows, columns]] = 1 + outputs[rows, columns].argmax(-1).to(kind)
        return kept

    def losses(self, kept: Tensor, examples: Columns, loss: Loss) -> tuple[Tensor, Tensor]:
        """Mean loss of each example's sub-words, and the sum of their weights."""
        weights = kept[:, _WEIGHT]
        return torch.where(weights > 0, kept[:, _LOSS] / weights.clamp(min=1e-300), 0.0), weights

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """Share of right tags; precision, recall and F1 of entities (without a scheme: of tags), and F1 of each type."""
        table = self.table(kept, examples)
        types = [name.partition("@")[2] for name in table if name.startswith(f"{sum_metrics.PREFIX}labeled@")]
        return sum_metrics.values(table, METRICS) | {
            f"entity_f1@type={name}": sum_metrics.values(_of_type(table, name), ["entity_f1"])["entity_f1"] for name in types
        }

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """Tags by name, whether all of a row are right, and the sums: tokens, right ones, and entities in all and of each type."""
        labels = [[self.names[index] for index in label] for label in examples["label"]]
        predictions = self._tags(kept, [len(label) for label in labels])
        pairs = list(zip(labels, predictions, strict=True))
        sums: dict[str, list[float]] = {
            "tokens": [float(len(label)) for label in labels],
            "right": [float(sum(map(str.__eq__, label, predicted))) for label, predicted in pairs],
            **self._entity_sums(pairs),
        }
        return {
            "label": labels,
            "prediction": predictions,
            "correct": [label == predicted for label, predicted in pairs],
            **{f"{sum_metrics.PREFIX}{name}": values for name, values in sums.items()},
        }

    def _entity_sums(self, pairs: Sequence[tuple[list[str], list[str]]]) -> dict[str, list[float]]:
        find = entities.strict if self._scheme else entities.single
        types = sorted({name[2:] for name in self.names if name != OUTSIDE}) if self._scheme else sorted(self.names)
        both = [(find(label), find(predicted)) for label, predicted in pairs]
        sums: dict[str, list[float]] = {}
        for of in (None, *types):
            end = "" if of is None else f"@{of}"
            chosen = [tuple({each for each in side if of in (None, each[0])} for side in sides) for sides in both]
            sums[f"labeled{end}"] = [float(len(label)) for label, _ in chosen]
            sums[f"predicted{end}"] = [float(len(predicted)) for _, predicted in chosen]
            sums[f"hit{end}"] = [float(len(label & predicted)) for label, predicted in chosen]
        usual = [tuple(map(entities.lenient, pair)) for pair in pairs] if self._scheme else both
        sums["default_labeled"] = [float(len(label)) for label, _ in usual]
        sums["default_predicted"] = [float(len(predicted)) for _, predicted in usual]
        sums["default_hit"] = [float(len(label & predicted)) for label, predicted in usual]
        return sums

    def _tags(self, kept: Tensor, lengths: Sequence[int]) -> list[list[str]]:
        """The predicted tags of the first tokens of each row."""
        names = [self._missing, *self.names]
        found = [[names[int(number)] for number in row] for row in kept[:, _FIRST:].tolist()]
        return [(row + [self._missing] * (length - len(row)))[:length] for row, length in zip(found, lengths, strict=True)]

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """`tags` by name for each row; without examples as many as evaluation keeps."""
        lengths = [kept.shape[1] - _FIRST] * len(kept) if examples is None else [len(text.split(" ")) for text in examples["text"]]
        return [{"tags": tags} for tags in self._tags(kept, lengths)]

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """For each text its `tokens` and `tags` and, with a scheme, its `entities`: type, text, and characters from `start` to `end`."""
        return [
            {"tokens": text.split(" "), "tags": row["tags"], **({"entities": _named(text, row["tags"])} if self._scheme else {})}
            for text, row in zip(examples["text"], self.decode(kept, examples), strict=True)
        ]

    def compared(self, kept: Tensor) -> Tensor:
        """Mean loss of each row; a tag may turn on rounding."""
        return kept[:, [_LOSS]] / kept[:, [_WEIGHT]].clamp(min=1e-300)


def _token_of_each(text: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """For each sub-word the number of the token that its first character (a space apart) is of, from 1 on; 0 for special ones."""
    number_at = 1 + np.cumsum([character == " " for character in text] or [False])
    numbers = []
    for start, end in spans:
        inside = next((at for at in range(start, end) if text[at] != " "), None)
        numbers.append(0 if inside is None else int(number_at[inside]))
    return numbers


def _of_type(table: dict[str, list[Any]], name: str) -> dict[str, list[float]]:
    return {f"{sum_metrics.PREFIX}{side}": table[f"{sum_metrics.PREFIX}{side}@{name}"] for side in ("hit", "predicted", "labeled")}


def _named(text: str, tags: Sequence[str]) -> list[dict[str, Any]]:
    tokens = text.split(" ")
    starts = np.cumsum([0, *(len(token) + 1 for token in tokens)]).tolist()
    return [
        {"type": name, "text": " ".join(tokens[first:last]), "start": starts[first], "end": starts[last] - 1}
        for name, first, last in sorted(entities.lenient(tags), key=lambda each: each[1])
    ]
