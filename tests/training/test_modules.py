"""What the small modules of training decide, each alone: evaluation, tables, checkpoints, interruption, memory, plan of steps."""

from __future__ import annotations

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from harness import parts_of
from pytorch_lightning.trainer.states import TrainerFn
from tiny_runs import tiny_config

from finecomb.core.errors import ConfigError
from finecomb.learning import scheduler
from finecomb.learning.task import Batch
from finecomb.training import checkpoint, memory, tables
from finecomb.training.checkpoint import AtomicCheckpointIO, Checkpoint
from finecomb.training.collector import Collector, collect
from finecomb.training.datamodule import EvaluationLoader, StepLoader
from finecomb.training.interruption import Interrupted, Interruption, time_to_agree

CPU = torch.device("cpu")


def batch(*rows: int) -> Batch:
    """A batch whose logits are its row numbers."""
    index = torch.tensor(rows)
    return Batch({"rows": index}, None, index)


def keep(batch: Batch) -> torch.Tensor:
    return batch.inputs["rows"][:, None].float()


def test_logits_are_in_row_order_whatever_the_order_of_batches() -> None:
    logits = collect(keep, [batch(3, 0), batch(2), batch(1)], rows=4, width=1, device=CPU)
    assert logits[:, 0].tolist() == [0, 1, 2, 3]
    assert logits.dtype == torch.float64


def check_each_row_once(rows: list[tuple[int, ...]], error: str) -> None:
    """Rows that were never computed, or more than once, are an error."""
    with pytest.raises(RuntimeError, match=error):
        collect(keep, [batch(*each) for each in rows], rows=3, width=1, device=CPU)


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([(0, 1)], "1 of 3 examples never and 0"),
        ([(0, 1), (1, 2)], "0 of 3 examples never and 1"),
        ([(0, 1, 1), (2,)], "0 of 3 examples never and 1"),
    ],
)
def test_a_row_that_is_evaluated_never_or_twice_is_an_error(rows: list[tuple[int, ...]], error: str) -> None:
    check_each_row_once(rows, error)


def test_a_partial_evaluation_has_the_rows_it_saw_and_still_none_twice() -> None:
    collector = Collector(4, 1, CPU)
    for each in ((3,), (1,), (4,)):  # 4: a filler
        collector.add(keep, batch(*each))
    logits, rows = collector.gather(1, partial=True)
    assert (logits[:, 0].tolist(), rows.tolist()) == ([1, 3], [1, 3])
    collector.add(keep, batch(1))
    with pytest.raises(RuntimeError, match="1 more than once"):
        collector.gather(1, partial=True)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 4, 64])
def test_every_rank_has_equally_many_evaluation_batches_and_every_row_is_in_one(world: int, size: int, data: Path) -> None:
    split = parts_of(tiny_config(data)).data.splits["validation"]
    loaders = [EvaluationLoader(split, size, rank=rank, world=world) for rank in range(world)]
    batches = [list(loader) for loader in loaders]
    assert {len(each) for each in batches} == {len(loaders[0])}
    rows = [int(row) for each in batches for made in each for row in made.index]
    assert sorted(row for row in rows if row < len(split)) == list(range(len(split)))


def test_the_confusion_matrix_has_labels_in_rows_and_predictions_in_columns() -> None:
    predictions = [{"label": label, "prediction": prediction} for label, prediction in ("ab", "ab", "ba", "bb")]
    assert tables.confusion(predictions, ["a", "b", "c"])["counts"] == [[0, 2, 0], [1, 1, 0], [0, 0, 0]]


def test_a_failed_write_keeps_the_old_checkpoint_and_leaves_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, path = AtomicCheckpointIO(), tmp_path / checkpoint.LAST
    writer.save_checkpoint({"global_step": 1}, path)

    def full(content: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ConfigError, match="disk is full"):
        writer.save_checkpoint({"global_step": 2}, path)
    assert checkpoint.load(path) == {"global_step": 1}
    assert [each.name for each in tmp_path.iterdir()] == [checkpoint.LAST]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"anything": Path("x")}, tmp_path / checkpoint.LAST)
    with pytest.raises(Exception, match="weights_only"):
        checkpoint.load(tmp_path / checkpoint.LAST)


class _Saving:
    """A trainer that counts the checkpoints it saves."""

    def __init__(self, step: int, *, last_of_epoch: bool = False, should_stop: bool = False) -> None:
        self.global_step, self.world_size, self.should_stop, self.saved = step, 1, should_stop, 0
        self.is_global_zero, self.current_epoch, self.sanity_checking = True, 0, False
        self.state, self.callbacks = SimpleNamespace(fn=TrainerFn.FITTING), []
        self.strategy = SimpleNamespace(lightning_module_state_dict=lambda: {"weight": torch.ones(1)})
        self.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=SimpleNamespace(is_last_batch=last_of_epoch)))

    def save_checkpoint(self, path: Path, weights_only: bool) -> None:
        self.saved += 1


def _checkpoint(folder: Path, *, improved: bool = False, interrupted: bool = False) -> Checkpoint:
    interruption, best = Interruption(), SimpleNamespace(improved=improved)
    interruption._asked = interrupted
    return Checkpoint(folder, every_n_steps=2, best=best, interruption=interruption)  # type: ignore[arg-type]


