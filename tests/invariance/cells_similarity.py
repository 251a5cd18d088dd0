"""Pairs of texts with a number from 0 to 5."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    texts, pairs = ([" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 12))) for _ in range(count)] for _ in range(2))
    numbers = [draw.randint(0, 50) / 10 for _ in range(count)]
    return Rows([f"{split}-{row}" for row in range(count)], texts, pairs, numbers, None, range(count), "made up")


CELL = Cell("number", _rows, ["loss=mse"], "bert", ("xlnet", "llama", "roberta"), refused=frozenset({("head", "bert")}))
