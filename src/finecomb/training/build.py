"""A LightningModule and a LightningDataModule of a config, for any `pl.Trainer`: no run directory, no worker process."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from finecomb.config.compose import Composition
from finecomb.config.machine import this_machine
from finecomb.config.schema.train import Config
from finecomb.training import inputs
from finecomb.training.datamodule import DataModule
from finecomb.training.module import Module
from finecomb.training.parts import compose

if TYPE_CHECKING:
    from finecomb.data.annotator import Score

VERSION = "1"

log = logging.getLogger(__name__)


def build(config: Config, *, score: Score | None = None) -> tuple[Module, DataModule]:
    """Resolve a config, prepare its data, and build plain Lightning objects that train, validate, test, predict and log by themselves.

    The Trainer decides where and for how long to train, what to log and what to keep. So `trainer` (all but `gradient_clip_val` and
    `num_workers`), `callbacks`, `logger`, `monitor` and `output_dir` of the config are ignored, which is logged. The schedule of the
    learning rate ends with the last step that the Trainer's `max_epochs` and `max_steps` permit. Checkpoints hold only what trains; to load
    one, build the same config and pass `ckpt_path`.

    Args:
        config: What `finecomb.compose` returned, changed or not.
        score: Asks a finished run for labels; needed for annotator=run.

    Raises:
        ConfigError: Something is wrong with the config, the data or the model.

    Example:
        >>> import pytorch_lightning as pl
        >>> module, datamodule = finecomb.build(finecomb.compose("debug=tiny", "dataset=files", "dataset.files.train=reviews.csv"))
        >>> stop = pl.callbacks.EarlyStopping(monitor="validation/accuracy", mode="max")
        >>> quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}
        >>> trainer = pl.Trainer(max_epochs=2, callbacks=[stop], **quiet)
        >>> trainer.fit(module, datamodule)
        >>> [metrics] = trainer.test(module, datamodule, verbose=False)
        >>> 0 <= metrics["test/accuracy"] <= 1
        True
    """
    log.info(
        "build: trainer (all but gradient_clip_val and num_workers), callbacks, logger, monitor and output_dir of the config are ignored; "
        "the Trainer decides"
    )
    inputs.forget()
    plain = dataclasses.replace(
        config.trainer, accelerator="cpu", devices=1, num_nodes=1, strategy="auto", precision="32-true", max_epochs=1, max_steps=-1
    )
    origins = Composition.of(config).origins
    found = inputs.find(dataclasses.replace(config, trainer=plain), origins, machine=this_machine(), score=score)
    parts = compose(found.config, found.prepared.directory, found.source)
    return parts.module(), parts.data
