"""One of two ranks, started by test_ranks.py: trains every cell by DDP over gloo and keeps what each rank got.

python two_ranks.py FOLDER_OF_DATA FOLDER_FOR_OUTCOMES
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import TASKS, TUNINGS, ZERO_WEIGHTS, Outcome, cell_config, train, with_split
from test_resume import Killed, _kill_at

from finecomb.config.schema.train import Train
from finecomb.runs.directory import RunDirectory
from finecomb.training import callbacks, module
from finecomb.training.module import Module

# Every method on one task, every task by two methods, and the architectures with unused tensors and with causal masks.
CELLS = [
    *(("single", tuning, "bert") for tuning in TUNINGS),
    *((task, tuning, "bert") for task in list(TASKS)[1:] for tuning in ("full", "lora")),
    *(("single", "full", family) for family in ("xlnet", "gpt2")),
]
DDP = ["trainer=ddp", "trainer.accelerator=cpu"]
# Uneven, so that the two ranks' shares of a batch have different sums of weights.
WEIGHTED = ["loss.class_weights=[1,5,0.2]"]
CLIPPED = ["trainer.gradient_clip_val=0.1"]
# 3 steps in each of 3 epochs; checkpoints at steps 3, 5, 6 and 9. At step 5 one loss is not logged yet. Dropout differs between ranks.
RESUMED = ["trainer.max_epochs=3", "callbacks.checkpoint_every_n_steps=5", "callbacks.log_every_n_steps=2", "model.dropout=0.2"]
RESUMED += ["scheduler=linear", "trainer.gradient_clip_val=1"]


def normalized_per_rank(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: each rank divides by its own sum of weights, and the exchange of gradients averages the ranks' means."""

    def scale(self: Any, step: Any) -> torch.Tensor:
        return step.counts / torch.stack([self.loss.weights(batch.targets).sum() for batch in step.micro_batches]).sum()

    patch.setattr(Module, "_scale", scale)


def seeded_alike(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: random numbers depend on what the process drew before, as where nothing is seeded at each step."""
    patch.setattr(module, "seed_step", lambda *_: None)


def killed_and_resumed(run: RunDirectory, config: Train, step: int) -> Outcome:
    """The steps of both attempts of a training whose ranks are killed after a step, before its checkpoint."""
    with pytest.MonkeyPatch.context() as patch:
        _kill_at(patch, callbacks.Record, "on_train_batch_end", lambda self, trainer, *_: trainer.global_step == step)
        with pytest.raises(Killed):
            train(run.path, config, run=run)
    torch.manual_seed(1)  # a new process would start from another state
    return train(run.path, config, run=run)


def main(data: Path, outcomes: Path) -> None:
    torch.set_num_threads(1)
    folder = outcomes / f"rank{os.environ['RANK']}"

    def keep(outcome: Outcome, name: str) -> None:
        torch.save(outcome.__dict__, folder / f"{name}.pt")

    for task, tuning, family in CELLS:
        config = cell_config(data, task, tuning, "model=tiny", f"model.architecture={family}", *DDP)
        keep(train(folder, with_split(config, parts=2, devices=2)), f"{task}-{tuning}-{family}")
    # 20 rows in batches of 19: the last global batch has one example, and the second rank none.
    keep(train(folder, with_split(cell_config(data, "single", "full", *DDP, "batch.size=19"), devices=2)), "uneven")
    # One example on each rank, and in some batches neither counts.
    zero = cell_config(data, "single", "full", *DDP, *ZERO_WEIGHTS)
    keep(train(folder, with_split(zero, devices=2), double=False), "zero")
    keep(train(folder, with_split(cell_config(data, "single", "full", *DDP, *CLIPPED), parts=2, devices=2)), "clipped")
    weighted = with_split(cell_config(data, "single", "full", *DDP, *WEIGHTED), parts=2, devices=2)
    keep(train(folder, weighted), "weighted")
    with pytest.MonkeyPatch.context() as patch:
        normalized_per_rank(patch)
        keep(train(folder, weighted), "weighted, normalized per rank")
    resumed = with_split(cell_config(data, "single", "full", *DDP, *RESUMED), parts=2, devices=2)
    # Both ranks share one run directory, as those of a run do.
    alone, killed, defective = (shared_run(outcomes, name) for name in ("alone", "killed", "defective"))
    keep(train(folder, resumed, run=alone), "alone")
    keep(killed_and_resumed(killed, resumed, step=6), "resumed")
    with pytest.MonkeyPatch.context() as patch:
        seeded_alike(patch)
        keep(killed_and_resumed(defective, resumed, step=6), "resumed, not seeded")


def shared_run(folder: Path, name: str) -> RunDirectory:
    """The run directory of that name, which both ranks use."""
    run = RunDirectory(folder / name)
    run.path.mkdir(parents=True, exist_ok=True)
    run.make_folders()
    return run


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
