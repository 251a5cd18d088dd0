"""The callbacks of a config that a run's own loop does not need: any pl.Trainer can use them."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from finecomb.config import plugins
from finecomb.config.schema.callbacks import Callbacks
from finecomb.core.errors import ConfigError, Problem
from finecomb.training.callbacks.gradient_statistics import GradientStatistics, Write
from finecomb.training.callbacks.learning_rate_monitor import LearningRateMonitor
from finecomb.training.callbacks.sample_predictions import SamplePredictions
from finecomb.training.callbacks.weight_averaging import WeightAveraging


def build(config: Callbacks, *, directory: Path | None = None, write: Write | None = None) -> list[pl.Callback]:
    """The callbacks that are on: finecomb's in the order of the config, then those of plug-ins.

    Args:
        config: the composed dictionary of callbacks.
        directory: where they write files; None: the Trainer's `default_root_dir`.
        write: records values at the current step; None: the Trainer's loggers.
    """
    built: list[pl.Callback] = []
    if config.learning_rate_monitor.logging_interval is not None:
        built.append(LearningRateMonitor(logging_interval=config.learning_rate_monitor.logging_interval))
    if config.gradient_statistics.every_n_steps is not None:
        built.append(GradientStatistics(config.gradient_statistics.every_n_steps, write))
    if config.sample_predictions.num_examples is not None:
        built.append(SamplePredictions(config.sample_predictions.num_examples, directory))
    if config.weight_averaging.decay is not None:
        built.append(WeightAveraging(config.weight_averaging.decay))
    return [*built, *_of_plugins(config)]


def _of_plugins(config: Callbacks) -> list[pl.Callback]:
    """The callbacks of plug-ins. Raises ConfigError for a build function that returns something else."""
    built = []
    for name in plugins.callback_names():
        own, make = getattr(config, name, None), plugins.find_build("callbacks", name)
        if own is None or make is None:
            continue
        callback = make(own)
        if not isinstance(callback, pl.Callback):
            what = f"the build function of callbacks.{name} returned {type(callback).__name__}"
            raise ConfigError(Problem(what, f"callbacks.{name}", "a pytorch_lightning.Callback"))
        built.append(callback)
    return built
