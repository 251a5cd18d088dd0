"""Texts or pairs, each with exactly one of several labels (softmax), or with any number of them (multi_label: one sigmoid each)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from finecomb.learning.task import metrics
from finecomb.learning.task.runner import Columns, TextInput

VERSION = "1"


class SequenceClassification(TextInput):
    """Classification of whole texts. Two classes are scored with two outputs, as the architectures' own heads do."""

    def __init__(self, label_names: list[str], *, multi_label: bool, threshold: float) -> None:
        self.label_names: list[str] | None = list(label_names)
        self.names = list(label_names)
        self.num_outputs = len(label_names)
        self.multi_label = multi_label
        self.threshold = threshold
        self.problem_type: str | None = "multi_label_classification" if multi_label else "single_label_classification"

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """[B] class indices, or with multi_label [B, K] ones and zeros; soft labels are [B, K] probabilities."""
        if not self.multi_label and len(labels) and isinstance(labels[0], list):
            return torch.tensor(labels, dtype=torch.float32)
        if not self.multi_label:
            return torch.as_tensor(list(labels), dtype=torch.int64)
        targets = torch.zeros(len(labels), self.num_outputs)
        for row, classes in enumerate(labels):
            targets[row, torch.as_tensor(list(classes), dtype=torch.int64)] = 1.0
        return targets

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """See `metrics.classification` and `metrics.multi_label`."""
        targets = self.targets(examples["label"])
        if self.multi_label:
            return metrics.multi_label(kept, targets, threshold=self.threshold)
        return metrics.classification(kept, targets)

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """Label and prediction by name (lists with multi_label), correct, probabilities by class index, and logits."""
        answers = self.decode(kept)
        labels = examples["label"]
        named = [[self.names[index] for index in label] if isinstance(label, list) else self.names[label] for label in labels]
        predicted = [answer["label"] for answer in answers]
        return {
            "label": named,
            "prediction": predicted,
            "correct": [_same(*pair) for pair in zip(named, predicted, strict=True)],
            "probabilities": [answer["probabilities"] for answer in answers],
            "logits": kept.tolist(),
        }

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """`label` and `probabilities` by name for each row."""
        return [
            {"label": row["label"], "probabilities": dict(zip(self.names, row["probabilities"], strict=True))} for row in self.decode(kept)
        ]

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """For each row `label` (a name, or with multi_label a list of names), `index` likewise, and `probabilities` by class index.

        The probabilities are the softmax or sigmoid of the logits; only some losses make them estimates of a probability (mse does not).
        """
        if self.multi_label:
            probabilities = kept.double().sigmoid()
            chosen = [row.nonzero().flatten().tolist() for row in probabilities >= self.threshold]
            return [
                {"label": [self.names[index] for index in indices], "index": indices, "probabilities": row}
                for indices, row in zip(chosen, probabilities.tolist(), strict=True)
            ]
        probabilities = kept.double().softmax(-1)
        best = kept.argmax(-1).tolist()
        return [
            {"label": self.names[index], "index": index, "probabilities": row}
            for index, row in zip(best, probabilities.tolist(), strict=True)
        ]


def _same(label: Any, prediction: Any) -> bool:
    return set(label) == set(prediction) if isinstance(label, list) else label == prediction
