"""Tasks: what is predicted, and which losses, labels and metrics that allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Optional

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


@dataclass
class LanguageModeling(Task):
    """Every token of a text from those before it."""

    add_eos: bool = option("the end of a text is a token to be predicted too")


@dataclass
class TokenClassification(Task):
    """A tag for each token: entities, parts of speech."""

    subwords: str = option("which sub-words of a token the loss judges; a token is always read at its first", allowed=("first", "all"))


@dataclass
class CodeGeneration(Task):
    """The completion of a prompt; the loss is on the completion alone."""


@dataclass
class QuestionAnswering(Task):
    """The part of a context that answers a question."""

    stride: int = option("tokens of the context that neighboring windows share", low=0)
    max_answer_length: int = option("tokens of the longest answer that is given", low=1)
    no_answer: bool = option("a question may have no answer; from which score on it has none is chosen on validation")


@dataclass
class SequenceToSequence(Task):
    """From a source text to a target text: translation, summarization."""

    source_prefix: str = option("text put before each source, such as 'translate English to German: '")
    template: Optional[str] = option(
        "for decoder-only models: text with {source} and, behind it, {target}, in which \\n is a line end; null: an encoder-decoder"
    )


@dataclass
class Chat(Task):
    """Conversations; the loss is on the assistant's turns alone."""

    template: str = option("chat template: auto: the tokenizer's own; plain: a line for each message", allowed=("auto", "plain"))


@dataclass
class Similarity(Task):
    """The cosine of the pooled features of two texts."""

    pooling: str = option("features of a text: mean of its tokens, the first token, or the last", allowed=("mean", "cls", "last"))
    low: float = option("label of texts that have nothing in common (cosine 0)")
    high: float = option("label of texts that mean the same (cosine 1)")


@dataclass(frozen=True)
class TaskFacts:
    """What a task needs and gives; read by validation and by the wings.

    Attributes:
        kind: Of label that its rows are read with, one of `schema.dataset.LABEL_KINDS`.
        label_kinds: Of the datasets that it can use.
        losses: That it can use; loss=auto is the first.
        metrics: By name, without the split.
        monitor: The metric by which a checkpoint is best.
        head: Of the model, a key of `learning.heads.HEADS`.
        architectures: That have the head: encoder, decoder, encoder_decoder.
        shown: The metrics that a table shows unless others are requested; the first decides the order of its rows.
        answers: What metrics are computed from: "classes" or "numbers" (labels and predictions), or "sums" over rows (`runs.sum_metrics`).
        generated: Those of its metrics that judge generated texts; there are none in a validation without generation.
        own_metrics: Of a plug-in's task, each a `runs.sum_metrics.SumMetric`, by name.
    """

    kind: str
    label_kinds: tuple[str, ...]
    losses: tuple[str, ...]
    metrics: tuple[str, ...]
    monitor: str
    head: str = "sequence_classification"
    architectures: tuple[str, ...] = ("encoder", "decoder")
    shown: tuple[str, ...] = ()
    answers: str = "classes"
    generated: tuple[str, ...] = ()
    own_metrics: Mapping[str, Any] = field(default_factory=dict)


_CLASSIFICATION_METRICS = (
    "loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro",
    "precision_weighted", "recall_weighted", "f1_weighted", "mcc", "auroc",
)  # fmt: skip

# BLEU and chrF as sacreBLEU has them, 0 to 100; ROUGE as rouge-score has it, 0 to 1.
_OF_TEXTS = ("bleu", "chrf", "rouge1", "rouge2", "rougeLsum", "length_ratio")

