"""Language modeling: every token of a text from those before it."""

from __future__ import annotations

from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task.next_tokens import BYTES, SCORED, NextTokens, written_bytes
from finecomb.learning.task.runner import Columns

VERSION = "1"


class LanguageModeling(NextTokens):
    """Texts by themselves, each followed by the token that ends a text.

    Args:
        add_eos: Whether the end is a token to be predicted.
    """

    def __init__(self, *, add_eos: bool) -> None:
        self.add_eos = add_eos
        self.encoding: tuple[str, ...] = (f"version {VERSION}", f"add_eos {add_eos}")

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Raise ConfigError where the end of a text is to be predicted, and the tokenizer has no token for it."""
        super().bind(tokenizer, config)
        if self.add_eos and tokenizer.eos_token_id is None:
            raise ConfigError(Problem("the tokenizer has no token that ends a text", "task.add_eos", hint="set task.add_eos=false"))

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Every token but the first is scored. A text of more than max_length tokens is cut at its end, and ends without the end token."""
        end = [tokenizer.eos_token_id] if self.add_eos else []
        encoded: dict[str, list[Any]] = {name: [] for name in ("input_ids", "attention_mask", SCORED, BYTES, "truncated")}
        for text in columns["text"]:
            tokens = tokenizer(text, truncation=False, return_offsets_mapping=True, verbose=False)
            ids, spans = tokens["input_ids"], tokens["offset_mapping"]
            if end and ids[-1:] == end:  # some tokenizers end a text by themselves
                ids, spans = ids[:-1], spans[:-1]
            whole = [*ids, *end] or [_some_token(tokenizer)]
            kept = whole[:max_length]
            encoded["input_ids"].append(kept)
            encoded["attention_mask"].append([1] * len(kept))
            encoded[SCORED].append([0] + [1] * (len(kept) - 1))
            encoded[BYTES].append([written_bytes(text, spans[1 : len(kept)])])
            encoded["truncated"].append(len(whole) - len(kept))
        return encoded


def _some_token(tokenizer: Any) -> int:
    """A token for an empty text, so that every example has one."""
    candidates = (tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id)
    return int(next(token for token in candidates if token is not None))
