"""Schedules against closed forms at chosen steps, as the optimizer sees them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from finecomb.config.schema import scheduler as schema
from finecomb.learning import scheduler

CONFIGS = {
    "linear": lambda warmup, final: schema.Decay("linear", warmup, final),
    "cosine": lambda warmup, final: schema.Decay("cosine", warmup, final),
    "polynomial": lambda warmup, final: schema.Polynomial("polynomial", warmup, final, 2.0),
    "constant": lambda warmup, final: schema.Scheduler("constant", warmup),
    "inverse_sqrt": lambda warmup, final: schema.Scheduler("inverse_sqrt", warmup),
}


def rates(config: Any, total: int, peak: float = 0.1) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedule = scheduler.build(config, optimizer, total)
    seen = []
    for _ in range(total):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("warmup", [0, 4, 0.2])
def test_no_step_is_spent_at_0_and_the_peak_is_reached_once_warm(name: str, warmup: float) -> None:
    seen = rates(CONFIGS[name](warmup, 0.0), 20)
    assert min(seen) > 0
    assert max(seen) == pytest.approx(0.1)
    if warmup:
        assert seen[:5] == pytest.approx([0.1 * step / 5 for step in (1, 2, 3, 4, 5)])


def test_closed_forms_after_the_warm_up() -> None:
    total, warmup, final = 24, 4, 0.1
    done = (14 - warmup) / (total - warmup)
    expected = {
        "linear": final + (1 - final) * (1 - done),
        "cosine": final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done)),
        "polynomial": final + (1 - final) * (1 - done) ** 2,
        "constant": 1.0,
        "inverse_sqrt": math.sqrt(5 / 15),
    }
    for name, share in expected.items():
        assert rates(CONFIGS[name](warmup, final), total)[14] == pytest.approx(0.1 * share), name


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial"])
def test_decay_ends_at_final_just_after_the_last_step(name: str) -> None:
    factor = scheduler.factor(CONFIGS[name](3, 0.25), 30)
    assert factor(30) == pytest.approx(0.25)
    assert factor(29) > 0.25
    assert factor(40) == pytest.approx(0.25)


def test_inverse_sqrt_rises_and_falls_as_in_the_paper() -> None:
    factor = scheduler.factor(CONFIGS["inverse_sqrt"](9, 0.0), 1000)
    assert [factor(step) for step in (0, 9, 39, 999)] == pytest.approx([0.1, 1.0, 0.5, 0.1])


@pytest.mark.parametrize(
    ("warmup", "total", "steps"), [(0.1, 30, 3), (0.1, 31, 4), (0, 10, 0), (1, 10, 1), (500, 10, 500), (0.999, 10, 10)]
)
def test_warm_up_is_steps_from_1_on_and_a_share_below(warmup: float, total: int, steps: int) -> None:
    assert scheduler.warmup_steps(warmup, total) == steps


@pytest.mark.parametrize("name", CONFIGS)
def test_a_warm_up_longer_than_training_and_a_single_step_do_no_harm(name: str) -> None:
    assert rates(CONFIGS[name](50, 0.0), 5) == pytest.approx([0.1 * (step + 1) / 51 for step in range(5)])
    assert rates(CONFIGS[name](0, 0.0), 1) == pytest.approx([0.1])


def test_the_state_of_a_schedule_is_plain_data() -> None:
    schedule = scheduler.build(CONFIGS["linear"](2, 0.0), torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1), 10)
    assert all(not callable(value) for value in schedule.state_dict()["lr_lambdas"])
