"""The data of a training as Lightning takes it: encoded once, planned once, and found again from the number of the step alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from datasets import Dataset as Table
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerBase

from finecomb.assets.cache import ENCODED
from finecomb.config import plugins
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.prepare import PreparedFolder
from finecomb.learning.task import Batch, TaskRunner
from finecomb.training.batching import Plan, Rows, Share, evaluation_batches, share
from finecomb.training.encode import Encoded, encode
from finecomb.training.examples import Examples

VERSION = "1"


@dataclass
class Step:
    """What one rank computes in one optimizer step.

    Attributes:
        micro_batches: the rank's examples.
        counts: whether they count, or only keep the rank in step with the others.
        passes: most micro-batches of any rank.
    """

    micro_batches: list[Batch]
    counts: bool
    passes: int

    def to(self, device: torch.device) -> Step:
        """The same step with its tensors on a device."""
        return replace(self, micro_batches=[batch.to(device) for batch in self.micro_batches])


class Limits(Protocol):
    """How long training lasts, as a Trainer and the config's trainer group state it. -1: no limit."""

    @property
    def max_epochs(self) -> int | None:
        """Passes over the training data."""

    @property
    def max_steps(self) -> int:
        """Optimizer steps."""


class Split:
    """One split, encoded: batches by row number, and what predictions are written beside."""

    def __init__(self, rows: Table, encoded: Encoded, tokenizer: PreTrainedTokenizerBase, task: TaskRunner) -> None:
        self.encoded = encoded
        self.examples = Examples(rows)
        self.ids: list[str] = list(rows["id"])
        # A corpus without labels trains the tasks that take their targets from the text.
        self.labels: list[Any] = list(rows["label"]) if "label" in rows.column_names else [None] * len(rows)
        self.groups: list[str] | None = [str(group) for group in rows["group"]] if "group" in rows.column_names else None
        self.weights = torch.tensor(rows["weight"][:]) if "weight" in rows.column_names else None
        self._soft: list[list[float]] | None = list(rows["soft"]) if "soft" in rows.column_names else None
        self.tokenizer, self._task = tokenizer, task

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        return int(self.encoded.lengths.max(initial=0))

    def batch(self, rows: Rows, *, training: bool = False) -> Batch:
        """The padded batch of some examples. training: with soft labels as targets, where the rows have them."""
        labels: list[Any] = self._soft if training and self._soft is not None else self.labels
        batch = self._task.collate(self.tokenizer, self.encoded.features(rows), [labels[row] for row in rows])
        return batch if self.weights is None else replace(batch, weights=self.weights[torch.from_numpy(rows)])

    def filler(self) -> Batch:
        """A batch whose logits belong to no row: its index is the number of rows."""
        batch = self.batch(np.zeros(1, np.int64))
        return replace(batch, index=torch.full_like(batch.index, len(self)))


