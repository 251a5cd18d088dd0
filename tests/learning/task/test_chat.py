"""Conversations in a chat template: which tokens are answers, what is cut, and what generation starts from."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from finecomb.config.schema.task import Chat as Schema
from finecomb.core.errors import ConfigError
from finecomb.learning import task as tasks
from finecomb.learning.model.tokenizer import tiny_tokenizer
from finecomb.learning.task.chat import LOST_TURNS, PROMPT, Chat
from finecomb.learning.task.next_tokens import BYTES, SCORED

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TALK = [
    {"role": "user", "content": "a good film"},
    {"role": "assistant", "content": "the plot"},
    {"role": "user", "content": "bad"},
    {"role": "assistant", "content": "a story"},
]


def bound(template: str, own: str | None = None, family: str = "gpt2") -> tuple[Chat, object]:
    tokenizer = tiny_tokenizer(family)
    tokenizer.chat_template = own
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    made = tasks.build(Schema(name="chat", template=template), label_kind="messages", label_names=None)
    assert isinstance(made, Chat)
    made.bind(tokenizer, SimpleNamespace(vocab_size=len(tokenizer)))
    return made, tokenizer


@pytest.mark.parametrize(("template", "own"), [("plain", None), ("auto", CHATML)])
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_answers_alone_are_scored_with_the_token_that_ends_them(template: str, own: str | None, family: str) -> None:
    task, tokenizer = bound(template, own, family)
    encoded = task.encode(tokenizer, {"text": [""], "label": [json.dumps(TALK)]}, 400)
    ids, scored = encoded["input_ids"][0], encoded[SCORED][0]
    answers = tokenizer.decode([token for token, each in zip(ids, scored, strict=True) if each])
    end = tokenizer.eos_token if template == "plain" else "<|im_end|>"
    assert answers.replace(" ", "") == f"the plot{end}a story{end}".replace(" ", "")
    assert encoded[BYTES] == [[len(f"the plot{end}a story{end}".encode())]]


def test_generation_starts_from_the_last_question() -> None:
    task, tokenizer = bound("plain")
    encoded = task.encode(tokenizer, {"text": [""], "label": [json.dumps(TALK)]}, 400)
    assert "".join(tokenizer.decode(encoded[PROMPT][0]).split()).endswith("user:badassistant:")
    assert task.references({"label": [json.dumps(TALK)]}) == ["a story"]
    question = task.encode(tokenizer, {"text": ["bad"]}, 400)
    assert question["input_ids"] == question[PROMPT]
    assert sum(question[SCORED][0]) == 0
    assert tokenizer.eos_token_id in task.stops()


def test_a_conversation_that_is_too_long_loses_whole_turns_which_are_counted() -> None:
    task, tokenizer = bound("plain")
    whole = task.encode(tokenizer, {"text": [""], "label": [json.dumps(TALK)]}, 400)
    first = task.encode(tokenizer, {"text": [""], "label": [json.dumps(TALK[:2])]}, 400)
    cut = task.encode(tokenizer, {"text": [""], "label": [json.dumps(TALK)]}, len(whole["input_ids"][0]) - 1)
    assert cut["input_ids"] == first["input_ids"]
    assert cut[LOST_TURNS] == [[2]]
    assert cut["truncated"] == [0]
    short = task.encode(tokenizer, {"text": [""], "label": [json.dumps(TALK)]}, len(first["input_ids"][0]) - 2)
    assert short["truncated"] == [2]


def test_a_tokenizer_without_a_template_and_one_that_hides_turns_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no chat template"):
        bound("auto")
    last_turn_alone = "{{ messages[-1]['content'] }}{% if add_generation_prompt %}>{% endif %}"
    with pytest.raises(ConfigError, match="does not render the beginning"):
        bound("auto", last_turn_alone)
