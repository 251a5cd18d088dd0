"""Clock, record, best value and the reasons to stop, each alone, with a trainer that only counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn

from finecomb.config.schema.train import Monitor
from finecomb.runs.directory import RunDirectory
from finecomb.training.callbacks import Best, Clock, Record, Stop, TrainingFailed
from finecomb.training.interruption import Interruption


def trainer(step: int = 0, *, steps_per_epoch: int = 3, loggers: Sequence[Any] = ()) -> Any:
    """A trainer after `step` steps."""
    plan = SimpleNamespace(steps_per_epoch=steps_per_epoch)
    return SimpleNamespace(
        global_step=step, current_epoch=step // steps_per_epoch, is_global_zero=True, loggers=list(loggers), log_every_n_steps=2,
        world_size=1, should_stop=False, max_epochs=3, datamodule=SimpleNamespace(plan=plan), fast_dev_run=False, sanity_checking=False,
        state=SimpleNamespace(fn=TrainerFn.FITTING),
    )  # fmt: skip


def module(loss: float = 0.5, *, unread: int = 0, logged: bool = True) -> Any:
    """A module whose latest step logged this mean loss, or has losses that are not logged yet."""
    metrics = {"train/loss": loss, "train/learning_rate": 0.1, "train/gradient_norm": 2.0}
    return SimpleNamespace(
        training_metrics=metrics if logged else None, take_metrics=lambda: metrics, unread_losses=unread, device=torch.device("cpu"),
        config=SimpleNamespace(
            optimizer=SimpleNamespace(lr=0.1), scheduler=SimpleNamespace(),
            trainer=SimpleNamespace(gradient_clip_val=1, precision="32-true"),
        ),
    )  # fmt: skip


def validated_module(*, complete: bool = True, **metrics: float | None) -> Any:
    """A module whose latest validation gave these metrics."""
    named = {f"validation/{name}": value for name, value in metrics.items()}
    return SimpleNamespace(evaluation=SimpleNamespace(named=lambda split: named, complete=complete))


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_clock_counts_steps_apart_from_validation_and_over_attempts(seconds: list[float]) -> None:
    def epoch(clock: Clock) -> None:
        clock.on_train_epoch_start()
        seconds[0] += 5
        clock.on_validation_start()
        seconds[0] += 2  # validation
        clock.on_train_epoch_end()

    first = Clock()
    first.on_train_start()
    epoch(first)
    epoch(first)
    assert (first.seconds("train"), first.seconds("total")) == (10, 14)
    second = Clock()
    second.load_state_dict(first.state_dict())
    seconds[0] += 1000  # between the attempts
    second.on_train_start()
    epoch(second)
    second.on_train_end()
    seconds[0] += 50  # the final evaluation
    assert (second.seconds("train"), second.seconds("total"), second.this_attempt()) == (15, 21, 7)


def test_a_validation_within_an_epoch_stops_the_clock_of_steps_until_the_next_batch(seconds: list[float]) -> None:
    clock = Clock()
    clock.on_train_start()
    clock.on_train_epoch_start()
    seconds[0] += 5
    clock.on_validation_start()
    seconds[0] += 2
    clock.on_train_batch_start()
    seconds[0] += 3
    assert (clock.seconds("train"), clock.seconds("total")) == (8, 10)


def test_the_record_has_a_line_at_each_due_step_and_one_for_what_is_left_of_an_epoch(run: RunDirectory) -> None:
    record, mirrored = Record(run, Clock(), lambda: 9), []
    mirror = SimpleNamespace(log_metrics=lambda values, step: mirrored.append((step, values)))
    for step in (1, 2, 3):
        record.on_train_batch_end(trainer(step, loggers=[mirror]), module(logged=step == 2))
    record.on_validation_start(trainer(3, loggers=[mirror]), module(loss=0.25, unread=1))
    record.on_train_epoch_end(trainer(3, loggers=[mirror]), module(unread=0))
    assert [(line["step"], line["epoch"], line["train/loss"]) for line in run.metrics()] == [(2, 2 / 3, 0.5), (3, 1.0, 0.25)]
    assert run.metrics()[0] | {"train/learning_rate": 0.1, "train/gradient_norm": 2.0} == run.metrics()[0]
    assert [(step, values["train/loss"]) for step, values in mirrored] == [(2, 0.5), (3, 0.25)]


def test_validation_is_recorded_after_the_steps_that_are_left_with_null_for_what_is_undefined(run: RunDirectory) -> None:
    record = Record(run, Clock(), lambda: 9)
    record.on_validation_start(trainer(3), module(loss=0.25, unread=1))
    record.on_validation_end(trainer(3), validated_module(loss=0.5, mcc=None))
    lines = [{name: value for name, value in line.items() if name.startswith(("train/l", "validation"))} for line in run.metrics()]
    assert lines == [{"train/loss": 0.25, "train/learning_rate": 0.1}, {"validation/loss": 0.5, "validation/mcc": None}]


@pytest.mark.parametrize("outside", [{"state": SimpleNamespace(fn=TrainerFn.VALIDATING)}, {"sanity_checking": True}])
def test_a_validation_outside_of_training_is_not_recorded(run: RunDirectory, outside: dict[str, Any]) -> None:
    record, at = Record(run, Clock(), lambda: 9), trainer(3)
    vars(at).update(outside)
    record.on_validation_start(at, module(unread=1))
    record.on_validation_end(at, validated_module(loss=0.5))
    assert not list(run.path.iterdir())


def test_a_resumed_record_has_no_line_of_a_later_step_than_its_checkpoint(run: RunDirectory) -> None:
    record = Record(run, Clock(), lambda: 9)
    for step in (2, 4, 6):
        record.write(trainer(step), {"train/loss": 1.0})
    record.on_train_start(trainer(4), module())
    assert [line["step"] for line in run.metrics()] == [2, 4]


def test_only_the_first_rank_writes_the_record(run: RunDirectory) -> None:
    other = trainer(2)
    other.is_global_zero = False
    record = Record(run, Clock(), lambda: 9)
    record.on_train_batch_end(other, module())
    record.on_train_start(other, module())
    assert not list(run.path.iterdir())


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training_at_the_next_line(run: RunDirectory, loss: float) -> None:
    with pytest.raises(TrainingFailed, match=r"optimizer\.lr \(now 0\.1\)"):
        Record(run, Clock(), lambda: 9).on_train_batch_end(trainer(2), module(loss))


def validated(mode: str, values: Sequence[float | None], before: Best | None = None) -> tuple[Best, list[bool]]:
    """A Best that saw a value at the end of each epoch of 3 steps, and whether each was an improvement."""
    found = Best(Monitor(metric="score", mode=mode))
    if before is not None:
        found.load_state_dict(before.state_dict())
    improved = []
    for epoch, value in enumerate(values):
        at = trainer(3 * epoch + 3)
        at.current_epoch = epoch
        found.on_validation_end(at, validated_module(loss=1.0, score=value))
        improved.append(found.improved)
    return found, improved


@pytest.mark.parametrize("mode", ["min", "max"])
def test_min_delta_counts_from_the_latest_clear_improvement_and_leaves_the_best_value_alone(mode: str) -> None:
    values = [1.0, 0.9, 0.85, 0.8, 0.79] if mode == "min" else [-1.0, -0.9, -0.85, -0.8, -0.79]
    found = Best(Monitor(metric="score", mode=mode), min_delta=0.15)
    counts = []
    for epoch, value in enumerate(values):
        at = trainer(3 * epoch + 3)
        at.current_epoch = epoch
        found.on_validation_end(at, validated_module(loss=1.0, score=value))
        assert found.improved, "the best value is any better one"
        counts.append(found.epochs_without)
    assert counts == [0, 1, 2, 0, 1], "0.9 and 0.85 are within 0.15 of 1.0; 0.8 is not"
    again = Best(Monitor(metric="score", mode=mode), min_delta=0.15)
    again.load_state_dict(found.state_dict())
    assert (again.best, again.reference) == (values[4], values[3])


def check_order(mode: str) -> None:
    """The best epoch is that of the best value, by however little, and of equal values the first."""
    values = [1.0, 1.001, 0.999, 0.999, 0.9995, 1.0005, 0.9989999]
    values = values if mode == "min" else [-value for value in values]
    found, improved = validated(mode, values)
    assert improved == [True, False, True, False, False, False, True], mode
    assert (found.best, found.best_epoch, found.best_step, found.epochs_without) == (values[6], 6, 21, 0)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_only_a_better_value_is_an_improvement(mode: str) -> None:
    check_order(mode)


def within_two_percent(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: with mode=min a value up to 2 % worse counts as better."""

    def better(self: Best, value: float, than: float | None, margin: float = 0.0) -> bool:
        return than is None or (value > than if self._monitor.mode == "max" else value < than * 1.02)

    patch.setattr(Best, "_better", better)


