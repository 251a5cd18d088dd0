"""Tasks: what is predicted. A task encodes texts, makes targets and batches, scores and decodes; it knows no tuning method."""

from __future__ import annotations

from typing import Any

from finecomb.config.plugins import find_build
from finecomb.config.schema import task as schema
from finecomb.learning.task.chat import Chat
from finecomb.learning.task.code_generation import CodeGeneration
from finecomb.learning.task.encoding import Batch
from finecomb.learning.task.language_modeling import LanguageModeling
from finecomb.learning.task.question_answering import QuestionAnswering
from finecomb.learning.task.regression import Regression
from finecomb.learning.task.runner import Columns, TaskRunner, chooses, chosen_by
from finecomb.learning.task.seq2seq import SequenceToSequence, TemplatedSequenceToSequence
from finecomb.learning.task.sequence_classification import SequenceClassification
from finecomb.learning.task.similarity import Similarity
from finecomb.learning.task.token_classification import TokenClassification

__all__ = ["Batch", "Columns", "TaskRunner", "build", "chooses", "chosen_by"]


def build(config: schema.Task, *, label_kind: str, label_names: list[str] | None, max_target_length: int = 128) -> TaskRunner:
    """The task of `config` for data whose labels are of `label_kind`, with these names by index.

    max_target_length: tokens at which a text to be generated is truncated.
    """
    if own := find_build("task", config.name):
        return own(config, label_kind=label_kind, label_names=label_names)
    if label_kind != schema.FACTS[schema.variant(config)].kind:
        raise ValueError(f"task {schema.variant(config)} cannot use labels of kind {label_kind}")
    if isinstance(config, schema.LanguageModeling):
        return LanguageModeling(add_eos=config.add_eos)
    if isinstance(config, schema.TokenClassification):
        return TokenClassification(label_names or [], subwords=config.subwords)
    if isinstance(config, schema.Chat):
        return Chat(template=config.template)
    if isinstance(config, schema.Similarity):
        return Similarity(pooling=config.pooling, low=config.low, high=config.high)
    if isinstance(config, schema.CodeGeneration):
        return CodeGeneration()
    if isinstance(config, schema.SequenceToSequence):
        settings: dict[str, Any] = {"source_prefix": config.source_prefix, "max_target_length": max_target_length}
        if config.template is not None:
            return TemplatedSequenceToSequence(config.template.replace(r"\n", "\n"), **settings)
        return SequenceToSequence(**settings)
    if isinstance(config, schema.SequenceClassification):
        if label_names is None:
            raise ValueError("classification needs label names")
        return SequenceClassification(label_names, multi_label=config.multi_label, threshold=config.threshold)
    if isinstance(config, schema.QuestionAnswering):
        return QuestionAnswering(stride=config.stride, max_answer_length=config.max_answer_length, no_answer=config.no_answer)
    return Regression()
