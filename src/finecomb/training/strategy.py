"""How several devices work together: copies of the model (DDP), or one model whose tensors are divided among them (FSDP2).

With FSDP each layer's tensors are gathered when the layer computes and freed after it; gradients are summed and divided when its backward
pass ends; each device keeps and updates its share of weights, gradients and optimizer states (Rajbhandari et al. 2020; Zhao et al. 2023).
Both strategies average gradients over ranks, which `Module` undoes, and exchange them at the last micro-batch of a step only. Files do not
depend on the strategy: checkpoints hold full tensors, gathered on the first rank.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import DDPStrategy, ParallelStrategy
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from finecomb.config.schema.trainer import Trainer
from finecomb.learning.tuning import Tuned

VERSION = "1"


def build(config: Trainer) -> ParallelStrategy:
    """The strategy of a training on several devices."""
    backend = "gloo" if config.accelerator == "cpu" or not torch.cuda.is_available() else "nccl"
    if config.strategy == "fsdp":
        return Fsdp(process_group_backend=backend)
    return DDPStrategy(
        process_group_backend=backend,
        forward_sync_buffers=False,  # every rank computes the same ones
        find_unused_parameters=True,  # some architectures hold tensors that classification never uses (XLNet's mask_emb)
    )


class _Root(nn.Module):
    """The module whose forward pass is that of a tuned model, for FSDP to gather what belongs to no layer."""

    def __init__(self, model: nn.Module, forward: Callable[[dict[str, Tensor]], Tensor]) -> None:
        super().__init__()
        self.model, self._forward = model, forward

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self._forward(inputs)


def shard(tuned: Tuned, mesh: DeviceMesh) -> FSDPModule:
    """Divide a model's tensors among the ranks of `mesh`, in place: each layer, the head, and the rest are gathered separately.

    `tuned.forward` gathers them from here on, and every rank has to call it equally often. Names of tensors stay.
    """
    core = tuned.core
    # The head is apart because it trains in fp32 where the rest is in bfloat16, and tensors that are exchanged together share a type.
    for module in (*map(core.get_submodule, tuned.layers), *map(core.get_submodule, tuned.backbone.new_modules)):
        fully_shard(module, mesh=mesh)
    # Freed after the forward pass too: otherwise what evaluation gathered would be in place of the divided tensors after it.
    root = fully_shard(_Root(tuned.model, tuned.forward), mesh=mesh, reshard_after_forward=True)
    tuned.forward = root.__call__  # type: ignore[method-assign]
    return root


class Fsdp(DDPStrategy):
    """FSDP2 on the process group, devices and files of Lightning's DDP strategy. The LightningModule has a `tuned` model."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._root: FSDPModule | None = None
        self._tuned: Tuned | None = None

    def setup(self, trainer: pl.Trainer) -> None:
        """Divide the model before the optimizer is made, so that the optimizer holds this rank's share."""
        assert self.accelerator is not None
        self.accelerator.setup(trainer)
        self.model_to_device()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def model_to_device(self) -> None:
        """Move the model a layer at a time, each rank keeping its share. No device ever holds the whole model."""
        assert self.lightning_module is not None
        tuned = self.lightning_module.tuned
        if self._tuned is not tuned:
            self._tuned, self._root = tuned, shard(tuned, init_device_mesh(self.root_device.type, (self.world_size,)))
        self.lightning_module.to(self.root_device)

    @contextmanager
    def block_backward_sync(self) -> Generator[None, None, None]:
        """Keep the gradients of a micro-batch on their rank."""
        assert self._root is not None
        self._root.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self._root.set_requires_gradient_sync(True)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Full tensors on the first rank, nothing on the others; every rank has to call it."""
        return self._gathered(super().lightning_module_state_dict())

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Full tensors on the first rank; every rank has to call it."""
        content = super().optimizer_state(optimizer)
        state = {index: self._gathered(values) for index, values in content["state"].items()}
        return {**content, "state": state}

    def _gathered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            full = value.full_tensor() if isinstance(value, DTensor) else value
            if self.is_global_zero:
                found[name] = full.cpu() if isinstance(full, Tensor) else full
        return found

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Give each rank its share of the full tensors of a checkpoint."""
        divided = []
        for optimizer, content in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            state = {index: _like(parameters[index], values) for index, values in content["state"].items()}
            divided.append({**content, "state": state})
        super().load_optimizer_state_dict({**checkpoint, "optimizer_states": divided})


def _like(parameter: Tensor, values: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's numbers for a parameter, those of its shape divided as it is."""
    return {name: place(value, parameter) if getattr(value, "shape", None) == parameter.shape else value for name, value in values.items()}


def place(full: Tensor, like: Tensor) -> Tensor:
    """A full tensor, which every rank has, divided as `like` is; itself where that is not divided."""
    if not isinstance(like, DTensor):
        return full
    return distribute_tensor(full.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def is_sharded(trainer: pl.Trainer) -> bool:
    """Whether each rank holds a share of the model, so that all have to compute equally many passes."""
    return isinstance(trainer.strategy, Fsdp)


def load_full(tuned: Tuned, state: Mapping[str, Tensor]) -> None:
    """Load full tensors, which every rank has, into what trains; raises ValueError where names or shapes differ."""
    own = tuned.trainable_state()
    tuned.load_trainable_state({name: place(tensor, own[name]) if name in own else tensor for name, tensor in state.items()})


def clip_gradient(parameters: Sequence[Tensor], limit: float | None) -> Tensor:
    """Clip the gradient to norm `limit`, where there is one. Returns its norm before, over all ranks' shares."""
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if limit:
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def to_cpu(tuned: Tuned, *, keep: bool) -> None:
    """Move a trained model to the CPU; one that is divided as full tensors, on the ranks that `keep` them. Every rank has to call it.

    A model that was divided can then be saved, and computes no more.
    """
    divided = [(module, name, parameter) for module in tuned.model.modules() for name, parameter in module.named_parameters(recurse=False)]
    divided = [entry for entry in divided if isinstance(entry[2], DTensor)]
    if not divided:
        tuned.model.cpu()
    for module, name, parameter in divided:
        full = parameter.detach().full_tensor()
        if keep:
            module.register_parameter(name, nn.Parameter(full.cpu(), requires_grad=parameter.requires_grad))
