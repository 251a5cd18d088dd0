"""The data of a training as Lightning takes it: encoded once, planned once, and found again from the number of the step alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from finecomb import assets
from finecomb.config import plugins
from finecomb.config.schema.train import Train
from finecomb.data.prepare import Prepared
from finecomb.learning.task import Batch, TaskRunner
from finecomb.training.batching import Plan, Rows, evaluation_batches, share
from finecomb.training.encode import Encoded, encode

VERSION = "1"


@dataclass
class Step:
    """What one rank computes in one optimizer step. counts: whether its examples count, or only keep the rank in step with the others."""

    micro_batches: list[Batch]
    counts: bool

    def to(self, device: torch.device) -> Step:
        """The same step with its tensors on a device."""
        return Step([batch.to(device) for batch in self.micro_batches], self.counts)


class Split:
    """One split, encoded: batches by row number, and what predictions are written beside."""

    def __init__(self, rows: Any, encoded: Encoded, tokenizer: Any, task: TaskRunner) -> None:
        self.encoded = encoded
        self.ids: list[str] = list(rows["id"])
        self.labels: list[Any] = list(rows["label"])
        self.groups: list[str] | None = [str(group) for group in rows["group"]] if "group" in rows.column_names else None
        self.weights = torch.tensor(rows["weight"][:]) if "weight" in rows.column_names else None
        self._soft: list[list[float]] | None = list(rows["soft"]) if "soft" in rows.column_names else None
        self._tokenizer, self._task = tokenizer, task

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def targets(self) -> torch.Tensor:
        """Targets of all examples, in row order."""
        return self._task.targets(self.labels)

    def batch(self, rows: Rows, *, training: bool = False) -> Batch:
        """The padded batch of some examples. training: with soft labels as targets, where the rows have them."""
        labels: list[Any] = self._soft if training and self._soft is not None else self.labels
        batch = self._task.collate(self._tokenizer, self.encoded.features(rows), [labels[row] for row in rows])
        return batch if self.weights is None else replace(batch, weights=self.weights[torch.from_numpy(rows)])

    def batches(self, size: int, *, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """This rank's evaluation batches."""
        for rows in evaluation_batches(self.encoded.lengths, size, rank=rank, world=world):
            yield self.batch(rows)


class StepLoader:
    """Iterates over the steps of the epoch that holds the trainer's global step, from that step on.

    One item is one optimizer step, so the global step alone says where in the plan training stands: nothing else has to be saved to resume.
    """

    def __init__(self, data: DataModule, global_step: Callable[[], int]) -> None:
        self._data, self._global_step = data, global_step

    def __len__(self) -> int:
        return self._data.plan.steps_per_epoch

    def __iter__(self) -> Iterator[Step]:
        epoch, position = divmod(self._global_step(), len(self))
        steps = _EpochSteps(self._data, epoch)
        workers = self._data.config.trainer.num_workers
        if not workers:
            return (steps[at] for at in range(position, len(self)))
        # Forked, so that the encoded data is shared; collating draws no random numbers and needs no device.
        return iter(
            DataLoader(
                steps,
                batch_size=None,
                sampler=range(position, len(self)),
                num_workers=workers,
                collate_fn=_same,
                multiprocessing_context="fork",
            )
        )

    def state_dict(self) -> dict[str, int]:
        """What must be equal for a checkpoint's global step to mean the same place in the plan."""
        return {"examples": len(self._data.plan.lengths), "size": self._data.plan.size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Refuse a checkpoint of another plan."""
        if state != self.state_dict():
            raise RuntimeError(f"the checkpoint was written for another plan of batches: {state}, now {self.state_dict()}")


class _EpochSteps(Dataset):
    """The steps of one epoch for this rank."""

    def __init__(self, data: DataModule, epoch: int) -> None:
        self._data, self._batches = data, data.plan.epoch(epoch)

    def __getitem__(self, position: int) -> Step:
        return self._data.step(self._batches[position])


def _same(item: Step) -> Step:
    return item


class DataModule(pl.LightningDataModule):
    """Prepared data, encoded and planned.

    rank and world: which share of every global batch this process computes.
    """

    def __init__(self, config: Train, prepared: Prepared, tokenizer: Any, task: TaskRunner, *, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.config, self.prepared, self.tokenizer, self.task = config, prepared, tokenizer, task
        self.rank, self.world = rank, world

    def prepare_data(self) -> None:
        """Encode every split into the cache; Lightning calls this on one process of each machine."""
        _ = self.splits

    def setup(self, stage: str) -> None:
        """Open what prepare_data encoded."""
        _ = self.plan

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The encoded splits by name."""
        rows = self.prepared.load()
        return {name: Split(rows[name], self._encode(rows[name], name), self.tokenizer, self.task) for name in rows}

    def _encode(self, rows: Any, name: str) -> Encoded:
        own = [code for group in ("task", "model") for code in plugins.code(group, getattr(self.config, group).name)]
        content = " ".join([self.prepared.manifest["hashes"][name], *own])
        cache, max_length = assets.cache_dir() / "encoded", self.config.batch.max_length
        return encode(rows, name, content=content, tokenizer=self.tokenizer, task=self.task, max_length=max_length, cache=cache)

    @cached_property
    def plan(self) -> Plan:
        """The global batches of training. Raises UserError when a batch is larger than the data."""
        batch = self.config.batch
        return Plan(self.splits["train"].encoded.lengths, batch.size, self.config.seed, batch.bucket)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training."""
        trainer = self.config.trainer
        steps = trainer.max_epochs * self.plan.steps_per_epoch
        return steps if trainer.max_steps < 0 else min(steps, trainer.max_steps)

    def step(self, batch: Rows) -> Step:
        """This rank's share of a global batch."""
        mine = self._share(batch, self.rank)
        return Step([self.splits["train"].batch(rows, training=True) for rows in mine.micro_batches], mine.counts)

    def _share(self, batch: Rows, rank: int) -> Any:
        parts, tokens = self.config.batch.micro_batches, self.config.batch.max_tokens
        return share(batch, self.plan.lengths, rank=rank, world=self.world, parts=parts, tokens=tokens)

    def train_dataloader(self) -> StepLoader:
        """Optimizer steps of this rank."""
        return StepLoader(self, lambda: self.trainer.global_step)

    def transfer_batch_to_device(self, batch: Step, device: torch.device, dataloader_idx: int) -> Step:
        """Move a step to the device."""
        return batch.to(device)

    def token_counts(self, steps: int) -> dict[str, int]:
        """Tokens that all ranks computed in the first `steps` steps: real ones, and padding beside them."""
        real = padded = 0
        for epoch in range(-(-steps // self.plan.steps_per_epoch)):
            for batch in self.plan.epoch(epoch)[: steps - epoch * self.plan.steps_per_epoch]:
                pieces = [rows for rank in range(self.world) for rows in self._share(batch, rank).micro_batches]
                lengths = [self.plan.lengths[rows] for rows in pieces]
                real += int(sum(piece.sum() for piece in lengths))
                padded += int(sum(len(piece) * piece.max() - piece.sum() for piece in lengths))
        return {"real": real, "padded": padded}
