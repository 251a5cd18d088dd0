"""Builds the loggers of a run from its config, and ends them. The run directory is the record; these are mirrors of it."""

from __future__ import annotations

from collections.abc import Sequence

from pytorch_lightning.loggers import Logger as LightningLogger

from finecomb.config import plugins
from finecomb.config.schema.logger import Logger, Wandb
from finecomb.runs.directory import RunDirectory
from finecomb.training.mirrors import CsvMirror, Mirror, TensorBoardMirror
from finecomb.training.wandb_mirror import WandbMirror


def build(config: Logger, run: RunDirectory) -> list[LightningLogger]:
    """The loggers of the first rank. W&B is opened here, so that a run that fails in its first step is seen there too."""
    own = plugins.find_build("logger", config.name)
    if own is not None:
        return list(own(config, run))
    if isinstance(config, Wandb):
        mirror = WandbMirror(run, config)
        mirror.open()
        return [mirror]
    if config.name == "csv":
        return [CsvMirror(run)]
    if config.name == "tensorboard":
        return [TensorBoardMirror(run)]
    return []


def finish(loggers: Sequence[LightningLogger], exit_code: int) -> None:
    """End each logger with the worker's exit code, on failure too."""
    for logger in loggers:
        if isinstance(logger, Mirror):
            logger.finish(exit_code)
        else:
            logger.finalize("success" if exit_code == 0 else "failed")