class EvaluationLoader:
    """Evaluation batches of one rank: every row of a split in exactly one batch of one rank, and equally many batches on every rank.

    Where batches do not divide by ranks, the ranks that are short of one compute a filler (`Split.filler`): a sharded model gathers its
    weights, and DistributedDataParallel its buffers, in each forward pass of every rank. It is not a torch DataLoader, because Lightning
    would give that a sampler that repeats rows.
    """

    def __init__(self, split: Split, size: int, *, rank: int = 0, world: int = 1) -> None:
        self.split, self.size, self.rank, self.world = split, size, rank, world

    def __len__(self) -> int:
        return -(-len(self.split) // (self.size * self.world))

    def __iter__(self) -> Iterator[Batch]:
        mine = evaluation_batches(self.split.encoded.lengths, self.size, rank=self.rank, world=self.world)
        for rows in mine:
            yield self.split.batch(rows)
        for _ in range(len(self) - len(mine)):
            yield self.split.filler()


class StepLoader:
    """Iterates over the steps of the epoch that holds the trainer's global step, from that step on.

    One item is one optimizer step, so the global step alone says where in the plan training stands: nothing else has to be saved to resume.
    """

    def __init__(self, data: DataModule, global_step: Callable[[], int]) -> None:
        self._data, self._global_step = data, global_step

    def __len__(self) -> int:
        return self._data.plan.steps_per_epoch

    def __iter__(self) -> Iterator[Step]:
        # The step is read when the first item is requested: Lightning makes the iterator before it restores a checkpoint.
        epoch, position = divmod(self._global_step(), len(self))
        steps = _EpochSteps(self._data, epoch)
        workers = self._data.config.trainer.num_workers
        if not workers:
            yield from (steps[at] for at in range(position, len(self)))
            return
        # Forked, so that the encoded data is shared; collating draws no random numbers and needs no device.
        yield from DataLoader(
            steps,
            batch_size=None,
            sampler=range(position, len(self)),
            num_workers=workers,
            collate_fn=_same,
            multiprocessing_context="fork",
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

    Rank, number of ranks and length of training come from the Trainer. Used without one, it is the data of a single process, and the
    length is that of the config.

    Attributes:
        limits: what ends training where a Trainer's own limits do not.
    """

    def __init__(self, config: Config, prepared: PreparedFolder, tokenizer: PreTrainedTokenizerBase, task: TaskRunner) -> None:
        super().__init__()
        self.config, self.prepared, self.tokenizer, self.task = config, prepared, tokenizer, task
        self.limits: Limits | None = None

    @property
    def rank(self) -> int:
        """Which share of every global batch this process computes."""
        return self.trainer.global_rank if self.trainer else 0

    @property
    def world(self) -> int:
        """Number of ranks."""
        return self.trainer.world_size if self.trainer else 1

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

    def _encode(self, rows: Table, name: str) -> Encoded:
        own = [code for group in ("task", "model") for code in plugins.code(group, getattr(self.config, group).name)]
        content = " ".join([self.prepared.manifest.hashes[name], *own])
        cache, max_length = ENCODED.path(), self.config.batch.max_length
        return encode(rows, name, content=content, tokenizer=self.tokenizer, task=self.task, max_length=max_length, cache=cache)

    @cached_property
    def plan(self) -> Plan:
        """The global batches of training. Raises ConfigError when a batch is larger than the data."""
        batch, sides = self.config.batch, self.splits["train"].encoded.sides
        if len(sides) == 1:
            return Plan(sides[0], batch.size, self.config.seed, batch.bucket)
        # By the longer side, then by both together: little is padded on either.
        longer = np.maximum(*sides)
        return Plan(longer, batch.size, self.config.seed, batch.bucket, order=longer * (2 * int(longer.max()) + 1) + sides[0] + sides[1])

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole training. Raises ConfigError when nothing limits them."""
        limits = self.limits or self.trainer or self.config.trainer
        epochs, most = limits.max_epochs, limits.max_steps
        if epochs is None or epochs < 0:
            if most < 0:
                what = "a schedule of the learning rate needs to know the length of training"
                raise ConfigError(Problem(what, "Trainer(max_epochs=-1)", hint="set max_epochs or max_steps"))
            return most
        steps = epochs * self.plan.steps_per_epoch
        return steps if most < 0 else min(steps, most)

    def step(self, batch: Rows) -> Step:
        """This rank's share of a global batch."""
        mine = self._share(batch, self.rank)
        passes = max(len(self._share(batch, rank).micro_batches) for rank in range(self.world))
        return Step([self.splits["train"].batch(rows, training=True) for rows in mine.micro_batches], mine.counts, passes)

    def _share(self, batch: Rows, rank: int) -> Share:
        parts, tokens = self.config.batch.micro_batches, self.config.batch.max_tokens
        return share(batch, self.plan.lengths, rank=rank, world=self.world, parts=parts, tokens=tokens)

    def train_dataloader(self) -> StepLoader:
        """Optimizer steps of this rank."""
        return StepLoader(self, lambda: self.trainer.global_step if self.trainer else 0)

    def val_dataloader(self) -> EvaluationLoader:
        """Validation batches of this rank."""
        return self.evaluation_loader("validation")

    def test_dataloader(self) -> EvaluationLoader:
        """Test batches of this rank. Raises ConfigError when the data has no test split."""
        return self.evaluation_loader("test")

    def predict_dataloader(self) -> EvaluationLoader:
        """Batches of this rank to predict on: of test where there is one, else of validation."""
        return self.evaluation_loader("test" if "test" in self.splits else "validation")

    def evaluation_loader(self, split: str) -> EvaluationLoader:
        """Batches of this rank of a split, in batches of batch.eval_size."""
        if split not in self.splits:
            what = f"this data has no {split} split"
            raise ConfigError(Problem(what, f"dataset={self.config.dataset.name}", allowed=f"one of {', '.join(self.splits)}"))
        return EvaluationLoader(self.splits[split], self.config.batch.eval_size, rank=self.rank, world=self.world)

    def transfer_batch_to_device(self, batch: Step | Batch, device: torch.device, dataloader_idx: int) -> Step | Batch:
        """Move a step, or an evaluation batch, to the device."""
        return batch.to(device)

    def token_counts(self, steps: int) -> dict[str, int]:
        """Tokens that all ranks computed in the first `steps` steps: real ones, and padding beside them."""
        real = padded = 0
        for epoch in range(-(-steps // self.plan.steps_per_epoch)):
            for batch in self.plan.epoch(epoch)[: steps - epoch * self.plan.steps_per_epoch]:
                pieces = [rows for rank in range(self.world) for rows in self._share(batch, rank).micro_batches]
                lengths = [side[rows] for rows in pieces for side in self.splits["train"].encoded.sides]
                real += int(sum(piece.sum() for piece in lengths))
                padded += int(sum(len(piece) * piece.max() - piece.sum() for piece in lengths))
        return {"real": real, "padded": padded}
