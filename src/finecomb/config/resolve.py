"""Every `auto` becomes a value, so that a frozen config says what was computed."""

from __future__ import annotations

import dataclasses
from typing import Any

from finecomb.config import plugins
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import Machine

# Processes that trainer.devices=auto starts with a strategy on a machine without GPUs.
RANKS_ON_CPU = 2


def resolve(config: Config, *, machine: Machine) -> Config:
    """A copy without any `auto` but the model's type, which is read from the weights.

    Raises ConfigError for what this machine has not.
    """
    accelerator, devices = _devices(config, machine)
    if config.model.attention == "flash_attention_2" and accelerator == "cpu":
        what = "model.attention=flash_attention_2 needs a GPU, and none is visible"
        raise ConfigError(Problem(what, "model.attention", "auto, sdpa, eager", "set model.attention=sdpa"))
    precision = config.trainer.precision
    if precision == "auto":
        has_bf16 = machine.gpu_bf16 if accelerator == "gpu" else machine.bf16
        precision = "bf16-mixed" if has_bf16 else "32-true"
    threads = config.trainer.threads
    if threads == "auto":
        threads = max(1, machine.cores // devices)
    usual = usual_values(config)
    lr = config.optimizer.lr
    if lr == "auto":
        lr = usual.get("optimizer.lr")
        if lr is None:
            what = f"optimizer.lr=auto: no usual rate is known for tuning={config.tuning.name} with optimizer={config.optimizer.name}"
            raise ConfigError(Problem(what, "optimizer.lr", "a number", "give optimizer.lr=..."))
    metric: Any = config.monitor.metric
    if metric == "auto":
        metric = usual.get("monitor.metric")
        if metric is None:
            what = f"monitor.metric=auto: no usual metric is known for task={config.task.name}"
            raise ConfigError(Problem(what, "monitor.metric", hint="give monitor.metric=..."))
    mode = config.monitor.mode
    if mode == "auto":
        mode = "min" if plugins.lower_is_better(metric) else "max"
    trainer = dataclasses.replace(
        with_trainer(config, machine).trainer, accelerator=accelerator, devices=devices, precision=precision, threads=int(threads)
    )
    return dataclasses.replace(
        config,
        trainer=trainer,
        optimizer=dataclasses.replace(config.optimizer, lr=float(lr)),
        monitor=dataclasses.replace(config.monitor, metric=metric, mode=mode),
    )


def with_trainer(config: Config, machine: Machine) -> Config:
    """The config with the choice that trainer=auto is on this machine: the same run as with that choice written out."""
    trainer = config.trainer
    if trainer.name != "auto":
        return config
    accelerator = _accelerator(config, machine)
    name = accelerator if trainer.strategy == "auto" else trainer.strategy
    return dataclasses.replace(config, trainer=dataclasses.replace(trainer, name=name, accelerator=accelerator))


def usual_values(config: Config) -> dict[str, Any]:
    """What `auto` stands for where that depends on the config alone: learning rate, monitored metric and its mode."""
    usual: dict[str, Any] = {}
    facts = plugins.task_facts(variant(config.task))
    if facts is not None:
        metric = facts.monitor if config.monitor.metric == "auto" else config.monitor.metric
        usual = {"monitor.metric": facts.monitor, "monitor.mode": "min" if plugins.lower_is_better(metric) else "max"}
    rates = plugins.usual_rates(config.tuning.name, config.optimizer.name)
    if rates is not None:
        usual["optimizer.lr"] = rates.default
    return usual


def _accelerator(config: Config, machine: Machine) -> str:
    if config.trainer.accelerator != "auto":
        return config.trainer.accelerator
    return "gpu" if machine.gpus else "cpu"


def _devices(config: Config, machine: Machine) -> tuple[str, int]:
    accelerator, devices = _accelerator(config, machine), config.trainer.devices
    if devices == "auto" and config.trainer.strategy != "auto":
        devices = max(1, machine.gpus) if accelerator == "gpu" else RANKS_ON_CPU
    elif devices == "auto":
        devices = 1
    if accelerator == "gpu" and machine.gpus < devices:
        has = f"{machine.gpus} are visible" if machine.gpus else "none is visible"
        hint = "choose trainer=cpu, or set CUDA_VISIBLE_DEVICES" if machine.gpus == 0 else f"set trainer.devices={machine.gpus}"
        raise ConfigError(Problem(f"trainer={config.trainer.name} needs {devices} GPU(s); {has}", "trainer.devices", hint=hint))
    return accelerator, int(devices)
