"""Evaluation: logits of every example by its row number, in float64, over all ranks; then loss and metrics of all of them at once.

Nothing is averaged over batches, so no number depends on the batch size, on the order, or on how many processes took part. One function
serves validation during training and the final numbers. Both compute in the precision of the weights (fp32), whatever the precision of
training: in bf16 the batch size would decide which epoch is best.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import torch
from torch import Tensor

from finecomb.config import plugins
from finecomb.config.plugins import lower_is_better
from finecomb.config.schema.task import VARIANT_OF
from finecomb.learning.loss import LossFunction
from finecomb.learning.task import Batch, TaskRunner
from finecomb.learning.tuning import Tuned
from finecomb.runs import plugin_metrics
from finecomb.runs.atomic import replace, told_when_full
from finecomb.runs.metrics import OF_GROUP, OVER_GROUPS
from finecomb.training.datamodule import Split

VERSION = "2"


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on one split, in row order.

    logits: [N, K] float64. targets: as the task makes them. losses, weights: [N] float64; the loss is sum(losses * weights) / sum(weights).
    metrics: by name without the split; None where a metric is undefined.
    """

    logits: Tensor
    targets: Tensor
    losses: Tensor
    weights: Tensor
    metrics: dict[str, float | None]

    def named(self, split: str) -> dict[str, float | None]:
        """The metrics under the names users see: `validation/accuracy`."""
        return {f"{split}/{name}": value for name, value in self.metrics.items()}


def evaluate(
    tuned: Tuned,
    task: TaskRunner,
    loss: LossFunction,
    split: Split,
    *,
    size: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
) -> Evaluation:
    """Evaluate on a split; every rank computes its share and gets the whole result.

    size: examples in a batch. The model is left in eval mode.
    """
    tuned.model.eval()
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        logits = gathered_logits(tuned, split.batches(size, rank=rank, world=world), len(split), task.num_outputs, device, world).cpu()
    return score(task, loss, logits, split)


def gathered_logits(tuned: Tuned, batches: Iterable[Batch], rows: int, outputs: int, device: torch.device, world: int) -> Tensor:
    """Logits [N, K] in row order, from the batches of all ranks. Raises RuntimeError unless every row came exactly once."""
    kind = torch.float32 if device.type == "mps" else torch.float64
    logits = torch.zeros(rows, outputs, dtype=kind, device=device)
    seen = torch.zeros(rows, dtype=torch.int64, device=device)
    for batch in batches:
        batch, index = batch.to(device), batch.index.to(device)
        logits[index] = tuned.forward(batch.inputs).to(kind)
        seen[index] += 1
    if world > 1:
        # Each row is zero on all ranks but one: the sum is exact.
        torch.distributed.all_reduce(logits)
        torch.distributed.all_reduce(seen)
    if not bool((seen == 1).all()):
        raise RuntimeError(f"evaluation saw {int((seen == 0).sum())} of {rows} examples never and {int((seen > 1).sum())} more than once")
    return logits.double()


def score(task: TaskRunner, loss: LossFunction, logits: Tensor, split: Split) -> Evaluation:
    """Loss and metrics of given logits, over all examples and, where there is a group column, over each group."""
    targets = split.targets
    losses, weights = (values.double() for values in loss(logits, targets))
    metrics = _metrics(task, logits, targets, losses, weights)
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(split.groups or []):
        rows_of.setdefault(group, []).append(row)
    of_groups = {group: _metrics(task, logits[rows], targets[rows], losses[rows], weights[rows]) for group, rows in sorted(rows_of.items())}
    metrics |= _over_groups(of_groups)
    metrics |= {f"{name}{OF_GROUP}{group}": value for group, values in of_groups.items() for name, value in values.items()}
    return Evaluation(logits, targets, losses, weights, metrics)


def _over_groups(of_groups: dict[str, dict[str, float | None]]) -> dict[str, float | None]:
    """Worst and best value of each metric over the groups, and the gap between them; None where it is undefined for a group."""
    found: dict[str, float | None] = {}
    for name in next(iter(of_groups.values()), {}):
        values = [of_group[name] for of_group in of_groups.values()]
        known = [value for value in values if value is not None]
        low, high = (min(known), max(known)) if len(known) == len(values) else (None, None)
        worst, best = (high, low) if lower_is_better(name) else (low, high)
        gap = None if low is None or high is None else high - low
        found |= {f"{name}@group.{which}": value for which, value in zip(OVER_GROUPS, (worst, best, gap), strict=True)}
    return found


def _metrics(task: TaskRunner, logits: Tensor, targets: Tensor, losses: Tensor, weights: Tensor) -> dict[str, float | None]:
    total = weights.sum()
    mean = float((losses * weights).sum() / total) if total > 0 else None
    return {"loss": mean, **task.metrics(logits, targets), **_of_plugins(task, logits, targets)}


def _of_plugins(task: TaskRunner, logits: Tensor, targets: Tensor) -> dict[str, float | None]:
    """The metrics that plug-ins add, from the decoded predictions, as tables compute them from the recorded ones."""
    kind = VARIANT_OF.get(task.problem_type, "")
    if not (names := plugins.metrics(kind)):
        return {}
    if not len(logits) or not bool(torch.isfinite(logits).all()):
        return dict.fromkeys(names)
    if kind == "regression":
        return plugin_metrics.values(kind, targets.double().numpy(), logits[:, 0].double().numpy())
    predictions = task.targets([item["index"] for item in task.decode(logits)])
    return plugin_metrics.values(kind, targets.long().numpy(), predictions.long().numpy())


def write_predictions(path: Path, evaluation: Evaluation, split: Split, task: TaskRunner) -> None:
    """Write predictions/<split>.parquet, in row order; complete or absent.

    Columns: id, label, prediction, correct (where there are classes), probabilities or value, logits, loss.
    """
    decoded, label_names = task.decode(evaluation.logits), task.label_names
    columns: dict[str, Any] = {"id": split.ids, "label": [_name(label, label_names) for label in split.labels]}
    if label_names is None:
        columns["prediction"] = columns["value"] = [item["value"] for item in decoded]
    else:
        columns["prediction"] = [item["label"] for item in decoded]
        columns["correct"] = [_same(*pair) for pair in zip(columns["label"], columns["prediction"], strict=True)]
        columns["probabilities"] = [item["probabilities"] for item in decoded]
    columns["logits"], columns["loss"] = evaluation.logits.tolist(), evaluation.losses.tolist()
    with told_when_full(path):
        temporary = path.with_name(f".{path.name}.tmp")
        pa.parquet.write_table(pa.table(columns), temporary)
        replace(temporary, path)


def _name(label: Any, names: list[str] | None) -> Any:
    if names is None:
        return float(label)
    return [names[index] for index in label] if isinstance(label, list) else names[label]


def _same(label: Any, prediction: Any) -> bool:
    return set(label) == set(prediction) if isinstance(label, list) else label == prediction
