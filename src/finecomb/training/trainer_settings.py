"""What finecomb's Module needs to know of a Lightning Trainer, and which of its settings are refused because they would change numbers."""

from __future__ import annotations

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn

from finecomb.core.errors import ConfigError, Problem
from finecomb.training.datamodule import EvaluationLoader


def is_fitting(trainer: pl.Trainer) -> bool:
    """Whether `trainer.fit` runs, its sanity check apart: validation in it belongs to a training."""
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking


def loader_of(trainer: pl.Trainer) -> EvaluationLoader:
    """The loader of the evaluation or prediction that runs. Raises ConfigError when it is not one of finecomb's DataModule."""
    evaluated = trainer.test_dataloaders if trainer.testing else trainer.val_dataloaders
    loader = trainer.predict_dataloaders if trainer.predicting else evaluated
    if not isinstance(loader, EvaluationLoader):
        what = f"finecomb's Module cannot evaluate on batches of {type(loader).__name__}"
        raise ConfigError(Problem(what, "dataloaders", hint="pass the DataModule: trainer.validate(module, datamodule)"))
    return loader


def is_limited(trainer: pl.Trainer) -> bool:
    """Whether the evaluation that runs leaves rows out: a sanity check, fast_dev_run or a limited number of batches."""
    if trainer.sanity_checking:
        return True
    (batches,) = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
    return batches < len(loader_of(trainer))


def check_trainer(trainer: pl.Trainer) -> None:
    """Refuse what would change the steps of a training.

    Raises:
        ConfigError: with every such setting.
    """
    if trainer.state.fn != TrainerFn.FITTING:
        return
    found = [
        problem
        for wrong, problem in (
            (trainer.accumulate_grad_batches != 1, _ACCUMULATE),
            (bool(trainer.gradient_clip_val), _CLIP),
            (_limits_training(trainer), _LIMIT),
            (trainer.datamodule is None, _DATA),
        )
        if wrong
    ]
    if found:
        raise ConfigError(found)


def _limits_training(trainer: pl.Trainer) -> bool:
    """Whether an epoch is cut short; fast_dev_run, which ends after its steps, does not change them."""
    limit = trainer.limit_train_batches
    whole = isinstance(limit, float) and limit == 1.0
    return not whole and not trainer.fast_dev_run


_ACCUMULATE = Problem(
    "one item of finecomb's training loader is a whole optimizer step, so batches cannot be accumulated",
    "Trainer(accumulate_grad_batches=...)",
    allowed="1",
    hint="split each batch with batch.micro_batches of the config, and set batch.size to the size of the whole step",
)
_CLIP = Problem(
    "the gradient is clipped by the value in the config",
    "Trainer(gradient_clip_val=...)",
    allowed="None",
    hint="set trainer.gradient_clip_val of the config",
)
_LIMIT = Problem(
    "an epoch is planned as a whole, and this would leave some of its steps out",
    "Trainer(limit_train_batches=...) or Trainer(overfit_batches=...)",
    allowed="1.0",
    hint="train on less data with dataset.limit.train=N of the config, or on fewer steps with Trainer(max_steps=N)",
)
_DATA = Problem(
    "the plan of training steps is in finecomb's DataModule",
    "trainer.fit",
    hint="pass the DataModule: trainer.fit(module, datamodule)",
)
