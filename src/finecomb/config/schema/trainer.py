"""The machine and the length of training, as Lightning names them; and the logger and callbacks beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option


@dataclass
class Trainer:
    """The machine and the length of training."""

    name: str = option("name of the choice", identity=False)
    accelerator: str = option("device kind", allowed=("cpu", "gpu", "auto"))
    devices: Any = option("how many devices, or auto", low=1, number_or=("auto",))
    num_nodes: int = option("how many machines", low=1)
    strategy: str = option("how several devices work together", allowed=("auto", "ddp", "fsdp"))
    precision: str = option(
        "numbers computed with, as Lightning names them; auto: bf16-mixed where the device has it, else 32-true",
        allowed=("auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed"),
    )
    # Not part of the identity: it moves the last bits only, and slots would otherwise make every run a new one. It is frozen with the run.
    threads: Any = option(
        "threads for each process, or auto: the cores divided by processes and slots", low=1, number_or=("auto",), identity=False
    )
    num_workers: int = option("processes that collate batches", low=0, identity=False)
    gradient_clip_val: Optional[float] = option("clip the gradient's norm to this", low=0.0)
    max_epochs: int = option("passes over train", low=1)
    max_steps: int = option("optimizer steps at most; -1: no limit", low=-1)
    max_time: Optional[str] = option("stop after DD:HH:MM:SS; the run counts as finished, with the reason recorded")
    compile: bool = option("torch.compile the model in place")
    log_every_n_steps: int = option("training loss, learning rate and gradient norm are logged this often", low=1, identity=False)


CHOICES = {"auto": Trainer, "cpu": Trainer, "gpu": Trainer, "ddp": Trainer, "fsdp": Trainer}