# Keyed by the task's variant (see `variant`). "_binary" metrics score class 1 alone, as GLUE does for MRPC.
FACTS = {
    "sequence_classification": TaskFacts(
        kind="class",
        label_kinds=("class", "any"),
        losses=("cross_entropy", "mse", "focal"),
        metrics=(*_CLASSIFICATION_METRICS, "precision_binary", "recall_binary", "f1_binary"),
        monitor="accuracy",
        shown=("accuracy", "f1_macro"),
    ),
    "sequence_classification multi_label": TaskFacts(
        kind="classes",
        label_kinds=("classes", "any"),
        losses=("cross_entropy", "focal"),
        metrics=tuple(metric for metric in _CLASSIFICATION_METRICS if metric != "mcc"),
        monitor="f1_macro",
        shown=("f1_macro", "f1_micro"),
    ),
    "token_classification": TaskFacts(
        kind="tags",
        label_kinds=("tags", "any"),
        losses=("cross_entropy", "focal"),
        metrics=("loss", "token_accuracy", "entity_precision", "entity_recall", "entity_f1", "entity_f1_default"),
        monitor="entity_f1",
        head="token_classification",
        shown=("entity_f1", "token_accuracy"),
        answers="sums",
    ),
    "language_modeling": TaskFacts(
        kind="none",
        label_kinds=("none", "any"),
        losses=("cross_entropy", "focal"),
        metrics=("loss", "perplexity", "bits_per_byte", "token_accuracy"),
        monitor="loss",
        head="causal_lm",
        architectures=("decoder",),
        shown=("perplexity", "bits_per_byte"),
        answers="sums",
    ),
    "code_generation": TaskFacts(
        kind="completion",
        label_kinds=("completion", "any"),
        losses=("cross_entropy", "focal"),
        metrics=("loss", "perplexity", "bits_per_byte", "token_accuracy"),
        monitor="loss",
        head="causal_lm",
        architectures=("decoder",),
        shown=("perplexity", "token_accuracy"),
        answers="sums",
    ),
    "chat": TaskFacts(
        kind="messages",
        label_kinds=("messages", "any"),
        losses=("cross_entropy", "focal"),
        metrics=("loss", "perplexity", "bits_per_byte", "token_accuracy", "rougeL", "bleu", "exact_match"),
        monitor="loss",
        head="causal_lm",
        architectures=("decoder",),
        shown=("perplexity", "token_accuracy"),
        answers="sums",
        generated=("rougeL", "bleu", "exact_match"),
    ),
    "question_answering": TaskFacts(
        kind="answers",
        label_kinds=("answers", "any"),
        losses=("cross_entropy", "focal"),
        metrics=("loss", "exact_match", "f1", "has_answer_exact_match", "has_answer_f1", "no_answer_accuracy"),
        monitor="f1",
        head="question_answering",
        architectures=("encoder",),
        shown=("f1", "exact_match"),
        answers="sums",
    ),
    "similarity": TaskFacts(
        kind="number",
        label_kinds=("number", "any"),
        losses=("mse", "huber"),
        metrics=("loss", "pearson", "spearman", "rmse", "mae"),
        monitor="spearman",
        head="features",
        shown=("spearman", "pearson"),
        answers="numbers",
    ),
    "regression": TaskFacts(
        kind="number",
        label_kinds=("number", "any"),
        losses=("mse", "huber"),
        metrics=("loss", "pearson", "spearman", "rmse", "mae"),
        monitor="pearson",
        shown=("pearson", "spearman"),
        answers="numbers",
    ),
}
_TO_TARGET = TaskFacts(
    kind="target",
    label_kinds=("target", "any"),
    losses=("cross_entropy", "focal"),
    metrics=("loss", "perplexity", "bits_per_byte", "token_accuracy", *_OF_TEXTS),
    monitor="loss",
    head="seq2seq_lm",
    architectures=("encoder_decoder",),
    shown=("bleu", "rougeLsum"),
    answers="sums",
    generated=_OF_TEXTS,
)
FACTS["seq2seq"] = _TO_TARGET
FACTS["seq2seq template"] = replace(_TO_TARGET, head="causal_lm", architectures=("decoder",))
# The task of a dataset whose labels are of a kind, for task=auto; of all others it is sequence_classification.
TASK_OF_KIND = {
    "number": "regression",
    "completion": "code_generation",
    "tags": "token_classification",
    "messages": "chat",
    "target": "seq2seq",
    "answers": "question_answering",
}
# Metrics for which less is better; for all others more is.
LOWER_IS_BETTER = ("loss", "rmse", "mae", "perplexity", "bits_per_byte")


# The variant of a task by its problem type, as transformers names it.
VARIANT_OF = {
    "single_label_classification": "sequence_classification",
    "multi_label_classification": "sequence_classification multi_label",
    "regression": "regression",
}


# Settings that make a variant of a task, and how a message writes them.
FLAGS = {"multi_label": "task.multi_label=true", "template": "\"task.template='{source}\\n{target}'\""}


def variant(task: Task) -> str:
    """The key of FACTS for a task's config."""
    return variant_of(vars(task))


def variant_of(settings: Mapping[str, Any]) -> str:
    """The key of FACTS for a task's settings."""
    name = str(settings["name"])
    return next((f"{name} {flag}" for flag in FLAGS if settings.get(flag) and f"{name} {flag}" in FACTS), name)


CHOICES = {
    "sequence_classification": SequenceClassification,
    "regression": Regression,
    "token_classification": TokenClassification,
    "language_modeling": LanguageModeling,
    "code_generation": CodeGeneration,
    "chat": Chat,
    "similarity": Similarity,
    "seq2seq": SequenceToSequence,
    "question_answering": QuestionAnswering,
}
