"""What happens beside the training steps: checkpoints and progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from finecomb.config.schema.base import option


@dataclass
class Callback:
    """One callback; the schema of a callback that a plug-in adds extends this class."""


@dataclass
class Callbacks:
    """Checkpoints and progress."""

    name: str = option("name of the choice", identity=False)
    checkpoint_every_n_steps: Optional[int] = option("checkpoints within an epoch; one is always written at its end", low=1, identity=False)
    keep_best: bool = option("evaluate the best checkpoint by the monitored metric instead of the last")
    progress: bool = option("show progress", identity=False)
    log_every_n_steps: int = option("training loss and learning rate are logged this often", low=1, identity=False)


CHOICES = {"default": Callbacks, "last": Callbacks}
