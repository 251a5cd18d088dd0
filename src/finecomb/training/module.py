"""The training step. One item of the loader is one optimizer step of this rank: a list of micro-batches.

Law 1: the gradient is that of sum(values * weights) / sum(weights) over all micro-batches and ranks. The denominator is known before the
first forward pass, because weights need no logits; so every micro-batch adds its exact part, and clipping, loss scaling, the exchange of
gradients and the schedule remain Lightning's. Weights of examples (sampler.method=weights) multiply values alone: their mean over the
training rows is 1, so the count stays one of examples, and the gradient's expectation is that of the weighted loss over all rows. Divided
by the weights of a batch instead, a batch of one group would pull as if it had no weights.

Law 3: modes are set by the tuning method. Law 4: random numbers depend on the step alone.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from finecomb.config.schema.train import Train
from finecomb.learning import optimizer, scheduler
from finecomb.learning.loss import LossFunction
from finecomb.learning.task import Batch
from finecomb.learning.tuning import Tuned
from finecomb.training.datamodule import Step

VERSION = "2"


class Module(pl.LightningModule):
    """A tuned model in training."""

    def __init__(self, config: Train, tuned: Tuned, loss: LossFunction) -> None:
        super().__init__()
        self.config, self.tuned, self.loss = config, tuned, loss
        self.model = tuned.model  # registered here, so that Lightning moves it and exchanges its gradients
        self.gradient_norm: Tensor | None = None
        self.learning_rate: float | None = None
        self.unread_losses = 0
        self._loss_sum: Tensor | None = None

    def training_step(self, step: Step, index: int) -> Tensor:
        """Gradients of all micro-batches but the last, and the last one's loss, with which Lightning goes on."""
        self._seed_step()
        self.unread_losses += 1
        self.optimizers(use_pl_optimizer=False).zero_grad(set_to_none=True)
        scale = self._scale(step)
        for batch in step.micro_batches[:-1]:
            self._backward(self._loss(batch, scale))
        return self._loss(step.micro_batches[-1], scale)

    def _scale(self, step: Step) -> Tensor:
        """World size / sum of the weights of the global batch; the world size undoes the mean that the exchange of gradients takes.

        Zero for a batch in which no example has a weight: its loss and its gradient are zero.
        """
        total = torch.stack([self.loss.weights(batch.targets).sum(dtype=torch.float64) for batch in step.micro_batches]).sum() * step.counts
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        return torch.where(total > 0, self.trainer.world_size * step.counts / total, torch.zeros_like(total))

    def _loss(self, batch: Batch, scale: Tensor) -> Tensor:
        logits = self.tuned.forward(batch.inputs)
        with torch.autocast(self.device.type, enabled=False):
            values, weights = self.loss(logits.to(torch.promote_types(logits.dtype, torch.float32)), batch.targets)
            if batch.weights is not None:
                values = values * batch.weights.to(values.dtype)
            loss = (values * weights.to(values.dtype)).sum() * scale.to(values.dtype)
        detached = loss.detach()
        self._loss_sum = detached if self._loss_sum is None else self._loss_sum.to(detached.device) + detached
        return loss

    def _backward(self, loss: Tensor) -> None:
        """Through the strategy, so that loss scaling (16-mixed) holds; gradients are exchanged at the last micro-batch only."""
        with torch.autocast(self.device.type, enabled=False):
            self.trainer.strategy.backward(loss, None)

    def _seed_step(self) -> None:
        """Make every random number a function of (seed, step, rank): a resumed training draws what the uninterrupted one drew."""
        words = np.random.SeedSequence([self.config.seed, self.trainer.global_step, self.trainer.global_rank]).generate_state(2)
        seed = int(words[0]) << 32 | int(words[1])
        # torch.manual_seed would note a traceback for every device that might be used one day: 2 ms and some memory at each step.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))

    def take_loss(self) -> float:
        """Mean loss of the steps since the last call, over all ranks. Waits for the device."""
        mean = self._global_loss_sum().item() / max(self.unread_losses, 1)
        self._loss_sum, self.unread_losses = None, 0
        return mean

    def _global_loss_sum(self) -> Tensor:
        total = torch.zeros((), device=self.device) if self._loss_sum is None else self._loss_sum / self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        return total

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses that no line of the record holds yet."""
        checkpoint["unread"] = {"losses": self.unread_losses, "sum": self._global_loss_sum().cpu()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the losses of the interrupted attempt; every rank holds the mean over ranks."""
        self.unread_losses, self._loss_sum = checkpoint["unread"]["losses"], checkpoint["unread"]["sum"]

    def on_train_start(self) -> None:
        """Set the modes: a training resumed within an epoch gets no on_train_epoch_start."""
        self.tuned.train_mode()

    def on_train_epoch_start(self) -> None:
        """Set the modes; Lightning would keep those of from_pretrained, which is eval."""
        self.tuned.train_mode()

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer of the config, and its schedule stepped once for each optimizer step."""
        # With fp16 a fused step would unscale the gradient by itself, after it has been clipped.
        built = optimizer.build(self.config.optimizer, self.tuned, fused=self.config.trainer.precision != "16-mixed")
        schedule = scheduler.build(self.config.scheduler, built, self.trainer.datamodule.total_steps)
        return {"optimizer": built, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_zero_grad(self, *_: Any) -> None:
        """Nothing: Lightning would do it between the micro-batches and the last backward pass. training_step does it first."""

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip the norm of the whole gradient and keep it for the log; without clipping it is computed only when it will be logged.

        The line of a step at which a time limit ends training has none: that the step is the last is not known before it.
        """
        # A multiplier of 0 leaves the head's group without a rate of its own to tell the schedule by.
        group = max(optimizer.param_groups, key=lambda group: group["initial_lr"])
        self.learning_rate = self.config.optimizer.lr * group["lr"] / group["initial_lr"]
        step, data = self.trainer.global_step + 1, self.trainer.datamodule
        logged = step % self.trainer.log_every_n_steps == 0 or step % data.plan.steps_per_epoch == 0 or step == data.total_steps
        self.gradient_norm = None
        if gradient_clip_val or logged:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None]
            self.gradient_norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
        if gradient_clip_val:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, self.gradient_norm)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        """Law 5: what trains, and nothing else."""
        return self.tuned.trainable_state()

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> None:
        """The inverse of state_dict; names that are missing or too many are an error."""
        self.tuned.load_trainable_state(dict(state_dict))
