"""Sequence to sequence: a source text becomes a target text, as in translation and summarization.

An encoder-decoder reads the source and writes the target. A decoder-only model is given a template in which the source stands before the
target; the loss is on the target alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task import encoding
from finecomb.learning.task.encoding import Batch
from finecomb.learning.task.next_tokens import BYTES, SCORED, UNSCORED, NextTokens
from finecomb.learning.task.runner import Columns, Items
from finecomb.learning.task.text_generation import TextGeneration

VERSION = "1"

LABELS = "labels"
"""Encoded column: tokens of the target, its end included."""
TRUNCATED, TRUNCATED_TARGET = "truncated", "truncated_target"


class _ToTarget(TextGeneration, NextTokens):
    """What both architectures share.

    Args:
        source_prefix: Text put before each source.
        max_target_length: Tokens at which a target is cut.
    """

    generation_metrics = ("bleu", "chrf", "rouge1", "rouge2", "rougeLsum", "length_ratio")

    def __init__(self, *, source_prefix: str, max_target_length: int) -> None:
        self.source_prefix, self.max_target_length = source_prefix, max_target_length

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Raise ConfigError for a tokenizer without a token that ends a text: generation would not know where to stop."""
        super().bind(tokenizer, config)
        self.tokenizer = tokenizer
        if tokenizer.eos_token_id is None:
            raise ConfigError(Problem("the tokenizer has no token that ends a text, so a target has no end", "model"))

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """`label` (the reference), `prediction` (empty until a text is generated), and the sums over tokens."""
        return {**super().table(kept, examples), "prediction": [None] * len(kept)}

    def _targets(self, columns: Columns) -> Sequence[str | None]:
        return list(columns["label"]) if "label" in columns else [None] * len(columns["text"])

    def _cut(self, tokenizer: Any, ids: list[int]) -> tuple[list[int], int]:
        """Tokens of a target with the end token last, cut before the end where they are too many; and how many were cut."""
        end = tokenizer.eos_token_id
        whole = ids if ids[-1:] == [end] else [*ids, end]
        if len(whole) <= self.max_target_length:
            return whole, 0
        return [*whole[: self.max_target_length - 1], end], len(whole) - self.max_target_length

    def _bytes(self, tokenizer: Any, text: str, kept: list[int], cut: int) -> int:
        """Bytes of text that the kept tokens of a target stand for."""
        return len((tokenizer.decode(kept, skip_special_tokens=True) if cut else text).encode())


class SequenceToSequence(_ToTarget):
    """An encoder-decoder. The decoder's input is the target, shifted by one place behind the token with which the model starts."""

    head = "seq2seq_lm"

    def __init__(self, *, source_prefix: str, max_target_length: int) -> None:
        super().__init__(source_prefix=source_prefix, max_target_length=max_target_length)
        self.encoding: tuple[str, ...] = (f"version {VERSION}", f"prefix {source_prefix!r}", f"target {max_target_length}")
        self._start = self._pad = 0

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Take the tokens by which the model shifts. Raises ConfigError where its config does not name them."""
        super().bind(tokenizer, config)
        start = config.decoder_start_token_id if config.decoder_start_token_id is not None else config.bos_token_id
        if start is None:
            raise ConfigError(
                Problem("the model's config names no token with which its decoder starts", "decoder_start_token_id in config.json")
            )
        self._start, self._pad = int(start), int(config.pad_token_id)

    def longest(self, max_length: int) -> int:
        """Source and target each have positions of their own."""
        return max(max_length, self.max_target_length)

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Tokens of the sources and, where there are labels, of the targets. Each is cut at its end; both cuts are counted."""
        sources = [self.source_prefix + text for text in columns["text"]]
        encoded = encoding.encode(tokenizer, sources, None, max_length)
        targets = self._targets(columns)
        if any(target is not None for target in targets):
            cut = [self._cut(tokenizer, tokenizer(text_target=target, truncation=False, verbose=False)["input_ids"]) for target in targets]
            encoded[LABELS] = [kept for kept, _ in cut]
            encoded[BYTES] = [[self._bytes(tokenizer, str(text), *each)] for text, each in zip(targets, cut, strict=True)]
            encoded[TRUNCATED_TARGET] = [count for _, count in cut]
        return encoded

    def collate(self, tokenizer: Any, features: Sequence[dict[str, Any]], labels: Sequence[Any] | None) -> Batch:
        """Rows as one batch. Targets are [B, T], UNSCORED behind the last; the decoder's inputs are padded likewise, on the right."""
        batch = encoding.collate(tokenizer, features, None)
        longest = max(len(row[LABELS]) for row in features)
        targets = torch.full((len(features), longest), UNSCORED, dtype=torch.int64)
        for position, row in enumerate(features):
            targets[position, : len(row[LABELS])] = torch.as_tensor(row[LABELS], dtype=torch.int64)
        written = torch.tensor([float(row[BYTES][0]) for row in features], dtype=torch.float64)
        return Batch({**batch.inputs, **self._decoder_inputs(targets)}, targets, batch.index, extra={BYTES: written})

    def _decoder_inputs(self, targets: Tensor) -> dict[str, Tensor]:
        """As `prepare_decoder_input_ids_from_labels` of the model gives it, for T5, BART and Marian."""
        shifted = torch.cat((torch.full_like(targets[:, :1], self._start), targets[:, :-1]), 1)
        return {
            "decoder_input_ids": shifted.masked_fill(shifted == UNSCORED, self._pad),
            "decoder_attention_mask": (targets != UNSCORED).long(),
        }

    def items(self, outputs: Tensor, batch: Batch) -> Items:
        """The tokens of the targets, each with its logits. outputs: [B, T, V]."""
        assert batch.targets is not None
        rows, columns = (batch.targets != UNSCORED).nonzero(as_tuple=True)
        return Items(outputs[rows, columns], batch.targets[rows, columns], rows)


