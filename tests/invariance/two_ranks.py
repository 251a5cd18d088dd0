"""One of two ranks, started by test_ranks.py: trains every cell by DDP over gloo and keeps what the first rank got.

python two_ranks.py FOLDER_OF_DATA FOLDER_FOR_OUTCOMES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from harness import TASKS, TUNINGS, ZERO_WEIGHTS, cell_config, train, with_split

# Every method on one task, every task by two methods, and the architectures with unused tensors and with causal masks.
CELLS = [
    *(("single", tuning, "bert") for tuning in TUNINGS),
    *((task, tuning, "bert") for task in list(TASKS)[1:] for tuning in ("full", "lora")),
    *(("single", "full", family) for family in ("xlnet", "gpt2")),
]


def main(data: Path, outcomes: Path) -> None:
    torch.set_num_threads(1)
    for task, tuning, family in CELLS:
        config = cell_config(data, task, tuning, f"model=tiny_{family}", "trainer=ddp", "trainer.accelerator=cpu")
        folder = outcomes / f"rank{os.environ['RANK']}"
        outcome = train(folder, with_split(config, parts=2, devices=2))
        torch.save(outcome.__dict__, folder / f"{task}-{tuning}-{family}.pt")
    # 17 rows in batches of 16: the last global batch has one example, and the second rank none.
    uneven = cell_config(data, "single", "full", "trainer=ddp", "trainer.accelerator=cpu", "batch.size=19")
    torch.save(train(folder, with_split(uneven, devices=2)).__dict__, folder / "uneven.pt")
    # One example on each rank, and in some batches neither counts.
    zero = cell_config(data, "single", "full", "trainer=ddp", "trainer.accelerator=cpu", *ZERO_WEIGHTS)
    torch.save(train(folder, with_split(zero, devices=2), double=False).__dict__, folder / "zero.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
