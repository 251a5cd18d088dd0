"""Conversations in the form of the tokenizer's chat template; the loss is on the assistant's turns alone.

Which characters of the rendered conversation are an answer is found by rendering its beginnings: the text before an answer is what the
template gives for the earlier messages with a prompt for the assistant, and the answer ends with the token that ends a turn. A template
whose beginnings are not beginnings of the whole (one that drops earlier turns, for example) is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.task import encoding
from finecomb.learning.task.next_tokens import BYTES, SCORED, NextTokens
from finecomb.learning.task.runner import Columns
from finecomb.learning.task.text_generation import TextGeneration

VERSION = "1"

Messages = list[dict[str, str]]
PROMPT, LOST_TURNS = "prompt", "counted.lost_turns"
"""Encoded columns: tokens up to the last answer, and how many turns a conversation that is too long has lost."""
_PROBE = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
    {"role": "assistant", "content": "four"},
]
# For tokenizers without a template of their own: a line for each message, answers ended by the token that ends a text.
PLAIN = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


class Chat(TextGeneration, NextTokens):
    """Conversations of a user and an assistant.

    A conversation of more than max_length tokens loses whole turns at its end, each answer together with its question; one whose first
    answer does not fit is cut in that answer. Both are counted. Generation answers the last question.

    Args:
        template: "auto": the tokenizer's own; "plain": `PLAIN`.
    """

    generation_metrics = ("rougeL", "bleu", "exact_match")

    def __init__(self, *, template: str) -> None:
        self.template = template
        self.encoding: tuple[str, ...] = (f"version {VERSION}", f"template {template}")
        self._stop: int | None = None

    def bind(self, tokenizer: Any, config: Any) -> None:
        """Check the template on this very tokenizer, and find the token that ends an answer.

        Raises:
            ConfigError: The tokenizer has no template, or one whose answers cannot be found.
        """
        super().bind(tokenizer, config)
        self.tokenizer = tokenizer
        if self.template == "plain":
            if tokenizer.eos_token_id is None:
                raise ConfigError(Problem("the tokenizer has no token that ends a text, so an answer has no end", "task.template"))
            tokenizer.chat_template = PLAIN
        if not tokenizer.chat_template:
            hint = "choose a model that was tuned to chat, or set task.template=plain"
            raise ConfigError(Problem("the tokenizer has no chat template", "task.template=auto", hint=hint))
        self.encoding = (*self.encoding, tokenizer.chat_template)
        ids, scored, _ = self._tokens(tokenizer, _PROBE)
        last = [number for number, each in zip(ids, scored, strict=True) if each]
        self._stop = last[-1] if last else None

    def stops(self) -> tuple[int, ...]:
        """The token that ends an answer."""
        return (*super().stops(), *(() if self._stop is None else (self._stop,)))

    def encode(self, tokenizer: Any, columns: Columns, max_length: int) -> dict[str, list[Any]]:
        """Without labels a text is a question, or a conversation as JSON that ends with one."""
        names = ("input_ids", "attention_mask", SCORED, BYTES, PROMPT, LOST_TURNS, "truncated")
        encoded: dict[str, list[Any]] = {name: [] for name in names}
        given = columns["label"] if "label" in columns else columns["text"]
        for cell in given:
            messages = conversation(cell)
            ids, scored, written = self._tokens(tokenizer, messages)
            lost = 0
            while len(ids) > max_length and sum(each["role"] == "assistant" for each in messages) > 1:
                messages, lost = messages[:-2], lost + 2
                ids, scored, written = self._tokens(tokenizer, messages)
            encoded["input_ids"].append(ids[:max_length])
            encoded["attention_mask"].append([1] * len(ids[:max_length]))
            encoded[SCORED].append(scored[:max_length])
            encoded[BYTES].append([written])
            before = messages[:-1] if messages[-1]["role"] == "assistant" else messages
            encoded[PROMPT].append(_ids(tokenizer, _rendered(tokenizer, before, prompt=True))[0][-max_length:])
            encoded[LOST_TURNS].append([lost])
            encoded["truncated"].append(max(0, len(ids) - max_length))
        return encoded

    def _tokens(self, tokenizer: Any, messages: Messages) -> tuple[list[int], list[int], int]:
        """Tokens of a conversation, which of them are an answer's, and the bytes of the answers."""
        whole = _rendered(tokenizer, messages, prompt=messages[-1]["role"] != "assistant")
        answers = []
        for number, message in enumerate(messages):
            if message["role"] == "assistant":
                before = _rendered(tokenizer, messages[:number], prompt=True)
                with_it = _rendered(tokenizer, messages[: number + 1], prompt=False)
                if not (with_it.startswith(before) and whole.startswith(with_it)):
                    what = "the chat template does not render the beginning of a conversation as the beginning of the whole"
                    hint = "answers cannot be located; set task.template=plain"
                    raise ConfigError(Problem(what, f"message {number + 1}", hint=hint))
                answers.append((len(before), len(with_it.rstrip())))
        ids, spans = _ids(tokenizer, whole)
        inside = [any(first <= start and end <= last for first, last in answers) for start, end in spans]
        scored = [int(each and end > start) for each, (start, end) in zip(inside, spans, strict=True)]
        return ids, scored, sum(len(whole[first:last].encode()) for first, last in answers)

    def prompts(self, tokenizer: Any, features: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        """Each conversation up to its last answer."""
        rows = [{"input_ids": row[PROMPT], "attention_mask": [1] * len(row[PROMPT])} for row in features]
        return encoding.collate(tokenizer, rows, None).inputs

    def references(self, examples: Columns) -> list[str]:
        """The last answer of each conversation."""
        return [str(conversation(label)[-1]["content"]) for label in examples["label"]]

    def table(self, kept: Tensor, examples: Columns) -> dict[str, list[Any]]:
        """`label` (the last answer), `prediction` (empty until one is generated), and the sums over the tokens of all answers."""
        return {**super().table(kept, examples), "label": self.references(examples), "prediction": [None] * len(kept)}


def conversation(text: str) -> Messages:
    """Messages from JSON; any other text is a user's question."""
    if text.lstrip().startswith("[{"):
        messages: Messages = json.loads(text)
        return messages
    return [{"role": "user", "content": text}]


def _rendered(tokenizer: Any, messages: Messages, *, prompt: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))


def _ids(tokenizer: Any, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Tokens of a rendered text, which has its special tokens in it, and the characters of each."""
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return tokens["input_ids"], tokens["offset_mapping"]
