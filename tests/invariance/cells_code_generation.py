"""Prompts and completions of a few words."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    prompts, completions = ([" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 9))) for _ in range(count)] for _ in range(2))
    return Rows([f"{split}-{row}" for row in range(count)], prompts, None, completions, None, range(count), "made up")


CELL = Cell("completion", _rows, [], "gpt2", ("qwen3",), refused=frozenset({("head", "gpt2")}))
