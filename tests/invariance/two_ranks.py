"""One of two ranks, started by test_ranks.py: trains every cell by DDP or FSDP over gloo and keeps what each rank got.

python two_ranks.py FOLDER_OF_DATA FOLDER_FOR_OUTCOMES
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from harness import TASKS, TUNINGS, ZERO_WEIGHTS, Outcome, cell_config, prepared, train, with_split
from test_resume import Killed, _kill_at
from tiny_runs import tiny_config

from finecomb.config.compose import compose
from finecomb.config.schema.train import Config
from finecomb.runs.directory import RunDirectory
from finecomb.training import callbacks, module, worker
from finecomb.training.module import Module

# Every method on one task, every task by two methods, and the architectures with unused tensors and with causal masks.
CELLS = [
    *(("single", tuning, "bert") for tuning in TUNINGS),
    *((task, tuning, "bert") for task in list(TASKS)[1:] for tuning in ("full", "lora")),
    *(("single", "full", family) for family in ("xlnet", "gpt2")),
]
# With FSDP: every kind of tensor that trains, frozen ones between them, a table that layers read from outside (DeBERTa),
# checkpointed layers.
SHARDED_CELLS = {
    "full-bert": ("single", "full", ["model=tiny"]),
    "full-deberta_v3": ("pair", "full", ["model=tiny", "model.architecture=deberta-v2"]),
    "lora-qwen3": ("single", "lora", ["model=tiny", "model.architecture=qwen3", "model.gradient_checkpointing=true"]),
    "prompt-gpt2": ("single", "prompt", ["model=tiny", "model.architecture=gpt2"]),
    "bitfit-bert": ("regression", "bitfit", ["model=tiny"]),
    "head-bert": ("multi_label", "head", ["model=tiny"]),
    "clipped": ("single", "full", ["trainer.gradient_clip_val=0.1"]),
    # The ranks have different numbers of micro-batches.
    "uneven passes": ("single", "full", ["batch.max_tokens=20"]),
    # In the last batch the second rank has no example.
    "no example": ("single", "full", ["batch.size=19"]),
}
DDP = ["trainer=ddp", "trainer.accelerator=cpu"]
FSDP = ["trainer=fsdp", "trainer.accelerator=cpu"]
# Uneven, so that the two ranks' shares of a batch have different sums of weights.
WEIGHTED = ["loss.class_weights=[1,5,0.2]"]
CLIPPED = ["trainer.gradient_clip_val=0.1"]
# 3 steps in each of 3 epochs; checkpoints at steps 3, 5, 6 and 9. At step 5 one loss is not logged yet. Dropout differs between ranks.
RESUMED = ["trainer.max_epochs=3", "callbacks.checkpoint.every_n_steps=5", "trainer.log_every_n_steps=2", "model.dropout=0.2"]
RESUMED += ["scheduler=linear", "trainer.gradient_clip_val=1"]

# The dry run of the experiment with full tuning: only the model, the devices and the length are other ones.
EXPERIMENT = ["experiment=full_7b_fsdp", "model=tiny", "model.architecture=qwen3", "trainer.accelerator=cpu", "trainer.devices=2"]
EXPERIMENT += ["batch.size=8", "batch.max_length=64", "trainer.max_steps=2"]
PRECISIONS = ["bf16-mixed", "bf16-true"]


def normalized_per_rank(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: each rank divides by its own sum of weights, and the exchange of gradients averages the ranks' means."""

    def scale(self: Any, step: Any) -> torch.Tensor:
        return step.counts / torch.stack([self.loss.weights(batch.targets).sum() for batch in step.micro_batches]).sum()

    patch.setattr(Module, "_scale", scale)


def seeded_alike(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: random numbers depend on what the process drew before, as where nothing is seeded at each step."""
    patch.setattr(module, "seed_step", lambda *_: None)


def killed_and_resumed(run: RunDirectory, config: Config, step: int) -> Outcome:
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
    sharded(data, outcomes, keep)


def by_adamw(config: Config) -> Config:
    """The same training by an optimizer that keeps two tensors and a count for each parameter."""
    adamw = compose(["optimizer=adamw", "optimizer.lr=1e-3"]).config.optimizer
    return dataclasses.replace(config, optimizer=adamw)


def note_shares(patch: pytest.MonkeyPatch, shares: dict[str, float]) -> None:
    """Note which share of the model, of its gradient and of the optimizer's state this rank holds."""
    original = Module.on_before_optimizer_step

    def noting(self: Any, built: Any) -> None:
        parameters = list(self.tuned.model.parameters())
        found = {
            "weights": parameters,
            "gradients": [parameter.grad for parameter in parameters if parameter.grad is not None],
            "states": [state["momentum_buffer"] for state in built.state.values()],  # none at the first step
        }
        for name, tensors in found.items():
            if tensors:
                shares[name] = sum(each.to_local().numel() for each in tensors) / sum(each.numel() for each in tensors)
        original(self, built)

    patch.setattr(Module, "on_before_optimizer_step", noting)


def sharded(data: Path, outcomes: Path, keep: Callable[[Outcome, str], None]) -> None:
    """Every cell with FSDP; one that is killed and resumed; and a whole run, which ends the process group."""
    folder = outcomes / f"rank{os.environ['RANK']}"
    shares: dict[str, float] = {}
    with pytest.MonkeyPatch.context() as patch:
        note_shares(patch, shares)
        keep(train(folder, with_split(cell_config(data, "single", "full", *FSDP), devices=2)), "sharded, of which shares are noted")
    assert set(shares) == {"weights", "gradients", "states"}
    assert all(0.4 < share < 0.6 for share in shares.values()), shares
    for name, (task, tuning, overrides) in SHARDED_CELLS.items():
        config = with_split(cell_config(data, task, tuning, *FSDP, *overrides), parts=1 if name == "no example" else 2, devices=2)
        if name == "uneven passes":
            config = dataclasses.replace(config, batch=dataclasses.replace(config.batch, max_tokens=20))
        keep(train(folder, config), f"sharded {name}")
    for precision in PRECISIONS:
        config = tiny_config(prepared(data, "single"), *EXPERIMENT, f"trainer.precision={precision}")
        keep(train(folder, config, double=False), f"sharded experiment in {precision}")
    resumed = with_split(cell_config(data, "single", "full", *FSDP, *RESUMED), parts=2, devices=2)
    for name, config in (("sharded", resumed), ("sharded adamw", by_adamw(resumed))):
        alone, killed = (shared_run(outcomes, f"{name} {kind}") for kind in ("alone", "killed"))
        keep(train(folder, config, run=alone), f"{name} alone")
        keep(killed_and_resumed(killed, config, step=6), f"{name} resumed")
    run, first = whole_run(outcomes, "two"), os.environ["RANK"] == "0"
    assert worker.attempt(run, first, time.monotonic()) == 0, run.status().error


def whole_run(outcomes: Path, name: str) -> RunDirectory:
    """A frozen run that the test has made."""
    return RunDirectory(next((outcomes / "runs").glob(f"{name}-*")))


def shared_run(folder: Path, name: str) -> RunDirectory:
    """The run directory of that name, which both ranks use."""
    run = RunDirectory(folder / name)
    run.path.mkdir(parents=True, exist_ok=True)
    run.make_folders()
    return run


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
