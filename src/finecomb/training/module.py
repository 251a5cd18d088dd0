"""The LightningModule. One item of the training loader is one optimizer step of this rank: a list of micro-batches.

Law 1: the gradient is that of sum(values * weights) / sum(weights) over all micro-batches and ranks. The denominator is known before the
first forward pass, because weights need no logits; so every micro-batch adds its exact part. Weights of examples (sampler.method=weights)
multiply values alone: their mean over the training rows is 1, so the count stays one of examples, and the gradient's expectation is that of
the weighted loss over all rows. Divided by the weights of a batch instead, a batch of one group would pull as if it had no weights.

Law 3: modes are set by the tuning method. Law 4: random numbers depend on the step alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning import optimizer, scheduler
from finecomb.learning.loss import LossFunction
from finecomb.learning.task import Batch, TaskRunner
from finecomb.learning.tuning import Tuned
from finecomb.training import generating
from finecomb.training.datamodule import Step
from finecomb.training.evaluation_module import EvaluationModule
from finecomb.training.seeding import seed_step
from finecomb.training.strategy import clip_gradient, is_sharded, load_full
from finecomb.training.trainer_settings import check_trainer

VERSION = "2"


class Module(EvaluationModule):
    """A tuned model, trained by manual optimization and evaluated on all rows of a split at once.

    `train/loss` (mean since it was last logged), `train/learning_rate` and `train/gradient_norm` are logged through `self.log` every
    `log_every_n_steps` steps and at the end of an epoch; validation and test metrics as `EvaluationModule` states.

    Args:
        config: resolved; of its `trainer` group gradient clipping applies, everything else is for the Trainer to decide.
        tuned: the model, ready to train.
        task: what is predicted.
        loss: values and weights of examples.
        to_loggers: whether metrics go to the Trainer's loggers; a run's Record writes to them itself, with the steps of its own lines.

    Attributes:
        training_metrics: what the latest step logged; None when it was not due.
        unread_losses: steps whose loss has not been logged yet.
    """

    def __init__(self, config: Config, tuned: Tuned, task: TaskRunner, loss: LossFunction, *, to_loggers: bool = True) -> None:
        super().__init__(tuned, task, loss, to_loggers=to_loggers, generation=generating.build(tuned, task, config))
        self.automatic_optimization = False
        self.config = config
        self.training_metrics: dict[str, float] | None = None
        self.unread_losses = 0
        self._loss_sum: Tensor | None = None
        self._gradient_norm: Tensor | None = None
        self._learning_rate = 0.0

    def configure_callbacks(self) -> list[pl.Callback]:
        """No callbacks; the first hook that Lightning calls, in which settings that would change the steps are refused."""
        check_trainer(self.trainer)
        return []

    def training_step(self, step: Step, index: int) -> Tensor:
        """Take one optimizer step; returns this rank's part of the loss."""
        seed_step(self.config.seed, self.trainer.global_step, self.trainer.global_rank, self.device)
        built, schedule = cast(Optimizer, self.optimizers()), cast(LRScheduler, self.lr_schedulers())
        built.zero_grad(set_to_none=True)
        loss = self._accumulate(step)
        built.step()
        schedule.step()
        self._log_when_due()
        return loss

    def _accumulate(self, step: Step) -> Tensor:
        """Gradients of all micro-batches, exchanged between ranks with that of the last."""
        self.unread_losses += 1
        scale, total = self._scale(step), torch.zeros((), device=self.device)
        passes = step.passes if is_sharded(self.trainer) else len(step.micro_batches)
        for number in range(passes):  # those that a rank is short of repeat its first micro-batch with a loss of zero
            counts = number < len(step.micro_batches)
            loss = self._loss(step.micro_batches[number if counts else 0], scale * counts)
            with self._exchange(number == passes - 1):
                self._backward(loss)
            total = total + loss.detach()
        return total

    def _exchange(self, wanted: bool) -> AbstractContextManager[None]:
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) and not wanted else nullcontext()

    def _scale(self, step: Step) -> Tensor:
        """World size / sum of the weights of the global batch; the world size undoes the mean that the exchange of gradients takes.

        Zero for a batch in which no example has a weight: its loss and its gradient are zero.
        """
        total = (
            torch.stack([self.loss.weights(self.task.item_targets(batch)).sum(dtype=torch.float64) for batch in step.micro_batches]).sum()
            * step.counts
        )
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        return torch.where(total > 0, self.trainer.world_size * step.counts / total, torch.zeros_like(total))

    def _loss(self, batch: Batch, scale: Tensor) -> Tensor:
        items = self.task.items(self.tuned.forward(batch.inputs), batch)
        with torch.autocast(self.device.type, enabled=False):
            values, weights = self.loss(items.logits.to(torch.promote_types(items.logits.dtype, torch.float32)), items.targets)
            if batch.weights is not None:
                values = values * batch.weights[items.rows].to(values.dtype)
            loss = (values * weights.to(values.dtype)).sum() * scale.to(values.dtype)
        self._loss_sum = loss.detach() if self._loss_sum is None else self._loss_sum.to(loss.device) + loss.detach()
        return loss

    def _backward(self, loss: Tensor) -> None:
        """Through the strategy, so that loss scaling (16-mixed) holds."""
        with torch.autocast(self.device.type, enabled=False):
            self.manual_backward(loss)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the norm of the whole gradient and keep it for the log; without clipping it is computed only when it will be logged.

        The line of a step at which a time limit ends training has none: that the step is the last is not known before it.
        """
        # A multiplier of 0 leaves the head's group without a rate of its own from which the schedule could be read.
        group = max(optimizer.param_groups, key=lambda group: group["initial_lr"])
        self._learning_rate = self.config.optimizer.lr * group["lr"] / group["initial_lr"]
        clip, self._gradient_norm = self.config.trainer.gradient_clip_val, None
        if clip or self._is_due(self.trainer.global_step + 1):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None]
            self._gradient_norm = clip_gradient(parameters, clip)

    def _is_due(self, step: int) -> bool:
        every, data = self.trainer.log_every_n_steps, self.trainer.datamodule
        return bool(every and step % every == 0) or step % data.plan.steps_per_epoch == 0 or step == data.total_steps

    def _log_when_due(self) -> None:
        self.training_metrics = self.take_metrics() if self._is_due(self.trainer.global_step) else None
        if self.training_metrics is not None:
            self._log(self.training_metrics, on_step=True, on_epoch=False)

    def take_metrics(self) -> dict[str, float]:
        """Mean loss over ranks of the steps since the last call, and rate and gradient norm of the latest. Waits for the device."""
        loss = self._global_loss_sum().item() / max(self.unread_losses, 1)
        self._loss_sum, self.unread_losses = None, 0
        norm = {} if self._gradient_norm is None else {"train/gradient_norm": float(self._gradient_norm)}
        return {"train/loss": loss, "train/learning_rate": self._learning_rate, **norm}

    def _global_loss_sum(self) -> Tensor:
        total = torch.zeros((), device=self.device) if self._loss_sum is None else self._loss_sum / self.trainer.world_size
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        return total

    def on_fit_start(self) -> None:
        """Set the modes: a training resumed within an epoch gets no on_train_epoch_start."""
        self.tuned.train_mode()

    def on_train_epoch_start(self) -> None:
        """Set the modes; Lightning would keep those of from_pretrained, which is eval."""
        self.tuned.train_mode()

    def on_train_epoch_end(self) -> None:
        """Log the metrics of the last step again where Lightning's loggers do not take those of the step."""
        every = self.trainer.log_every_n_steps
        if self.training_metrics is not None and (not every or self.trainer.global_step % every):
            self._log(self.training_metrics, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer of the config, and its schedule for the steps that the Trainer will take."""
        # With fp16 a fused step would unscale the gradient by itself, after it has been clipped. DTensor has not all fused steps.
        fused = self.trainer.precision != "16-mixed" and not is_sharded(self.trainer)
        built = optimizer.build(self.config.optimizer, self.tuned, fused=fused)
        schedule = scheduler.build(self.config.scheduler, built, self.trainer.datamodule.total_steps)
        return {"optimizer": built, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses that have not been logged yet."""
        checkpoint["unlogged"] = {"losses": self.unread_losses, "sum": self._global_loss_sum().cpu()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue with the losses of the interrupted attempt; every rank holds the mean over ranks."""
        if "unlogged" not in checkpoint:
            raise ConfigError(Problem("the checkpoint was not written by this version of finecomb", hint="train from the start"))
        self.unread_losses, self._loss_sum = checkpoint["unlogged"]["losses"], checkpoint["unlogged"]["sum"]

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        """Law 5: what trains, and nothing else."""
        return self.tuned.trainable_state()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> None:
        """The inverse of state_dict, from full tensors; names that are missing or too many are an error."""
        load_full(self.tuned, state_dict)
