"""Code generation: the completion of a prompt (a signature and its docstring), by the machinery of language modeling."""

from __future__ import annotations

from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task.next_tokens import BYTES, SCORED, NextTokens
from finecomb.learning.task.runner import Columns

VERSION = "1"


class CodeGeneration(NextTokens):
    """A prompt and its completion, followed by the token that ends a text; only the completion and the end are scored.

    Prompt and completion are tokenized apart, as they are when a model is given the prompt alone: no token lies across the boundary.
    """

    encoding: tuple[str, ...] = (f"version {VERSION}",)

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Raise ConfigError for a tokenizer without a token that ends a text: generation would not know where to stop."""
        super().bind(tokenizer, config)
        if tokenizer.eos_token_id is None:
            raise ConfigError(Problem("the tokenizer has no token that ends a text, so a completion has no end", "model"))

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """What is too long loses the beginning of its prompt; a completion that is too long by itself also its end.

        At least one token of the prompt stays.
        """
        encoded: dict[str, list[Any]] = {name: [] for name in ("input_ids", "attention_mask", SCORED, BYTES, "truncated")}
        completions = columns["label"] if "label" in columns else [None] * len(columns["text"])
        for prompt, completion in zip(columns["text"], completions, strict=True):
            first = tokenizer(prompt, truncation=False, verbose=False)["input_ids"] or [tokenizer.eos_token_id]
            then, spans = _completion(tokenizer, completion)
            kept = then[: max_length - 1]
            room = max_length - len(kept)
            start = first[-room:]
            encoded["input_ids"].append([*start, *kept])
            encoded["attention_mask"].append([1] * (len(start) + len(kept)))
            encoded[SCORED].append([0] * len(start) + [1] * len(kept))
            ends = [end for _, end in spans[: len(kept)]]
            encoded[BYTES].append([len((completion or "")[: ends[-1]].encode()) if ends else 0])
            encoded["truncated"].append(len(first) + len(then) - len(start) - len(kept))
        return encoded


def _completion(tokenizer: Any, text: str | None) -> tuple[list[int], list[tuple[int, int]]]:
    """Tokens of a completion with the end token, and the characters of each but the last; none where nothing is to be scored."""
    if text is None:
        return [], []
    tokens = tokenizer(text, truncation=False, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [*tokens["input_ids"], tokenizer.eos_token_id], tokens["offset_mapping"]
