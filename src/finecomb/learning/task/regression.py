"""One real value for each text or pair, in the units of the labels: nothing is scaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from finecomb.learning.task import metrics
from finecomb.learning.task.runner import Columns, TextInput

VERSION = "1"


class Regression(TextInput):
    """A single output; its value is the prediction."""

    num_outputs = 1
    problem_type: str | None = "regression"
    label_names: list[str] | None = None

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """[B] float32."""
        return torch.as_tensor([float(label) for label in labels], dtype=torch.float32)

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """See `metrics.regression`."""
        return metrics.regression(kept, self.targets(examples["label"]))

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """label, prediction, value (the same) and logits."""
        values = [item["value"] for item in self.decode(kept)]
        return {"label": [float(label) for label in examples["label"]], "prediction": values, "value": values, "logits": kept.tolist()}

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """`value` for each row."""
        return self.decode(kept)

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """`value` for each row."""
        return [{"value": value} for value in kept[:, 0].tolist()]
