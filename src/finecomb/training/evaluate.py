"""Evaluation: what the task keeps of every row, by its number, gathered over all ranks; then loss and metrics of all rows at once.

Nothing is averaged over batches, so no number depends on the batch size, on the order, or on how many processes took part. This is the
only implementation: the Module's validation and test steps, the final numbers of a run and `Predictor` all collect rows here. They
compute without autocast, in the precision of the weights, whatever the precision of training: in bf16 the batch size would decide which
epoch is best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet
import torch
from torch import Tensor

from finecomb.config import plugins
from finecomb.config.plugins import lower_is_better
from finecomb.config.schema.task import VARIANT_OF
from finecomb.core import atomic
from finecomb.learning.loss import LossFunction
from finecomb.learning.task import Batch, Columns, TaskRunner
from finecomb.learning.task.runner import chooses, writes_text
from finecomb.learning.tuning import Tuned
from finecomb.runs import plugin_metrics, sum_metrics
from finecomb.runs.metrics import OF_GROUP, OVER_GROUPS
from finecomb.runs.sum_metrics import PREFIX
from finecomb.training.collector import Keep, collect
from finecomb.training.examples import Taken
from finecomb.training.generating import Generated, Generation

if TYPE_CHECKING:  # Predictor evaluates without Lightning, whose import takes seconds
    from finecomb.training.datamodule import EvaluationLoader, Split

VERSION = "2"

Forward = Callable[[dict[str, Tensor]], Tensor]
"""Inputs of a batch to what the head gives."""


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on one split, in row order.

    Attributes:
        kept: [N, width] float64, what the task keeps of each row: the logits, where there is one output a text.
        losses: [N] float64, the mean over a row's items; the loss is sum(losses * weights) / sum(weights).
        weights: [N] float64.
        metrics: by name without the split; None where a metric is undefined.
        complete: whether these are all rows of the split; a limited validation has seen only some.
        generated: texts that the task wrote; None where it writes none, or did not write any this time.
    """

    kept: Tensor
    losses: Tensor
    weights: Tensor
    metrics: dict[str, float | None]
    complete: bool = True
    generated: Generated | None = None

    def named(self, split: str) -> dict[str, float | None]:
        """The metrics under the names users see: `validation/accuracy`."""
        return {f"{split}/{name}": value for name, value in self.metrics.items()}

    def table(self, task: TaskRunner, examples: Columns, rows: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """The task's columns of the file of predictions, with generated texts as predictions, for some rows or all.

        examples: of all rows.
        """
        taken = examples if rows is None else Taken(examples, rows)
        columns = task.table(self.kept if rows is None else self.kept[list(rows)], taken)
        if self.generated is None:
            return columns
        texts = self.generated.texts
        return {**columns, "prediction": texts if rows is None else [texts[row] for row in rows], **self.generated.sums_of(rows)}


def keep_by(forward: Forward, task: TaskRunner, loss: LossFunction | None = None) -> Keep:
    """What the task keeps of the rows of a batch, computed without gradient and without autocast. loss: None: only answers are wanted."""

    def keep(batch: Batch) -> Tensor:
        with torch.no_grad(), torch.autocast(batch.index.device.type, enabled=False):
            return task.reduce(forward(batch.inputs), batch, loss)

    return keep


def evaluate(
    tuned: Tuned,
    task: TaskRunner,
    loss: LossFunction,
    loader: EvaluationLoader,
    *,
    device: torch.device,
    generation: Generation | None = None,
    choose: bool = False,
) -> Evaluation:
    """Evaluate on a split; every rank computes its share and gets the whole result. The model is left in eval mode.

    choose: whether the split is validation; see `score`.
    """
    tuned.model.eval()
    keep, split = keep_by(tuned.forward, task, loss), loader.split
    kept = collect(keep, loader, rows=len(split), width=task.width(split.longest), device=device, world=loader.world)
    generated = generation.of(loader, device) if generation else None
    return score(task, loss, kept, split, generated=generated, choose=choose)


def score(
    task: TaskRunner,
    loss: LossFunction,
    kept: Tensor,
    split: Split,
    rows: Tensor | None = None,
    generated: Generated | None = None,
    *,
    choose: bool = False,
) -> Evaluation:
    """Loss and metrics of what was kept, over all examples and, where there is a group column, over each group.

    Args:
        task: makes the metrics.
        loss: gives each row's loss and weight.
        kept: [N, width], in float64.
        split: whose rows they are.
        rows: numbers [N] of the rows that it is of; None: all rows in order.
        generated: texts of all rows, where there are any.
        choose: whether the task may choose by these rows what it does not learn, as it may by validation alone.
    """
    examples: Columns = split.examples
    groups = split.groups or []
    if rows is not None and len(rows) < len(split):
        examples, groups = Taken(examples, rows.tolist()), [groups[row] for row in rows.tolist()] if groups else []
    if choose and chooses(task):
        task.choose(kept, examples)
    losses, weights = (values.double() for values in task.losses(kept, examples, loss))
    metrics = _metrics(task, kept, examples, losses, weights) | _of_texts(task, generated)
    rows_of: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows_of.setdefault(group, []).append(row)
    of_groups = {
        group: _metrics(task, kept[at], Taken(examples, at), losses[at], weights[at]) | _of_texts(task, generated, at)
        for group, at in sorted(rows_of.items())
    }
    metrics |= _over_groups(of_groups)
    metrics |= {f"{name}{OF_GROUP}{group}": value for group, values in of_groups.items() for name, value in values.items()}
    return Evaluation(kept, losses, weights, metrics, complete=len(kept) == len(split), generated=generated)


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


def _metrics(task: TaskRunner, kept: Tensor, examples: Columns, losses: Tensor, weights: Tensor) -> dict[str, float | None]:
    total = weights.sum()
    mean = float((losses * weights).sum() / total) if total > 0 else None
    return {"loss": mean, **task.metrics(kept, examples), **_of_plugins(task, kept, examples)}


def _of_texts(task: TaskRunner, generated: Generated | None, rows: Sequence[int] | None = None) -> dict[str, float | None]:
    """Metrics of generated texts of some rows, or all."""
    if generated is None or not writes_text(task):
        return {}
    return sum_metrics.values(generated.sums_of(rows), task.generation_metrics)


def _of_plugins(task: TaskRunner, logits: Tensor, examples: Columns) -> dict[str, float | None]:
    """The metrics that plug-ins add, from the decoded predictions, as tables compute them from the recorded ones."""
    kind = VARIANT_OF.get(task.problem_type or "", "")
    if not (names := plugins.metrics(kind)):
        return {}
    if not len(logits) or not bool(torch.isfinite(logits).all()):
        return dict.fromkeys(names)
    targets = task.targets(examples["label"])
    if kind == "regression":
        return plugin_metrics.values(kind, targets.double().numpy(), logits[:, 0].double().numpy())
    predictions = task.targets([item["index"] for item in task.decode(logits)])
    return plugin_metrics.values(kind, targets.long().numpy(), predictions.long().numpy())


def write_predictions(path: Path, evaluation: Evaluation, split: Split, task: TaskRunner) -> None:
    """Write predictions/<split>.parquet, in row order; complete or absent.

    Columns: id; those of the task (label, prediction, correct, probabilities or value, logits); loss.
    """
    columns = {"id": split.ids, **evaluation.table(task, split.examples), "loss": evaluation.losses.tolist()}
    if any(name.startswith(PREFIX) for name in columns):  # so that the loss too is a metric of sums
        sums = {"loss": (evaluation.losses * evaluation.weights).tolist(), "weight": evaluation.weights.tolist()}
        columns = {f"{PREFIX}{name}": values for name, values in sums.items()} | columns
    with atomic.file(path) as temporary:
        pa.parquet.write_table(pa.table(columns), temporary)
