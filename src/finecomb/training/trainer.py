"""Builds Lightning's Trainer from the config. Ranks are started by the launcher or by torchrun, never by Lightning."""

from __future__ import annotations

import os
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy

from finecomb.config.errors import Problem, UserError
from finecomb.config.schema.trainer import Trainer
from finecomb.runs.directory import RunDirectory
from finecomb.training.checkpoint import AtomicCheckpointIO

VERSION = "1"


def build(config: Trainer, run: RunDirectory, *, callbacks: list[pl.Callback], loggers: list[Any], log_every_n_steps: int) -> pl.Trainer:
    """The Trainer of one rank.

    Steps, best epochs, time limits and checkpoints are ours (callbacks), and so are accumulation and the order of the data, so Lightning is
    told of none of them. Raises UserError when several processes are asked for and nobody started them.
    """
    devices = int(config.devices)
    several = devices * config.num_nodes > 1
    if several and "LOCAL_RANK" not in os.environ and "SLURM_PROCID" not in os.environ:
        raise UserError(
            Problem(
                what=f"trainer.devices={devices} on {config.num_nodes} machines need as many processes, and only this one was started",
                where="trainer.devices",
                mend="start the run by `finecomb train`, or the worker by torchrun",
            )
        )
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=devices,
        num_nodes=config.num_nodes,
        strategy=_strategy(config) if several else "auto",
        precision=config.precision,
        max_epochs=config.max_epochs,
        gradient_clip_val=config.gradient_clip_val,
        accumulate_grad_batches=1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=loggers or False,
        log_every_n_steps=log_every_n_steps,
        plugins=[AtomicCheckpointIO()],
        deterministic="warn",
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(run.path),
    )


def _strategy(config: Trainer) -> DDPStrategy:
    return DDPStrategy(
        process_group_backend="gloo" if config.accelerator == "cpu" or not torch.cuda.is_available() else "nccl",
        forward_sync_buffers=False,  # every rank computes the same ones
        find_unused_parameters=True,  # some architectures hold tensors that classification never uses (XLNet's mask_emb)
    )


def rank_and_world(config: Trainer) -> tuple[int, int]:
    """This process's rank among all, and how many there are, before Lightning knows."""
    world = int(config.devices) * config.num_nodes
    if world == 1:
        return 0, 1
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name]), world
    return int(os.environ.get("NODE_RANK", "0")) * int(config.devices) + int(os.environ.get("LOCAL_RANK", "0")), world
