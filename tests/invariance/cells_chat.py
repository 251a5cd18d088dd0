"""Conversations of one to three questions and answers, in the plain template."""

from __future__ import annotations

import json
import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    labels = []
    for _ in range(count):
        turns = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 4))) for _ in range(2 * draw.randint(1, 3))]
        labels.append([{"role": ("user", "assistant")[number % 2], "content": turn} for number, turn in enumerate(turns)])
    texts = ["\n".join(message["content"] for message in messages) for messages in labels]
    ids = [f"{split}-{row}" for row in range(count)]
    return Rows(ids, texts, None, [json.dumps(messages) for messages in labels], None, range(count), "made up")


CELL = Cell("messages", _rows, ["task.template=plain"], "gpt2", ("qwen3",), refused=frozenset({("head", "gpt2")}))