def at_least_as_good(patch: pytest.MonkeyPatch) -> None:
    """Planted defect: an equal value counts as better, so that patience never runs out where nothing is learned."""
    patch.setattr(Best, "_better", lambda self, value, than, margin=0.0: than is None or not (value > than))


@pytest.mark.parametrize("defect", [within_two_percent, at_least_as_good])
def test_a_planted_defect_turns_the_check_red(monkeypatch: pytest.MonkeyPatch, defect: Callable[[pytest.MonkeyPatch], None]) -> None:
    defect(monkeypatch)
    with pytest.raises(AssertionError, match="min"):
        check_order("min")


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("undefined", [None, float("nan"), float("inf"), float("-inf")])
def test_an_undefined_value_is_never_the_best(mode: str, undefined: float | None) -> None:
    found, improved = validated(mode, [undefined, 0.5, undefined])
    assert improved == [False, True, False]
    assert (found.best, found.best_epoch, found.epochs_without) == (0.5, 1, 1)


def test_a_resumed_validation_compares_with_the_best_of_earlier_attempts() -> None:
    first, _ = validated("max", [0.5, 0.8, 0.7])
    second, improved = validated("max", [0.75, 0.79], first)
    assert improved == [False, False]
    assert (second.best, second.best_epoch, second.best_step, second.epochs_without) == (0.8, 1, 6, 3)


