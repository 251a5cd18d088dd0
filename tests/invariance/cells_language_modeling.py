"""Language modeling on texts of one to fourteen words."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    texts = [" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 14))) for _ in range(count)]
    return Rows([f"{split}-{row}" for row in range(count)], texts, None, [None] * count, None, range(count), "made up")


CELL = Cell("none", _rows, [], "gpt2", ("qwen3",), refused=frozenset({("head", "gpt2")}))
