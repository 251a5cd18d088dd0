"""Learning-rate schedules: a factor of the peak rate for each optimizer step.

No step is spent at a rate of 0. With T steps, the first of them 0, and W of warm-up, the rate rises as (step + 1) / (W + 1), and so has its
peak at step W; it falls with the share done = (step - W) / (T - W), which would reach 1 one step after the last. (transformers begins at 0
and throws the first step away.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from finecomb.config.plugins import find_build
from finecomb.config.schema import scheduler as schema

VERSION = "1"


def build(config: schema.Scheduler, optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """The schedule of `config` for a training of `total_steps` optimizer steps, to be stepped once after each."""
    if own := find_build("scheduler", config.name):
        return own(config, optimizer, total_steps)
    return LambdaLR(optimizer, factor(config, total_steps))


def warmup_steps(warmup: float, total_steps: int) -> int:
    """Steps below the peak: `warmup` itself from 1 on, else that share of all steps, rounded up."""
    # Less a hair, because 0.1 * 30 is 3.0000000000000004.
    return int(warmup) if warmup >= 1 else math.ceil(warmup * total_steps - 1e-9)


def factor(config: schema.Scheduler, total_steps: int) -> Callable[[int], float]:
    """The function from step (counted from 0) to the share of the peak rate."""
    warmup = warmup_steps(config.warmup, total_steps)
    decay = _decay(config, warmup)

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        return decay(step, min(1.0, (step - warmup) / max(1, total_steps - warmup)))

    return share


def _decay(config: schema.Scheduler, warmup: int) -> Callable[[int, float], float]:
    """The function from (step, share done) to the share of the peak rate, after the warm-up."""
    if config.name == "constant":
        return lambda step, done: 1.0
    if config.name == "inverse_sqrt":
        # Vaswani et al. 2017, section 5.3, scaled so that the peak is 1.
        return lambda step, done: math.sqrt((warmup + 1) / (step + 1))
    if not isinstance(config, schema.Decay):
        raise ValueError(f"no schedule named {config.name}")
    final = config.final
    power = config.power if isinstance(config, schema.Polynomial) else 1.0
    if config.name == "cosine":
        return lambda step, done: final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
    return lambda step, done: final + (1 - final) * float((1 - done) ** power)
