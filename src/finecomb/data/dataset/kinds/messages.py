"""Conversations: messages with role and content, or the columns of Alpaca and ShareGPT. The label is the list of messages as JSON.

The text, by which rows are cleaned and compared, is the contents with line breaks between them.
"""

from __future__ import annotations

import json
from typing import Any

from finecomb.data.dataset.broken import LABEL, NO_LABEL, SHOWN
from finecomb.data.dataset.kinds.kind import Cells, Fault, Kind, Read

SYSTEM, USER, ASSISTANT = "system", "user", "assistant"
# Roles by the names that ShareGPT's files give them.
_SHAREGPT = {
    "system": SYSTEM,
    "human": USER,
    "user": USER,
    "gpt": ASSISTANT,
    "assistant": ASSISTANT,
    "chatgpt": ASSISTANT,
    "bing": ASSISTANT,
}


def _read(cells: Cells, fault: Fault) -> Read:
    texts, labels = [], []
    for row in range(len(next(iter(cells.values())))):
        messages = _messages({name: column[row] for name, column in cells.items()})
        wrong = "not a list of messages with role and content" if messages is None else problem(messages)
        if wrong is not None:
            shown = str(next(iter(cells.values()))[row])
            fault(row, LABEL if shown not in ("None", "", "[]") else NO_LABEL, f"the conversation is refused: {wrong}", shown[:SHOWN])
        texts.append("\n".join(each["content"] for each in messages or () if isinstance(each.get("content"), str)))
        labels.append(json.dumps(messages, ensure_ascii=False))
    return Read(texts, labels)


def _messages(cells: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The messages of a row in whatever form; None where it is none."""
    if "instruction" in cells:
        given = [str(cells[name]) for name in ("instruction", "input") if cells.get(name)]
        system = [{"role": SYSTEM, "content": cells["system"]}] if cells.get("system") else []
        return [*system, {"role": USER, "content": "\n\n".join(given)}, {"role": ASSISTANT, "content": cells["output"]}]
    turns = cells["messages" if "messages" in cells else "conversations"]
    if isinstance(turns, str):
        try:
            turns = json.loads(turns)
        except json.JSONDecodeError:
            return None
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return None
    if all("from" in turn and "value" in turn for turn in turns):
        return [{"role": _SHAREGPT.get(str(turn["from"]), turn["from"]), "content": turn["value"]} for turn in turns]
    if not all("role" in turn and "content" in turn for turn in turns):
        return None
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns]


def problem(messages: list[dict[str, Any]]) -> str | None:
    """What is wrong with a conversation: an unknown role, an empty message, turns out of order; None where nothing is."""
    if not messages:
        return "it is empty"
    for number, message in enumerate(messages, start=1):
        role, content = message["role"], message["content"]
        if role not in (SYSTEM, USER, ASSISTANT):
            return f"message {number} has the role {role!r}; known are {SYSTEM}, {USER}, {ASSISTANT}"
        if not isinstance(content, str) or not content.strip():
            return f"message {number} ({role}) is empty"
        if role == SYSTEM and number > 1:
            return f"message {number} is a system message; only the first may be one"
    turns = [message["role"] for message in messages if message["role"] != SYSTEM]
    for number, role in enumerate(turns):
        if role != (USER, ASSISTANT)[number % 2]:
            return f"turn {number + 1} is the {role}'s; user and assistant take turns, and the user begins"
    return "it ends with the user; there is no answer to learn" if len(turns) % 2 else None if turns else "it has no turn"


MESSAGES = Kind((("messages",), ("conversations",), ("instruction", "output")), _read, optional=("input", "system"))
