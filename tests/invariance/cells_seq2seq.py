"""Sources and targets of a few words, for a decoder-only model and a template."""

from __future__ import annotations

import random

from task_cells import Cell
from tiny_runs import WORDS

from finecomb.data.dataset.rows import Rows

TEMPLATE = "story {source} plot {target}"


def _rows(split: str, count: int, draw: random.Random) -> Rows:
    sources, targets = ([" ".join(draw.choice(WORDS) for _ in range(draw.randint(1, 9))) for _ in range(count)] for _ in range(2))
    return Rows([f"{split}-{row}" for row in range(count)], sources, None, targets, None, range(count), "made up")


CELL = Cell(
    "target",
    _rows,
    [f"task.template='{TEMPLATE}'", "batch.max_target_length=12", "evaluate.generate.max_new_tokens=6"],
    "gpt2",
    ("qwen3",),
    refused=frozenset({("head", "gpt2")}),
)