SOURCE, TARGET = "{source}", "{target}"


class TemplatedSequenceToSequence(_ToTarget):
    """A decoder-only model and a template; what stands before `{target}` is the prompt.

    The prompt has at most batch.max_length tokens: a source is cut at its end, the text of the template around it never.

    Args:
        template: With `{source}` and, behind it, `{target}`.
    """

    def __init__(self, template: str, *, source_prefix: str, max_target_length: int) -> None:
        super().__init__(source_prefix=source_prefix, max_target_length=max_target_length)
        before, self._suffix = template.split(TARGET)
        self._before, self._between = before.split(SOURCE)
        self.encoding: tuple[str, ...] = (
            f"version {VERSION}", f"prefix {source_prefix!r}", f"template {template!r}", f"target {max_target_length}",
        )  # fmt: skip

    def longest(self, max_length: int) -> int:
        """Tokens of the longest prompt with its target."""
        return max_length + self.max_target_length

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Prompt and target are tokenized apart, as they are in generation: no token lies across the boundary."""
        encoded: dict[str, list[Any]] = {name: [] for name in ("input_ids", "attention_mask", SCORED, BYTES, TRUNCATED, TRUNCATED_TARGET)}
        for text, target in zip(columns["text"], self._targets(columns), strict=True):
            prompt, cut = self._prompt(tokenizer, text, max_length)
            kept: list[int] = []
            cut_target = 0
            if target is not None:
                tokens = tokenizer(target + self._suffix, truncation=False, add_special_tokens=False, verbose=False)["input_ids"]
                kept, cut_target = self._cut(tokenizer, tokens)
            encoded["input_ids"].append([*prompt, *kept])
            encoded["attention_mask"].append([1] * (len(prompt) + len(kept)))
            encoded[SCORED].append([0] * len(prompt) + [1] * len(kept))
            encoded[BYTES].append([self._bytes(tokenizer, target + self._suffix, kept, cut_target) if target is not None else 0])
            encoded[TRUNCATED].append(cut)
            encoded[TRUNCATED_TARGET].append(cut_target)
        return encoded

    def _prompt(self, tokenizer: Any, text: str, max_length: int) -> tuple[list[int], int]:
        """Tokens of the prompt, and how many were cut from its source."""
        head = self._before + self.source_prefix + text
        tokens = tokenizer(head + self._between, truncation=False, return_offsets_mapping=True, verbose=False)
        ids, spans = tokens["input_ids"], tokens["offset_mapping"]
        if ids[-1:] == [tokenizer.eos_token_id] and len(ids) > 1:  # some tokenizers end a text by themselves
            ids, spans = ids[:-1], spans[:-1]
        extra = len(ids) - max_length
        if extra <= 0:
            return ids or [tokenizer.eos_token_id], 0
        # Tokens that begin behind the source stay; special tokens without characters count as those before it.
        after = sum(start >= len(head) for start, end in spans if end > start)
        kept = max(max_length - after, 1)
        return [*ids[:kept], *ids[len(ids) - after :]][:max_length], extra

    def prompts(self, tokenizer: Any, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """The rows without their targets."""
        rows = [
            {name: row[name][: len(row[SCORED]) - int(sum(row[SCORED]))] for name in ("input_ids", "attention_mask")} for row in features
        ]
        return encoding.collate(tokenizer, rows, None).inputs

    def text(self, tokens: list[int]) -> str:
        """The text without what the template has behind the target."""
        return super().text(tokens).removesuffix(self._suffix.strip()).strip()
