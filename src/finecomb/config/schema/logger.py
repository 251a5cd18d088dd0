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
    mode: str = option("auto: online with an account, else offline", allowed=("auto", "online", "offline"), identity=False)
    group: Optional[str] = option("W&B group; null: the sweep, or none", identity=False)
    job_type: Optional[str] = option("W&B job type; null: the tuning method", identity=False)
    tags: list[str] = option("more tags beside the choices", identity=False)
    sample_errors: int = option("rows of the table of wrong predictions", low=0, identity=False)


CHOICES = {"wandb": Wandb, "csv": Logger, "tensorboard": Logger, "none": Logger}
