"""Loggers: mirrors of a run. The run directory is the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from finecomb.config.schema.base import option


@dataclass
class Logger:
    """What every logger has."""

    name: str = option("name of the choice", identity=False)


@dataclass
class Wandb(Logger):
    """Weights & Biases."""

    project: str = option("W&B project", identity=False)
    entity: Optional[str] = option("W&B team or user", identity=False)
    mode: str = option(
        "auto: online with an account, else offline; online: an error before training where that is impossible",
        allowed=("auto", "online", "offline"),
        identity=False,
    )
    group: Optional[str] = option(
        "W&B group; null: the study or search, else dataset, model and a hash of the settings shared by all arms", identity=False
    )
    job_type: Optional[str] = option("W&B job type; null: the tuning method", identity=False)
    tags: list[str] = option("more tags beside the choices", identity=False)
    notes: Optional[str] = option("W&B notes: a text shown with the run", identity=False, before=None)
    sample_errors: int = option("rows of the table of wrong predictions", low=0, identity=False)
    system_metrics: bool = option("also log the use of CPU, GPU, memory and disk over time", identity=False, before=False)
    code: bool = option("also log the source of finecomb and of the plug-ins in use", identity=False, before=False)
    console: bool = option("also log what the first rank prints", identity=False, before=False)


CHOICES = {"wandb": Wandb, "csv": Logger, "tensorboard": Logger, "none": Logger}
