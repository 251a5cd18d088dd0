"""One of two ranks, started by test_plain_ranks.py: trains and evaluates by a plain Trainer with DDP over gloo.

python two_ranks_plainly.py FOLDER_OF_DATA FOLDER_FOR_OUTCOMES
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from harness import cell_config, parts_of, with_split
from plain_trainer import train_plainly
from pytorch_lightning.strategies import DDPStrategy

from finecomb.training.datamodule import EvaluationLoader

# 11 validation and 13 test rows: with batches of 4 the second rank is short of one, with batches of 64 it has none but a filler.
SIZES = (4, 64)


def settings() -> dict[str, Any]:
    """Settings of a Trainer on two processes that exist already."""
    return {"devices": 2, "strategy": DDPStrategy(process_group_backend="gloo", find_unused_parameters=True)}


def repeated_rows(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: as DistributedSampler does, the rank that is short of rows evaluates some again."""
    original = EvaluationLoader.__iter__

    def repeating(self: EvaluationLoader) -> Iterator[Any]:
        for batch in original(self):
            yield self.split.batch(torch.tensor([0]).numpy()) if int(batch.index[0]) == len(self.split) else batch

    patch.setattr(EvaluationLoader, "__iter__", repeating)


def metrics(data: Path, size: int) -> dict[str, dict[str, float]]:
    """What validate and test return and log on this rank."""
    parts = parts_of(cell_config(data, "single", "full", f"batch.eval_size={size}"))
    module = parts.module()
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, **settings())
    [validation] = trainer.validate(module, parts.data, verbose=False)
    [test] = trainer.test(module, parts.data, verbose=False)
    return {"validation": validation, "test": test}


class _Validations(pl.Callback):
    """Keeps what this rank logs at each validation of a training."""

    def __init__(self) -> None:
        self.seen: list[dict[str, float]] = []

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        if not trainer.sanity_checking:
            self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("validation/")})


def main(data: Path, outcomes: Path) -> None:
    torch.set_num_threads(1)
    found: dict[str, Any] = {f"size {size}": metrics(data, size) for size in SIZES}
    config, validations = cell_config(data, "single", "full", "batch.eval_size=4"), _Validations()
    outcome = train_plainly(with_split(config, parts=2), callbacks=[validations], **settings())
    found |= {"gradients": outcome.gradients, "weights": outcome.weights, "frozen": outcome.frozen, "validations": validations.seen}
    with pytest.MonkeyPatch.context() as patch:
        repeated_rows(patch)
        with pytest.raises(RuntimeError) as error:
            metrics(data, 64)
        found["repeated"] = str(error.value)
    torch.save(found, outcomes / f"rank{os.environ['RANK']}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
