"""Entities of one to three tokens in texts of one to fourteen, some of tokens with several sub-words."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows

NAMES = ["O", "B-FILM", "I-FILM", "B-WHO", "I-WHO"]


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    texts, labels = [], []
    for _ in range(count):
        tags = [0]
        for _ in range(draw.randint(0, 13)):
            going_on = [] if tags[-1] == 0 else [tags[-1] + (tags[-1] % 2)]
            tags.append(draw.choice([0, 0, 1, 3, *going_on]))
        texts.append(" ".join(draw.choice([*WORDS, "storyplot", "Movie's", "bad-film"]) for _ in tags))
        labels.append(tags)
    return Rows([f"{split}-{row}" for row in range(count)], texts, None, labels, None, range(count), "made up")


CELL = Cell("tags", _rows, [], "bert", ("roberta", "deberta-v2", "gpt2", "xlnet"), label_names=NAMES)
