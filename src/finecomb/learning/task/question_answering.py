"""Extractive question answering: the part of a context that answers a question, or that there is none.

A question with its context becomes one or more windows of at most max_length tokens: the question, and as much of the context as there is
room for; neighboring windows share `stride` tokens of the context. One example is all its windows, and stays one example of the batch.

Loss: the mean over windows, each with the cross-entropy of the first and of the last token of the answer. Only tokens of the context and
the token that stands for the whole text (CLS) take part; where a window does not hold all of the answer, CLS is the target. A window counts
as one, in every batch, so an example weighs as many as it has windows.

Answers: the score of a span is log p(first token) + log p(last token) within its window; the best valid span of all windows is the answer,
found exactly. The score of no answer is the same at CLS, in the window where that is least (Devlin et al. 2019, section 4.3, with
probabilities in place of logits: only within a window are logits comparable).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task import answer_windows, encoding
from finecomb.learning.task.answer_windows import CLS, LENGTHS, SPANS, TARGETS
from finecomb.learning.task.encoding import Batch
from finecomb.learning.task.no_answer import best_threshold
from finecomb.learning.task.runner import Columns, Items, Loss
from finecomb.runs import squad, sum_metrics

VERSION = "1"

EXAMPLE = "example"
METRICS = ("exact_match", "f1", "has_answer_exact_match", "has_answer_f1", "no_answer_accuracy")
THRESHOLD = "no_answer_threshold"
_LOSS, _WEIGHT, _SCORE, _NULL, _START, _END = range(6)
# Of an example whose context has no token. Finite, so that differences of scores are numbers.
_NO_SPAN = -1e9


class QuestionAnswering:
    """Spans of a context.

    Evaluation keeps of each example the sum of its windows' losses and of their weights, the score of its best span and that of no answer,
    and the characters of the context at which the span begins and ends.

    Args:
        stride: Tokens of the context that neighboring windows share.
        max_answer_length: Tokens of the longest answer that is given.
        no_answer: Whether a question may have no answer.

    Attributes:
        chosen: The threshold of no answer, which `choose` sets: how much more probable than the best span, as a difference of
            logarithms, no answer must be to be given.
    """

    head = "question_answering"
    num_outputs = 2
    problem_type: str | None = None
    label_names: list[str] | None = None

    def __init__(self, *, stride: int, max_answer_length: int, no_answer: bool) -> None:
        self.stride, self.max_answer_length, self.no_answer = stride, max_answer_length, no_answer
        self.chosen: dict[str, float] = {THRESHOLD: 0.0} if no_answer else {}
        self.encoding: tuple[str, ...] = (
            *(f"{module} {version}" for module, version in (("task", VERSION), ("windows", answer_windows.VERSION))),
            f"stride {stride} max_answer_length {max_answer_length}",
        )

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Raise ConfigError for a tokenizer that does not say which characters its tokens stand for, or has no token for no answer."""
        if not tokenizer.is_fast:
            what = "the tokenizer does not report which characters its tokens stand for"
            raise ConfigError(Problem(what, "model", hint="use weights with a tokenizer.json beside them"))
        if tokenizer.cls_token_id is None:
            what = "the tokenizer has no token that stands for the whole text (CLS)"
            raise ConfigError(Problem(what, "model", "encoders such as BERT, RoBERTa, DeBERTa, ELECTRA, ModernBERT"))

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Tokens of all windows of each example one after another, and where each window's answer is; see `answer_windows`.

        columns: text (questions), text_pair (contexts), and label (answers) but where a finished run predicts.
        """
        answers = [json.loads(label) for label in columns["label"]] if "label" in columns else None
        return answer_windows.encode(
            tokenizer, columns["text"], columns["text_pair"], answers, max_length, stride=self.stride, longest=self.max_answer_length
        )

    def targets(self, labels: Sequence[Any]) -> Tensor:
        """Targets are of windows, not of examples."""
        raise TypeError("the targets of questions are made with their windows")

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """The windows of all examples as sequences [S, L].

        Targets are [S, 2], the columns of an answer's first and last token in the order of the text. extra: the example [S] that each
        window is of, the characters [S, L, 2] of each token (-1 outside the context), and the column [S] of CLS.
        """
        windows = [window for row in features for window in answer_windows.split(row, tokenizer.model_input_names)]
        batch = encoding.collate(tokenizer, windows, None)
        count, length = batch.inputs["input_ids"].shape
        spans = torch.full((count, length, 2), -1, dtype=torch.int64)
        for position, window in enumerate(windows):
            spans[position, : len(window["input_ids"])] = window[SPANS]
        numbers = torch.tensor([len(row[LENGTHS]) for row in features])
        extra = {EXAMPLE: torch.arange(len(features)).repeat_interleave(numbers), SPANS: spans, CLS: _all(features, CLS)}
        targets = _all(features, TARGETS).view(-1, 2) if TARGETS in features[0] else None
        index = torch.tensor([int(row.get("index", position)) for position, row in enumerate(features)], dtype=torch.int64)
        return Batch(batch.inputs, targets, index, extra=extra)

    def item_targets(self, batch: Batch) -> Tensor:
        """The targets [2 S] of the first and the last token of each window."""
        assert batch.targets is not None
        return batch.targets.flatten()

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """Two items a window, its first and its last token. outputs: [S, L, 2]."""
        logits = _masked(outputs, batch)
        return Items(logits.flatten(0, 1), self.item_targets(batch), batch.extra[EXAMPLE].repeat_interleave(2))

    def width(self, longest: int) -> int:
        """Six numbers, whatever the length."""
        return 6

    def reduce(self, outputs: Tensor, batch: Batch, loss: Loss | None) -> Tensor:
        """[B, 6]: see the class."""
        dtype = torch.float64 if outputs.device.type != "mps" else torch.float32
        kept = torch.zeros(len(batch), 6, dtype=dtype, device=outputs.device)
        if loss is not None:
            items = self.items(outputs, batch)
            values, weights = (each.to(dtype) for each in loss(items.logits, items.targets))
            kept[:, _LOSS].index_add_(0, items.rows, values * weights)
            kept[:, _WEIGHT].index_add_(0, items.rows, weights)
        log_p = _masked(outputs, batch).to(torch.promote_types(outputs.dtype, torch.float32)).log_softmax(-1)
        kept[:, _SCORE:] = self._best(log_p.to(dtype), batch)
        return kept

    def _best(self, log_p: Tensor, batch: Batch) -> Tensor:
        """[B, 4]: score of the best span, score of no answer, and the span's first and last character. log_p: [S, 2, L]."""
        spans, example = batch.extra[SPANS], batch.extra[EXAMPLE]
        windows = torch.arange(len(log_p), device=log_p.device)
        null = log_p[windows, :, batch.extra[CLS]].sum(-1)
        # A token without characters begins and ends no answer.
        first, last = log_p.masked_fill((spans[..., 1] <= spans[..., 0])[:, None], -math.inf).unbind(1)
        band = F.pad(last, (0, self.max_answer_length - 1), value=-math.inf).unfold(1, self.max_answer_length, 1)
        score, place = (first[..., None] + band).flatten(1).max(-1)
        start = place // self.max_answer_length
        end = (start + place % self.max_answer_length).clamp(max=log_p.shape[-1] - 1)
        characters = torch.stack([spans[windows, start, 0], spans[windows, end, 1]], -1)
        return _of_examples(score, null, characters, example, len(batch))

    def losses(self, kept: Tensor, examples: Columns, loss: Loss) -> tuple[Tensor, Tensor]:
        """Mean loss of each example's windows, and twice their number."""
        weights = kept[:, _WEIGHT]
        return torch.where(weights > 0, kept[:, _LOSS] / weights.clamp(min=1e-300), 0.0), weights

    def choose(self, kept: Tensor, examples: Columns) -> None:
        """Choose the threshold of no answer that gives these rows the greatest F1."""
        if not self.no_answer:
            return
        references = [json.loads(label)["text"] for label in examples["label"]]
        answers = _texts(kept[:, [_START, _END]].long().tolist(), examples)
        scores = [squad.scores(*pair, no_answer=True)[1] for pair in zip(answers, references, strict=True)]
        unanswered = [float(squad.expected(texts) == [""]) for texts in references]
        self.chosen = {THRESHOLD: best_threshold((kept[:, _NULL] - kept[:, _SCORE]).tolist(), scores, unanswered)}

    def metrics(self, kept: Tensor, examples: Columns) -> dict[str, float | None]:
        """Exact match and F1 of all examples, of those that have an answer, and the share of the others that get none."""
        return sum_metrics.values(self.table(kept, examples), METRICS)

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """`label` (every reference) and `prediction`, whether they agree, where the answer is in the context, scores, and the sums."""
        decoded = self.decode(kept, examples)
        references = [json.loads(label)["text"] for label in examples["label"]]
        predictions = [answer["answer"] for answer in decoded]
        rows = [squad.sums(*pair, no_answer=self.no_answer) for pair in zip(predictions, references, strict=True)]
        return {
            "label": references,
            "prediction": predictions,
            "correct": [row["exact_match"] == 1 for row in rows],
            **{name: [answer[name] for answer in decoded] for name in ("start", "end", "score", "no_answer_score")},
            **{f"{sum_metrics.PREFIX}{name}": [row[name] for row in rows] for name in squad.SUMS},
        }

    def decode(self, kept: Tensor, examples: Columns | None = None) -> list[dict[str, Any]]:
        """For each row `answer` (context[start:end]; left out without `examples`), `start`, `end`, `score` and `no_answer_score`.

        Both scores are logarithms of probabilities. Where no answer is given, the answer is empty, and start and end are 0.
        """
        scores, spans = kept[:, [_SCORE, _NULL]].tolist(), self._given(kept)
        texts = [{}] * len(kept) if examples is None else [{"answer": text} for text in _texts(spans, examples)]
        return [
            text | {"start": start, "end": end, "score": score, "no_answer_score": null}
            for text, (start, end), (score, null) in zip(texts, spans, scores, strict=True)
        ]

    def answers(self, kept: Tensor, examples: Columns) -> list[dict[str, Any]]:
        """`answer`, the characters of the context at which it begins and ends, and its probability as `score`."""
        decoded = self.decode(kept, examples)
        return [
            {name: row[name] for name in ("answer", "start", "end")}
            | {"score": math.exp(row["score"] if row["answer"] or not self.no_answer else row["no_answer_score"])}
            for row in decoded
        ]

    def _given(self, kept: Tensor) -> list[tuple[int, int]]:
        """First and last character of each answer that is given; (0, 0) for none."""
        none = kept[:, _NULL] - kept[:, _SCORE] > self.chosen.get(THRESHOLD, math.inf)
        return [(start, end) for start, end in kept[:, [_START, _END]].masked_fill(none[:, None], 0).long().tolist()]

    def compared(self, kept: Tensor) -> Tensor:
        """The two scores; which span is best may turn on rounding."""
        return kept[:, [_SCORE, _NULL]]


