"""`finecomb.compose`: a typed config from overrides."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from finecomb.config import compose as composing
from finecomb.config.overrides import override
from finecomb.config.schema.train import Config
from finecomb.config.task_rules import unlabeled
from finecomb.config.validate import validate


def compose(*overrides: str | Mapping[str, Any], config_dirs: Iterable[str | os.PathLike[str]] = ()) -> Config:
    """Compose the config that `finecomb train` would run with the same overrides.

    Works in a process where Hydra is already initialized. Trains nothing and reads no data.

    Args:
        overrides: `group=choice` and `key=value` strings as on the command line, or one mapping from groups and keys to values.
        config_dirs: Folders with choices of your own, as `--config-dir` adds them.

    Raises:
        ConfigError: Wrong choices, keys, types, bounds, missing values and fields that do not fit together, all at once.

    Example:
        >>> config = finecomb.compose("tuning=lora", "seed=1")
        >>> config.tuning.r, config.seed
        (8, 1)
        >>> config == finecomb.compose({"tuning": "lora", "seed": 1})
        True
    """
    composed = composing.compose(words_of(overrides), config_dirs=[Path(folder) for folder in config_dirs])
    validate(composed.config, composed.origins, trains=not unlabeled(composed.config))
    return composed.config


def words_of(overrides: Iterable[str | Mapping[str, Any]]) -> list[str]:
    """Overrides as strings; those of a mapping are written so that Hydra reads back the very value."""
    words: list[str] = []
    for each in overrides:
        if isinstance(each, str):
            words.append(each)
        elif isinstance(each, Mapping):
            words += [override(key, value) for key, value in each.items()]
        else:
            raise TypeError(f"an override is a string such as 'seed=1', or a mapping such as {{'seed': 1}}; got {each!r}")
    return words
