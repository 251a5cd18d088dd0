"""Builds Lightning's Trainer from the config. Ranks are started by the launcher or by torchrun, never by Lightning."""

from __future__ import annotations

import os

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from finecomb.config.schema.trainer import Trainer
from finecomb.core.errors import ConfigError, Problem
from finecomb.runs.directory import RunDirectory
from finecomb.training import strategy
from finecomb.training.checkpoint import AtomicCheckpointIO

VERSION = "1"


def build(config: Trainer, run: RunDirectory, *, callbacks: list[pl.Callback], loggers: list[Logger], log_every_n_steps: int) -> pl.Trainer:
    """The Trainer of one rank.

    The last step, time limits and checkpoints are left to callbacks, clipping, micro-batches and the order of the data to the modules, so
    none of them is set here. Raises ConfigError when several processes are requested and nobody started them.
    """
    devices = int(config.devices)
    several = devices * config.num_nodes > 1
    if several and "LOCAL_RANK" not in os.environ and "SLURM_PROCID" not in os.environ:
        raise ConfigError(
            Problem(
                what=f"trainer.devices={devices} on {config.num_nodes} machines need as many processes, and only this one was started",
                where="trainer.devices",
                hint="start the run by `finecomb train`, or the worker by torchrun",
            )
        )
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=devices,
        num_nodes=config.num_nodes,
        strategy=strategy.build(config) if several else "auto",
        # With bf16-true the model is built in bfloat16; Lightning would convert buffers, targets and the head too.
        precision="32-true" if config.precision == "bf16-true" else config.precision,
        max_epochs=config.max_epochs,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=loggers or False,
        log_every_n_steps=log_every_n_steps,
        plugins=[AtomicCheckpointIO()],
        deterministic="warn",
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(run.path),
    )


def weights_dtype(config: Trainer) -> torch.dtype:
    """The dtype of pre-trained weights in training, evaluation and the artifact."""
    return torch.bfloat16 if config.precision == "bf16-true" else torch.float32
