"""`finecomb.build`: plain Lightning objects of a config, for a Trainer of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finecomb.config.schema.train import Config

if TYPE_CHECKING:
    from finecomb.training.datamodule import DataModule
    from finecomb.training.module import Module


def build(config: Config) -> tuple[Module, DataModule]:
    """Resolve a config, prepare its data, and build plain Lightning objects that train, validate, test, predict and log by themselves.

    The Trainer decides where and for how long to train, what to log and what to keep. So `trainer` (all but `gradient_clip_val` and
    `num_workers`), `callbacks`, `logger`, `monitor` and `output_dir` of the config are ignored, which is logged. The schedule of the
    learning rate ends with the last step that the Trainer's `max_epochs` and `max_steps` permit. Checkpoints hold only what trains; to load
    one, build the same config and pass `ckpt_path`.

    Args:
        config: What `finecomb.compose` returned, changed or not.

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
    from finecomb.launch.scoring import score
    from finecomb.training import build as building

    return building.build(config, score=score)
