"""Lightning's EMAWeightAveraging over the tensors that train, so that checkpoints hold only these.

The averaged weights are validated, chosen as the best, and saved; training continues from the current ones, which a checkpoint holds too.
"""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

VERSION = "1"


class _Trained(nn.Module):
    """The tensors of a module that train, shared with it. Lightning's class averages the parameters of what it is given."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.tensors = nn.ParameterList([each for each in module.parameters() if each.requires_grad])


class WeightAveraging(callbacks.EMAWeightAveraging):
    """An exponential moving average of the weights that train (Polyak & Juditsky 1992), updated after each optimizer step.

    During validation and after training the module has the averaged weights. A checkpoint holds them as `state_dict`, and the current
    ones as `current_model_state`, from which training resumes.

    Args:
        decay: average = decay * average + (1 - decay) * weights.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(decay=decay, use_buffers=False)
        self.decay = decay
        self._trained: Any = None  # A _Trained; Lightning's methods below declare a LightningModule.

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start the average from the weights before training."""
        if stage == "fit":
            self._trained = _Trained(pl_module)
            # Lightning moves the module to its device later.
            device = trainer.strategy.root_device
            self._average_model = AveragedModel(self._trained, device=device, avg_fn=get_ema_avg_fn(self.decay), use_buffers=False)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *arguments: Any, **keywords: Any) -> None:
        """Update the average."""
        super().on_train_batch_end(trainer, self._trained, *arguments, **keywords)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: the average is updated after steps."""

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the averaged weights into the module."""
        super().on_validation_epoch_start(trainer, self._trained)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the current weights back."""
        super().on_validation_epoch_end(trainer, self._trained)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing: on_fit_end follows, also where a resumed training had nothing left to do."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the averaged weights in the module."""
        self._copy_average_to_current(self._trained)

    def averaged_state(self, module: pl.LightningModule) -> dict[str, Tensor]:
        """The module's state with the averaged weights."""
        self._swap_models(self._trained)
        state = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self._swap_models(self._trained)
        return state

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the averaged weights as `state_dict`, and what resuming needs beside them."""
        if self._average_model is not None:
            checkpoint["current_model_state"] = checkpoint["state_dict"]
            checkpoint["state_dict"] = self.averaged_state(pl_module)
            checkpoint["averaging_state"] = {"n_averaged": self._average_model.n_averaged.clone()}

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resume the average; the module, which Lightning has given the averaged weights, gets the current ones.

        A checkpoint without an average starts one from its weights.
        """
        if self._average_model is None:
            return
        with torch.no_grad():
            for average, current in zip(self._average_model.module.parameters(), self._trained.parameters(), strict=True):
                average.copy_(current)
        if "current_model_state" in checkpoint:
            self._average_model.n_averaged.copy_(checkpoint["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(checkpoint["current_model_state"])


def best_state(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, Tensor]:
    """The state that the latest validation evaluated: averaged where a WeightAveraging is among the callbacks. Called on every rank."""
    averaging = next((each for each in trainer.callbacks if isinstance(each, WeightAveraging)), None)  # type: ignore[attr-defined]
    return trainer.strategy.lightning_module_state_dict() if averaging is None else averaging.averaged_state(module)
