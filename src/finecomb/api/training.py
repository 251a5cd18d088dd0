"""`finecomb.train` and `finecomb.multirun`: each run in processes of its own, as on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from finecomb.api.composing import words_of
from finecomb.api.run import Run, RunFailed
from finecomb.config.compose import Composition
from finecomb.config.overrides import override, value_text
from finecomb.config.schema.train import Config
from finecomb.launch import freeze
from finecomb.launch.launcher import launch
from finecomb.launch.multirun import run_multirun
from finecomb.studies.summary import tell_data
from finecomb.studies.sweep import reported_to


def train(config: Config) -> Run:
    """Train one model: the same launch, run directory and resume as `finecomb train`.

    The run is trained in a process of its own and this call waits for it, also in a notebook or a thread. A finished run with the same
    fingerprint is returned at once, an interrupted one resumes from its last checkpoint, a failed one runs again with `rerun=failed`.

    Args:
        config: What `compose` returned, changed or not.

    Raises:
        ConfigError: Something is wrong with the config, the data or the model; no run directory is made.
        RunFailed: The run has not finished.
        KeyboardInterrupt: Stopped by Ctrl-C or the notebook; the worker has been stopped, and the next call resumes.

    Example:
        >>> config = finecomb.compose("debug=tiny", "dataset=files", "dataset.files.train=reviews.csv")
        >>> run = finecomb.train(config)
        >>> 0 <= run.metrics["test/accuracy"] <= 1
        True
        >>> finecomb.train(config).reused  # a finished run is not trained twice
        True
    """
    freeze.forget()
    frozen = freeze.freeze(Composition.of(config))
    if config.callbacks.progress.enabled:
        tell_data([frozen])
    (outcome,) = launch([frozen], progress=config.callbacks.progress.enabled)
    if outcome.state != "finished":
        raise RunFailed([outcome])
    return Run._of(outcome)


def multirun(
    overrides: Sequence[str] | Mapping[str, Any],
    *,
    slots: int | None = None,
    fail_fast: bool = False,
    retries: int = 0,
    timeout: float | None = None,
    config_dirs: Iterable[str | os.PathLike[str]] = (),
) -> list[Run]:
    """Train every combination of the values given: the same runs and sweep record as `finecomb train -m`.

    Args:
        overrides: Strings as on the command line, where commas separate the values of a key, and `hydra/sweeper=optuna` searches;
            or one mapping, where a list holds the values of a key.
        slots: Jobs at once; None: one for each set of GPUs, one on a CPU.
        fail_fast: Stop everything at the first failure.
        retries: How often a failed job is started again.
        timeout: Seconds that an attempt may take; a run stopped by it resumes with the next call.
        config_dirs: Folders with choices of your own.

    Returns:
        The runs in the order of the jobs; of a search, those of its trials.

    Raises:
        ConfigError: Something is wrong with any job; nothing is started.
        RunFailed: Not all runs have finished. The others have, unless `fail_fast` is set.

    Example:
        >>> words = ["debug=tiny", "dataset=files", "dataset.files.train=reviews.csv", "callbacks.progress.enabled=false"]
        >>> runs = finecomb.multirun([*words, "seed=0,1"])
        >>> [run.config.seed for run in runs]
        [0, 1]
    """
    freeze.forget()
    words = _swept(overrides) if isinstance(overrides, Mapping) else words_of(overrides)
    launcher = {"slots": slots, "fail_fast": fail_fast or None, "retries": retries or None, "timeout": timeout}
    words += [override(f"hydra.launcher.{name}", value) for name, value in launcher.items() if value is not None]
    with reported_to(Console(quiet=True)):
        outcomes = run_multirun(words, config_dirs=[Path(folder) for folder in config_dirs], confirmed=True)
    if any(outcome.state not in ("finished", "pruned") for outcome in outcomes):
        raise RunFailed(outcomes)
    return [Run._of(outcome) for outcome in outcomes]


def _swept(overrides: Mapping[str, Any]) -> list[str]:
    lists = (list, tuple, range)
    return [
        f"{key}={','.join(map(value_text, value)) if isinstance(value, lists) else value_text(value)}" for key, value in overrides.items()
    ]
