"""Learning-rate schedules, stepped once for each optimizer step."""

from __future__ import annotations

from dataclasses import dataclass

from finecomb.config.schema.base import option


@dataclass
class Scheduler:
    """What every schedule has."""

    name: str = option("name of the choice")
    warmup: float = option("linear warm-up: steps if 1 or more, share of training if less", low=0.0)


@dataclass
class Decay(Scheduler):
    """A schedule that falls from the peak to a final share of it."""

    final: float = option(
        "where the decay ends, as a share of the peak; reached just after the last step, so that no step is spent at 0", low=0.0, high=1.0
    )


@dataclass
class Polynomial(Decay):
    """Decay as a power of the share of training that is left."""

    power: float = option("exponent of the decay", low=0.0)


CHOICES = {"linear": Decay, "cosine": Decay, "polynomial": Polynomial, "constant": Scheduler, "inverse_sqrt": Scheduler}