def _texts(spans: Sequence[Sequence[int]], examples: Columns) -> list[str]:
    """Parts of the contexts."""
    return [context[start:end] for context, (start, end) in zip(examples["text_pair"], spans, strict=True)]


def _masked(outputs: Tensor, batch: Batch) -> Tensor:
    """Logits [S, 2, L] of first and last tokens; minus infinity where a token is neither of the context nor CLS."""
    allowed = batch.extra[SPANS][..., 0] >= 0
    allowed = allowed.scatter(1, batch.extra[CLS][:, None], torch.ones_like(allowed[:, :1]))
    return outputs.transpose(1, 2).masked_fill(~allowed[:, None], -math.inf)


def _of_examples(score: Tensor, null: Tensor, characters: Tensor, example: Tensor, count: int) -> Tensor:
    """[B, 4] of each example: the best of its windows' spans with its characters, and the least of their scores of no answer."""
    numbers = torch.bincount(example, minlength=count)
    first = numbers.cumsum(0) - numbers
    place = torch.arange(len(example), device=example.device) - first[example]
    scores = score.new_full((count, int(numbers.max())), -math.inf)
    scores[example, place] = score
    nulls = torch.full_like(scores, math.inf)
    nulls[example, place] = null
    best, window = scores.max(1)
    chosen = characters[first + window].to(score.dtype).masked_fill(best.isinf()[:, None], 0)
    return torch.cat([torch.stack([best.clamp(min=_NO_SPAN), nulls.amin(1)], 1), chosen], 1)


def _all(features: Sequence[dict[str, Any]], name: str) -> Tensor:
    """A column of all windows of all examples."""
    return torch.cat([torch.as_tensor(row[name], dtype=torch.int64) for row in features])
