"""The plan of batches: a pure function that loses nothing and splits exactly."""

from __future__ import annotations

import numpy as np
import pytest

from finecomb.core.errors import ConfigError
from finecomb.training.batching import Plan, evaluation_batches, share

LENGTHS = np.random.default_rng(0).integers(1, 60, 203)


def plan(**how: int) -> Plan:
    return Plan(LENGTHS, **({"size": 16, "seed": 0, "bucket": 4} | how))


@pytest.mark.parametrize("bucket", [1, 4, 50])
@pytest.mark.parametrize("size", [1, 7, 16, 203])
def test_every_example_stands_in_one_batch_of_an_epoch(size: int, bucket: int) -> None:
    batches = plan(size=size, bucket=bucket).epoch(3)
    assert sorted(np.concatenate(batches).tolist()) == list(range(203))
    assert len(batches) == plan(size=size).steps_per_epoch
    assert sorted({len(batch) for batch in batches}) == sorted({size, 203 % size or size})


def test_the_plan_depends_on_seed_and_epoch_alone() -> None:
    def as_lists(batches: list[np.ndarray]) -> list[list[int]]:
        return [batch.tolist() for batch in batches]

    assert as_lists(plan().epoch(1)) == as_lists(plan().epoch(1))
    assert as_lists(plan().epoch(1)) != as_lists(plan().epoch(2))
    assert as_lists(plan().epoch(1)) != as_lists(plan(seed=1).epoch(1))


def test_buckets_save_padding_and_the_incomplete_batch_is_not_the_longest() -> None:
    def padding(bucket: int) -> int:
        return sum(int((LENGTHS[rows].max() - LENGTHS[rows]).sum()) for rows in plan(bucket=bucket).epoch(0))

    assert padding(50) < padding(1) / 3
    tails = [LENGTHS[rows].mean() for epoch in range(50) for rows in plan(bucket=50).epoch(epoch) if len(rows) < 16]
    assert np.mean(tails) == pytest.approx(LENGTHS.mean(), rel=0.1)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("tokens", [None, 1, 100])
def test_a_batch_is_split_without_loss(world: int, parts: int, tokens: int | None) -> None:
    for batch in plan().epoch(0):
        shares = [share(batch, LENGTHS, rank=rank, world=world, parts=parts, tokens=tokens) for rank in range(world)]
        rows = [row for each in shares if each.counts for piece in each.micro_batches for row in piece]
        assert sorted(rows) == sorted(batch)
        for each in shares:
            assert each.micro_batches
            for piece in each.micro_batches:
                assert len(piece)
                assert tokens is None or len(piece) == 1 or len(piece) * LENGTHS[piece].max() <= tokens


def test_accumulation_splits_a_batch_evenly() -> None:
    batch = plan().epoch(0)[0]
    assert [len(piece) for piece in share(batch, LENGTHS, rank=0, world=1, parts=4, tokens=None).micro_batches] == [4, 4, 4, 4]


def test_a_rank_without_examples_computes_one_that_does_not_count() -> None:
    empty = share(np.array([5]), LENGTHS, rank=1, world=2, parts=2, tokens=None)
    assert not empty.counts
    assert [piece.tolist() for piece in empty.micro_batches] == [[5]]


def test_a_batch_larger_than_the_data_is_the_users_error() -> None:
    with pytest.raises(ConfigError, match="larger than the training data"):
        plan(size=204)


@pytest.mark.parametrize("world", [1, 2, 5])
def test_evaluation_batches_hold_every_row_once(world: int) -> None:
    rows = [row for rank in range(world) for batch in evaluation_batches(LENGTHS, 16, rank=rank, world=world) for row in batch]
    assert sorted(rows) == list(range(203))
