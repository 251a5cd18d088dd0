"""The callbacks of a config that finecomb's own loop does not need: any pl.Trainer can use them."""

from __future__ import annotations

import pytorch_lightning as pl

from finecomb.config import plugins
from finecomb.config.errors import Problem, UserError
from finecomb.config.schema.callbacks import Callbacks


def build(config: Callbacks) -> list[pl.Callback]:
    """The callbacks that are on, in the order of the config: finecomb's, then those of plug-ins."""
    return _of_plugins(config)


def _of_plugins(config: Callbacks) -> list[pl.Callback]:
    """The callbacks of plug-ins. Raises UserError for a build function that returns something else."""
    built = []
    for name in plugins.callback_names():
        own, make = getattr(config, name, None), plugins.find_build("callbacks", name)
        if own is None or make is None:
            continue
        callback = make(own)
        if not isinstance(callback, pl.Callback):
            what = f"the build function of callbacks.{name} returned {type(callback).__name__}"
            raise UserError(Problem(what, f"callbacks.{name}", "a pytorch_lightning.Callback"))
        built.append(callback)
    return built
