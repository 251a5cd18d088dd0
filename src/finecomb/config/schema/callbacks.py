"""Lightning callbacks by name. A callback whose first key is null (or `enabled: false`) is off; setting that key switches it on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Optional

from finecomb.config.schema.base import option


@dataclass
class Callback:
    """One callback; the schema of a callback that a plug-in adds extends this class.

    OFF: the key and value that switch it off, where it has such a key.
    """

    OFF: ClassVar[str | None] = None


@dataclass
class Checkpoint(Callback):
    """Checkpoints: the last one, from which a run resumes, and the best one by the monitored metric."""

    every_n_steps: Optional[int] = option(
        "write a checkpoint every n optimizer steps, in addition to the one at the end of each epoch; null: only that one",
        low=1,
        identity=False,
    )
    keep_best: bool = option("evaluate and save the best checkpoint by the monitored metric; false: the last one")


@dataclass
class EarlyStopping(Callback):
    """Stop when the monitored metric no longer improves."""

    OFF = "patience=null"

    patience: Optional[int] = option("stop after this many epochs without an improvement; null: off", low=1)
    min_delta: float = option("smallest change of the monitored metric that counts as an improvement here", low=0.0, before=0.0)


@dataclass
class LearningRateMonitor(Callback):
    """Lightning's LearningRateMonitor: log the learning rate of each parameter group; the largest one is always logged."""

    OFF = "logging_interval=null"

    logging_interval: Optional[str] = option(
        "log after each optimizer step or each epoch; null: off", allowed=("step", "epoch"), identity=False, before=None
    )


@dataclass
class Progress(Callback):
    """The live table of runs."""

    OFF = "enabled=false"

    enabled: bool = option("show progress in the terminal", identity=False)


@dataclass
class GradientStatistics(Callback):
    """Log the L2 norm of the gradient of each group of modules, before clipping."""

    OFF = "every_n_steps=null"

    every_n_steps: Optional[int] = option("log every n optimizer steps; null: off", low=1, identity=False, before=None)


@dataclass
class SamplePredictions(Callback):
    """Log predictions of a few validation examples after each validation, to a file in the run directory and as a table to loggers."""

    OFF = "num_examples=null"

    num_examples: Optional[int] = option("number of validation examples; null: off", low=1, identity=False, before=None)


@dataclass
class WeightAveraging(Callback):
    """Lightning's EMAWeightAveraging: an exponential moving average of the trained weights is validated and saved."""

    OFF = "decay=null"

    decay: Optional[float] = option("decay of the average at each optimizer step; null: off", low=0.0, high=0.999999, before=None)


@dataclass
class Callbacks:
    """Lightning callbacks by name."""

    name: str = option("name of the choice", identity=False)
    checkpoint: Checkpoint = option("checkpoints")
    early_stopping: EarlyStopping = option("early stopping")
    learning_rate_monitor: LearningRateMonitor = option("log learning rates", before=LearningRateMonitor(None))
    progress: Progress = option("the live table of runs")
    gradient_statistics: GradientStatistics = option("log gradient norms", before=GradientStatistics(None))
    sample_predictions: SamplePredictions = option("log predictions of a few examples", before=SamplePredictions(None))
    weight_averaging: WeightAveraging = option("average the trained weights", before=WeightAveraging(None))


CHOICES = {"default": Callbacks, "last": Callbacks}
