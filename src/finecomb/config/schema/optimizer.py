"""Optimizers, as torch.optim names their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finecomb.config.schema.base import option


@dataclass
class Optimizer:
    """What every optimizer has."""

    name: str = option("name of the choice")
    lr: Any = option("learning rate, or auto: the tuning method's usual one for this optimizer", low=0.0, number_or=("auto",))
    weight_decay: float = option("decay of weight matrices; never of norms, biases and added scalers", low=0.0)
    head_lr_multiplier: float = option("the head's learning rate is this times lr", low=0.0)
    layer_decay: float = option("the learning rate is multiplied by this for each layer further from the head", low=0.0, high=1.0)


@dataclass
class Sgd(Optimizer):
    """Stochastic gradient descent."""

    momentum: float = option("momentum", low=0.0, high=0.9999)
    nesterov: bool = option("Nesterov's momentum")


@dataclass
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), or AdamW with decoupled decay (Loshchilov & Hutter 2019)."""

    betas: list[float] = option("decay rates of the two moments")
    eps: float = option("added to the denominator", low=0.0)


@dataclass
class Adafactor(Optimizer):
    """Adafactor (Shazeer & Stern 2018) as torch.optim has it."""

    beta2_decay: float = option("exponent of the second moment's decay rate")
    clip_threshold: float = option("updates are clipped to this root mean square (torch calls it d)", low=0.0)


CHOICES = {"sgd": Sgd, "adam": Adam, "adamw": Adam, "adafactor": Adafactor}