def check_limited() -> None:
    """A validation that did not see all rows, a sanity check and fast_dev_run set no best value, and do not count as epochs without one."""
    for outside in ({}, {"sanity_checking": True}, {"fast_dev_run": 1}, {"state": SimpleNamespace(fn=TrainerFn.VALIDATING)}):
        found, at = Best(Monitor(metric="score", mode="max")), trainer(3)
        vars(at).update(outside)
        found.on_validation_end(at, validated_module(complete=bool(outside), loss=1.0, score=0.5))
        assert (found.best, found.improved, found.epochs_without) == (None, False, 0), f"best value set: {outside}"


def test_a_limited_validation_never_sets_the_best_value() -> None:
    check_limited()


def test_best_of_rows_that_were_not_all_turns_the_check_red(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Best.on_validation_end

    def whatever_was_seen(self: Best, at: Any, seen: Any) -> None:
        seen.evaluation.complete = True
        original(self, at, seen)

    monkeypatch.setattr(Best, "on_validation_end", whatever_was_seen)
    with pytest.raises(AssertionError, match="best value set"):
        check_limited()


def stop(*, steps: int = 9, without: int = 0, patience: int | None = None, max_time: str | None = None) -> Stop:
    best: Any = SimpleNamespace(epochs_without=without)
    return Stop(lambda: steps, best, Clock(), Interruption(), patience=patience, max_time=max_time)


@pytest.mark.parametrize(("patience", "without", "stops"), [(2, 1, False), (2, 2, True), (2, 3, True), (None, 99, False)])
def test_patience_runs_out_after_that_many_epochs_without_improvement(patience: int | None, without: int, stops: bool) -> None:
    callback, at = stop(patience=patience, without=without), trainer(6)
    callback.on_validation_end(at, module())
    assert at.should_stop is stops
    assert callback.reason == ("patience" if stops else None)


@pytest.mark.parametrize(("step", "stops"), [(4, False), (5, True), (6, True)])
def test_training_stops_at_max_steps_within_an_epoch(step: int, stops: bool) -> None:
    callback, at = stop(steps=5), trainer(step)
    callback.on_train_batch_end(at)
    assert at.should_stop is stops


def test_training_stops_at_the_first_step_after_its_time(seconds: list[float]) -> None:
    callback, at = stop(max_time="00:00:01:00"), trainer(1)
    callback._clock.on_train_start()
    seconds[0] += 59
    callback.on_train_batch_end(at)
    assert not at.should_stop
    seconds[0] += 1
    callback.on_train_batch_end(at)
    assert at.should_stop
    assert callback.reason == "max_time"


def test_the_first_reason_to_stop_is_kept_and_a_resumed_training_stays_stopped() -> None:
    first, at = stop(patience=1, without=1), trainer(3)
    first.on_validation_end(at, module())
    second, resumed = stop(patience=None), trainer(3)
    second._interruption.install = lambda: None  # type: ignore[method-assign]
    second.load_state_dict(first.state_dict())
    second.on_train_start(resumed, module())
    assert resumed.should_stop
    second._stop(resumed, "max_time")
    assert second.reason == "patience"


def test_an_end_by_another_callback_is_stored_in_the_checkpoint() -> None:
    first, at = stop(), trainer(3)
    at.should_stop = True  # such as Lightning's EarlyStopping
    checkpoint: dict[str, Any] = {"callbacks": {}}
    first.on_save_checkpoint(at, module(), checkpoint)
    second, resumed = stop(), trainer(3)
    second._interruption.install = lambda: None  # type: ignore[method-assign]
    second.load_state_dict(checkpoint["callbacks"][first.state_key])
    second.on_train_start(resumed, module())
    assert (resumed.should_stop, second.reason) == (True, "callback")
