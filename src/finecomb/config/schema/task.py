"""Tasks: what is predicted, and which losses, labels and metrics that allows."""

from __future__ import annotations

from dataclasses import dataclass

from finecomb.config.schema.base import option


@dataclass
class Task:
    """What every task has."""

    name: str = option("name of the choice")


@dataclass
class SequenceClassification(Task):
    """One class, or any number of labels, for each text or pair."""

    multi_label: bool = option("a text may have any number of labels (one sigmoid each) instead of exactly one")
    threshold: float = option("a label counts as predicted from this probability on (multi_label)", low=0.0, high=1.0)


@dataclass
class Regression(Task):
    """One real value for each text or pair."""


@dataclass(frozen=True)
class TaskFacts:
    """What a task needs and gives; read by validation and by the learning wing. The first of the losses is what loss=auto chooses."""

    label_kinds: tuple[str, ...]
    losses: tuple[str, ...]
    metrics: tuple[str, ...]
    monitor: str


_CLASSIFICATION_METRICS = (
    "loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro",
    "precision_weighted", "recall_weighted", "f1_weighted", "mcc", "auroc",
)  # fmt: skip

# Keyed by the task's variant (see `variant`). "_binary" metrics score class 1 alone, as GLUE does for MRPC.
FACTS = {
    "sequence_classification": TaskFacts(
        label_kinds=("class", "any"),
        losses=("cross_entropy", "mse", "focal"),
        metrics=(*_CLASSIFICATION_METRICS, "precision_binary", "recall_binary", "f1_binary"),
        monitor="accuracy",
    ),
    "sequence_classification multi_label": TaskFacts(
        label_kinds=("classes", "any"),
        losses=("cross_entropy", "focal"),
        metrics=tuple(metric for metric in _CLASSIFICATION_METRICS if metric != "mcc"),
        monitor="f1_macro",
    ),
    "regression": TaskFacts(
        label_kinds=("number", "any"),
        losses=("mse", "huber"),
        metrics=("loss", "pearson", "spearman", "rmse", "mae"),
        monitor="pearson",
    ),
}
# Metrics for which less is better; for all others more is.
LOWER_IS_BETTER = ("loss", "rmse", "mae")


# The variant of a task by its problem type, as transformers names it.
VARIANT_OF = {
    "single_label_classification": "sequence_classification",
    "multi_label_classification": "sequence_classification multi_label",
    "regression": "regression",
}


def variant(task: Task) -> str:
    """The key of FACTS for a task's config."""
    return f"{task.name} multi_label" if getattr(task, "multi_label", False) else task.name


CHOICES = {"sequence_classification": SequenceClassification, "regression": Regression}
