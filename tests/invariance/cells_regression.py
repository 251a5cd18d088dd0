"""Regression on pairs of texts."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    texts = [[draw.choice(WORDS) for _ in range(draw.randint(1, 14))] for _ in range(count)]
    numbers = [sum((word in WORDS[:5]) - (word in WORDS[5:10]) for word in text) / 2 for text in texts]
    pairs = [" ".join(reversed(text)) for text in texts]
    return Rows(
        [f"{split}-{row}" for row in range(count)], [" ".join(text) for text in texts], pairs, numbers, None, range(count), "made up"
    )


CELL = Cell("number", _rows, ["loss=mse"], "bert", ("xlnet", "llama"))
