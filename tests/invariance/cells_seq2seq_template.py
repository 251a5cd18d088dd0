"""Sources and targets of a few words, for a decoder-only model and a template."""

from __future__ import annotations

from cells_seq2seq import rows
from task_cells import Cell

TEMPLATE = "story {source} plot {target}"


CELL = Cell(
    "target",
    rows,
    [f"task.template='{TEMPLATE}'", "batch.max_target_length=12", "evaluate.generate.max_new_tokens=6"],
    "gpt2",
    ("qwen3",),
    refused=frozenset({("head", "gpt2")}),
    task="seq2seq",
)
