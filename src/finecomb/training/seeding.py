"""Random numbers of a training step."""

from __future__ import annotations

import random

import numpy as np
import torch

VERSION = "1"


def seed_step(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Make every random number a function of (seed, step, rank): a resumed training draws what the uninterrupted one drew."""
    words = np.random.SeedSequence([seed, step, rank]).generate_state(2)
    for_torch = int(words[0]) << 32 | int(words[1])
    # torch.manual_seed would note a traceback for every device that might be used one day: 2 ms and some memory at each step.
    torch.default_generator.manual_seed(for_torch)
    if device.type == "cuda":
        torch.cuda.manual_seed(for_torch)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
