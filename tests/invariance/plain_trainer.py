"""The other way to train: a plain `pl.Trainer` on the Module and the DataModule, as `finecomb.build` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from harness import Gradients, Outcome, parts_of

from finecomb.config.schema.train import Config
from finecomb.training.parts import Parts


def plain_trainer(config: Config, callbacks: Sequence[pl.Callback] = (), **settings: Any) -> pl.Trainer:
    """A Trainer without files of its own, which trains as long as the config states."""
    usual: dict[str, Any] = {
        "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False,
        "max_epochs": config.trainer.max_epochs, "max_steps": config.trainer.max_steps,
        "log_every_n_steps": config.trainer.log_every_n_steps,
    }  # fmt: skip
    return pl.Trainer(callbacks=list(callbacks), **(usual | settings))


def train_plainly(config: Config, *, parts: Parts | None = None, ckpt_path: Path | None = None, **settings: Any) -> Outcome:
    """Train through a plain Trainer."""
    parts = parts or parts_of(config)
    before = {name: tensor.detach().clone() for name, tensor in parts.tuned.model.named_parameters() if not tensor.requires_grad}
    gradients = Gradients()
    trainer = plain_trainer(config, [gradients, *settings.pop("callbacks", ())], **settings)
    trainer.fit(parts.module(), parts.data, ckpt_path=ckpt_path, weights_only=True)
    after = dict(parts.tuned.model.named_parameters())
    frozen = all(bool(tensor.equal(after[name])) for name, tensor in before.items())
    return Outcome(gradients.steps, {name: tensor.clone() for name, tensor in parts.tuned.trainable_state().items()}, frozen)
