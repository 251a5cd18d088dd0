"""Sources and targets of a few words."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows


def rows(split: str, count: int, draw: random.Random) -> Rows:
    sources, targets = ([" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 9))) for _ in range(count)] for _ in range(2))
    return Rows([f"{split}-{row}" for row in range(count)], sources, None, targets, None, range(count), "made up")


CELL = Cell(
    "target",
    rows,
    ["batch.max_target_length=12", "evaluate.generate.max_new_tokens=6"],
    "bart",
    ("t5", "marian"),
    refused=frozenset({("head", "bart")}),
)
