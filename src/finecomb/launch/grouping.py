"""The W&B group of a run: the name of the question that it helps to answer, which does not change when arms or seeds are added."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finecomb.launch.freeze import Checked

# What sets the runs of every question apart: tuning methods and seeds.
_ARMS = frozenset({"seed", "tuning"})


def question(jobs: Sequence[Checked]) -> str:
    """The group of the jobs of one command: `<experiment, or dataset-model>-<8 hex digits>`.

    The digits are a hash of the settings, as composed, that can change a result and are the same for all arms. Left out are the seed,
    everything in `tuning`, and each key or group with several values in this command (`optimizer.lr=1e-4,1e-3` leaves out `optimizer.lr`;
    `optimizer=adamw,sgd` leaves out all of `optimizer`). So a command that adds seeds, tuning methods or values of a swept key is in the
    same group, as is a single run of one arm; another dataset, model, budget or fixed setting is in another group. `auto` counts as
    written, so that the usual learning rate of each method is one setting.
    """
    arms = _ARMS | swept(jobs)
    first, *others = (job.settings for job in jobs)
    shared = {
        key: value
        for key, value in first.items()
        if not any(_inside(key, arm) or _inside(arm, key) for arm in arms) and all(other.get(key) == value for other in others)
    }
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()[:8]
    choices = jobs[0].choices
    named = ["experiment"] if choices.get("experiment") else ["dataset", "model"]
    words = [str(choices.get(group)) for group in named if group not in arms]
    return "-".join([*(re.sub(r"[^\w.+]+", "_", word) for word in words or ["sweep"]), digest])


def swept(jobs: Sequence[Checked]) -> frozenset[str]:
    """Keys and groups of the overrides that not all jobs have."""
    overrides = [set(job.overrides) for job in jobs]
    varying = overrides[0].union(*overrides) - overrides[0].intersection(*overrides)
    return frozenset(word.split("=")[0].lstrip("+~").partition("@")[0] for word in varying)


def _inside(key: str, other: str) -> bool:
    return key == other or key.startswith(f"{other}.")