def check_within_epoch(folder: Path) -> None:
    """Checkpoints are written when due, but never between the last step of an epoch, or of all, and the end of its validation."""
    for trainer, saved in (
        (_Saving(2), 1),
        (_Saving(3), 0),
        (_Saving(4, last_of_epoch=True), 0),
        (_Saving(4, should_stop=True), 0),
    ):
        callback: Any = _checkpoint(folder)
        callback.on_train_batch_end(trainer)
        assert trainer.saved == saved, f"saved before validation at step {trainer.global_step}"


def test_checkpoints_within_an_epoch(tmp_path: Path) -> None:
    check_within_epoch(tmp_path)


def test_a_checkpoint_between_the_last_step_and_validation_turns_the_check_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def whenever_due(self: Any, trainer: Any, *_: Any) -> None:
        if trainer.global_step % self.every_n_steps == 0:
            trainer.save_checkpoint(self.directory / checkpoint.LAST, weights_only=False)

    monkeypatch.setattr(Checkpoint, "on_train_batch_end", whenever_due)
    with pytest.raises(AssertionError, match="saved before validation at step 4"):
        check_within_epoch(tmp_path)


@pytest.mark.parametrize("improved", [False, True])
def test_an_interruption_at_the_last_step_of_an_epoch_ends_after_validation_and_its_checkpoint(tmp_path: Path, improved: bool) -> None:
    callback, trainer = _checkpoint(tmp_path, improved=improved, interrupted=True), _Saving(4, last_of_epoch=True)
    callback.on_train_batch_end(trainer)  # type: ignore[arg-type]
    assert trainer.saved == 0
    module: Any = SimpleNamespace(state_dict=lambda: {"weight": torch.ones(1)})
    callback.on_validation_end(trainer, module)  # type: ignore[arg-type]
    with pytest.raises(Interrupted):
        callback.on_train_epoch_end(trainer, module)  # type: ignore[arg-type]
    assert trainer.saved == 1
    assert (tmp_path / checkpoint.BEST).exists() is improved
    if improved:
        assert checkpoint.load(tmp_path / checkpoint.BEST)["global_step"] == 4


def test_sigterm_in_training_waits_for_the_checkpoint() -> None:
    interruption = Interruption()
    interruption.training = True
    interruption._handle(signal.SIGTERM, None)
    assert interruption.asked(SimpleNamespace(world_size=1))  # type: ignore[arg-type]


@pytest.mark.parametrize(("world", "step", "agree"), [(1, 7, True), (2, 7, False), (2, 20, True)])
def test_several_ranks_exchange_flags_every_tenth_step_only(world: int, step: int, agree: bool) -> None:
    assert time_to_agree(SimpleNamespace(world_size=world, global_step=step)) is agree  # type: ignore[arg-type]


def test_memory_is_counted_in_bytes_and_its_peak_is_never_below_it() -> None:
    before = memory.now(CPU)
    held = np.ones(8_000_000)
    assert memory.now(CPU) - before > 0.5 * held.nbytes
    assert memory.peak(CPU) >= memory.now(CPU) - 2**20


def test_the_steps_of_a_resumed_epoch_are_those_that_are_left_of_it(data: Path) -> None:
    parts = parts_of(tiny_config(data))
    plan, splits = parts.data.plan, parts.data.splits
    assert len(splits["train"]) == 24
    loader = StepLoader(parts.data, lambda: 4)  # the second step of the second epoch
    found = [[int(row) for piece in step.micro_batches for row in piece.index] for step in loader]
    assert found == [rows.tolist() for rows in plan.epoch(1)[1:]]
    with pytest.raises(RuntimeError, match="another plan"):
        loader.load_state_dict({"examples": 24, "size": 4})


def check_schedule(data: Path) -> None:
    """The schedule ends where training does, whichever limit comes first."""
    for max_steps, total in ((-1, 9), (5, 5), (6, 6), (100, 9)):
        config = tiny_config(data, "trainer.max_epochs=3", f"trainer.max_steps={max_steps}", "scheduler=linear", "scheduler.warmup=0")
        parts = parts_of(config)
        module: Any = parts.module()
        module._trainer = SimpleNamespace(datamodule=parts.data, precision="32-true", strategy=None)
        schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
        expected = scheduler.factor(config.scheduler, total)
        found = [schedule.lr_lambdas[0](step) for step in range(total)]
        assert found == pytest.approx([expected(step) for step in range(total)]), f"max_steps={max_steps}"
        assert schedule.lr_lambdas[0](total) == pytest.approx(0), f"max_steps={max_steps}"


def test_the_schedule_ends_with_the_last_step(data: Path) -> None:
    check_schedule(data)


def test_a_schedule_that_ignores_max_steps_turns_the_check_red(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = scheduler.build
    monkeypatch.setattr(scheduler, "build", lambda config, optimizer, _: original(config, optimizer, 9))
    with pytest.raises(AssertionError, match="max_steps=5"):
        check_schedule(data)
