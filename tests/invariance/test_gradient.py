"""Law 1: one global batch gives one gradient, however it is split over micro-batches; and the trained weights follow."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from harness import (
    FAMILIES,
    TASKS,
    TUNINGS,
    ZERO_WEIGHTS,
    cell_config,
    check_same,
    check_zero_weights,
    largest_difference,
    parts_of,
    plain,
    run_in,
    train,
    with_split,
)

from finecomb.config.schema.train import Config
from finecomb.data.dataset.prepared import content_hash, open_prepared, read_rows, write
from finecomb.learning.tuning import Tuned
from finecomb.training.evaluate import score

# float64; measured: below 1e-15.
TOLERANCE = 1e-9


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("task", TASKS)
def test_every_split_of_a_batch_gives_the_plain_gradient(task: str, tuning: str, data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, task, tuning)
    expected = plain(config)
    for split in ({"parts": 1}, {"parts": 4}, {"parts": 8}, {"tokens": 40}):
        check_same(expected, train(tmp_path, with_split(config, **split)), TOLERANCE)


@pytest.mark.parametrize("tuning", ["full", "lora", "prompt"])
def test_gradient_checkpointing_gives_the_plain_gradient(tuning: str, data_folder: Path, tmp_path: Path) -> None:
    expected = plain(cell_config(data_folder, "single", tuning))
    checkpointed = cell_config(data_folder, "single", tuning, "model.gradient_checkpointing=true")
    check_same(expected, train(tmp_path, with_split(checkpointed, parts=4)), TOLERANCE)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_gives_the_plain_gradient(family: str, data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, "pair", "full", "model=tiny", f"model.architecture={family}")
    check_same(plain(config), train(tmp_path, with_split(config, parts=4)), TOLERANCE)


def test_class_weights_are_a_weighted_mean_over_the_global_batch(data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, "single", "full", "loss.class_weights=[1,5,0.2]")
    expected = plain(config)
    for split in ({"parts": 1}, {"parts": 8}, {"tokens": 40}):
        check_same(expected, train(tmp_path, with_split(config, **split)), TOLERANCE)


@pytest.mark.parametrize("split", [{"parts": 1}, {"parts": 2}, {"tokens": 20}])
def test_a_batch_in_which_no_example_counts_has_gradient_zero(split: dict[str, int], data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, "single", "full", *ZERO_WEIGHTS)
    check_zero_weights(config, train(tmp_path, with_split(config, **split), double=False))


def test_clipping_is_by_the_norm_of_the_whole_gradient_however_the_batch_is_split(data_folder: Path, tmp_path: Path) -> None:
    limit = 0.1
    config = cell_config(data_folder, "single", "full", f"trainer.gradient_clip_val={limit}", "trainer.log_every_n_steps=1")
    expected, unclipped = plain(config), plain(cell_config(data_folder, "single", "full"))
    norms = [float(torch.stack([each.norm() for each in step.values()]).norm()) for step in expected.gradients]
    assert min(norms) > 2 * limit, "the test needs gradients that are clipped"
    assert largest_difference(expected.weights, unclipped.weights) > 1e-3
    for split in ({"parts": 1}, {"parts": 4}, {"tokens": 40}):
        run = run_in(tmp_path, config)
        check_same(expected, train(tmp_path, with_split(config, **split), run=run), TOLERANCE)
        # The norm is logged as it was before clipping.
        assert [line["train/gradient_norm"] for line in run.metrics() if "train/loss" in line] == pytest.approx(norms)


@pytest.mark.parametrize("task", TASKS)
def test_weights_of_examples_give_one_gradient_however_the_batch_is_split(task: str, data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, task, "full", weighted=True)
    expected = plain(config)
    for split in ({"parts": 1}, {"parts": 4}, {"parts": 8}, {"tokens": 40}):
        check_same(expected, train(tmp_path, with_split(config, **split)), TOLERANCE)
    assert largest_difference(plain(cell_config(data_folder, task, "full")).gradients[0], expected.gradients[0]) > 0.01


def _with_soft_labels(source: Path, target: Path, soft: Callable[[int], list[float]]) -> Path:
    """The same rows with soft labels beside the hard ones in train."""
    prepared = open_prepared(source)
    splits = read_rows(prepared)
    train_rows = splits["train"]
    splits["train"] = dataclasses.replace(train_rows, soft=[soft(label) for label in train_rows.label])
    hashes = {name: rows.sha256() for name, rows in splits.items()}
    content = content_hash(hashes, "class", prepared.label_names)
    write(target, splits, dataclasses.replace(prepared.manifest, hashes=hashes, content_hash=content))
    return target


def test_soft_labels_that_are_certain_train_as_hard_ones_and_others_however_the_batch_is_split(data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, "single", "full")
    source = Path(str(config.dataset.path))
    expected, draw = plain(config), random.Random(0)

    def certain(label: int) -> list[float]:
        return [float(name == label) for name in range(3)]

    def unsure(_: int) -> list[float]:
        shares = [draw.random() for _ in range(3)]
        return [share / sum(shares) for share in shares]

    def on(data: Path) -> Config:
        return dataclasses.replace(config, dataset=dataclasses.replace(config.dataset, path=str(data)))

    hard = on(_with_soft_labels(source, tmp_path / "certain", certain))
    for parts in (1, 4):
        check_same(expected, train(tmp_path, with_split(hard, parts=parts)), TOLERANCE)
    soft = on(_with_soft_labels(source, tmp_path / "unsure", unsure))
    whole = train(tmp_path, with_split(soft, parts=1))
    for split in ({"parts": 4}, {"parts": 8}, {"tokens": 40}):
        check_same(whole, train(tmp_path, with_split(soft, **split)), TOLERANCE)
    assert largest_difference(expected.gradients[0], whole.gradients[0]) > 0.01
    rows = parts_of(soft).data.splits["train"]
    assert all(isinstance(label, int) for label in rows.examples["label"])  # evaluation stays on the hard labels


def test_evaluation_is_never_weighted(data_folder: Path, tmp_path: Path) -> None:
    parts = parts_of(cell_config(data_folder, "single", "full", weighted=True))
    splits, loss = parts.data.splits, parts.loss
    assert splits["train"].weights is not None
    assert splits["validation"].weights is None
    logits = torch.zeros(len(splits["train"]), 3, dtype=torch.float64)
    assert torch.equal(score(parts.task, loss, logits, splits["train"]).weights, torch.ones(len(logits), dtype=torch.float64))


def test_batches_collated_by_worker_processes_are_the_same(data_folder: Path, tmp_path: Path) -> None:
    config = cell_config(data_folder, "single", "full")
    check_same(train(tmp_path, config), train(tmp_path, with_split(config, parts=2, workers=2)), TOLERANCE)


def test_every_micro_batch_is_computed_in_the_precision_of_training(
    data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[torch.dtype] = []
    original = Tuned.forward

    def noting(self: Tuned, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        logits = original(self, inputs)
        if torch.is_grad_enabled():
            kinds.append(logits.dtype)
        return logits

    config = cell_config(data_folder, "single", "full", "trainer.max_steps=1", "evaluate.test=false")
    bf16 = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, precision="bf16-mixed"))
    exact = train(tmp_path, config, double=False)
    monkeypatch.setattr(Tuned, "forward", noting)
    one, four = (train(tmp_path, with_split(bf16, parts=parts), double=False) for parts in (1, 4))
    assert set(kinds) == {torch.bfloat16}
    assert largest_difference(one.gradients[0], four.gradients[0]) < 0.01  # measured: 0.004
    assert 1e-4 < largest_difference(exact.gradients[0], four.gradients[0]) < 0.05  # measured: 0.004
    assert {tensor.dtype for tensor in four.gradients[0].values()} == {torch.float32}
