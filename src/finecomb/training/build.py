"""A LightningModule and a LightningDataModule of a config, for any `pl.Trainer`: no run directory, no worker process."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from finecomb.config.compose import Composition
from finecomb.config.schema.train import Config
from finecomb.core.machine import this_machine
from finecomb.training import inputs
from finecomb.training.datamodule import DataModule
from finecomb.training.module import Module
from finecomb.training.parts import compose

if TYPE_CHECKING:
    from finecomb.data.annotator import Score

VERSION = "1"

log = logging.getLogger(__name__)


def build(config: Config, *, score: Score | None = None) -> tuple[Module, DataModule]:
    """The modules that `finecomb.build` returns; see there.

    Args:
        config: What `finecomb.compose` returned, changed or not.
        score: Asks a finished run for labels; needed for annotator=run.

    Raises:
        ConfigError: Something is wrong with the config, the data or the model.
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
