"""Questions on contexts of one to four windows of 32 tokens, some without an answer."""

from __future__ import annotations

import json
import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    questions, contexts, labels = [], [], []
    for row in range(count):
        words = [draw.choice(WORDS) for _ in range((3, 25, 45, 60)[row % 4] + draw.randint(0, 4))]
        begin = draw.randrange(len(words))
        answer = " ".join(words[begin : begin + draw.randint(1, 3)])
        starts = [len(" ".join(words[:begin])) + (begin > 0)]
        unanswered = row % 5 == 4
        questions.append(" ".join([*(draw.choice(WORDS) for _ in range(draw.randint(1, 4))), words[begin]]))
        contexts.append(" ".join(words))
        labels.append(json.dumps({"text": [] if unanswered else [answer], "answer_start": [] if unanswered else starts}))
    return Rows([f"{split}-{row}" for row in range(count)], questions, contexts, labels, None, range(count), "made up")


CELL = Cell(
    "answers",
    _rows,
    ["task.stride=8", "task.max_answer_length=6", "task.no_answer=true", "batch.max_length=32"],
    "bert",
    ("roberta", "deberta-v2", "distilbert", "electra", "modernbert", "xlnet"),
)
