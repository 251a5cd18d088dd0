"""Optimizers: parameter groups by module type, then torch.optim.

Weight decay goes to matrices: never to norms (found by the type of their module), biases, other vectors and scalars, or virtual tokens.
LoRA's A and B are matrices and decay, as in Hu et al. 2021 (table 9): it draws the update towards 0, that is to the pre-trained weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from finecomb.config.plugins import find_build
from finecomb.config.schema import optimizer as schema

if TYPE_CHECKING:
    from finecomb.learning.tuning.tuned import Tuned

VERSION = "1"


def build(config: schema.Optimizer, tuned: Tuned, *, fused: bool = True) -> torch.optim.Optimizer:
    """The optimizer of `config` over what trains; `config.lr` is a number by now.

    fused: one kernel for all tensors where torch has it (5 times as fast for Adam on a CPU, as deterministic, and other in the last digit).
    Not with fp16 and gradient clipping: a fused step unscales the gradient itself, after it should have been clipped.

    adam adds the decay to the gradient (torch.optim.Adam: L2 regularisation); adamw shrinks the weights apart from it (Loshchilov & Hutter
    2019). adafactor's rate is relative to the root mean square of each tensor (torch.optim.Adafactor), and never more than 1 / sqrt(step).
    """
    if own := find_build("optimizer", config.name):
        return own(config, tuned)
    groups = parameter_groups(config, tuned)
    match config:
        case schema.Sgd():
            return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused)
        case schema.Adam():
            kind = torch.optim.AdamW if config.name == "adamw" else torch.optim.Adam
            return kind(groups, lr=config.lr, betas=(config.betas[0], config.betas[1]), eps=config.eps, fused=fused)
        case schema.Adafactor():
            return torch.optim.Adafactor(groups, lr=config.lr, beta2_decay=config.beta2_decay, d=config.clip_threshold)
    raise ValueError(f"no optimizer named {config.name}")


def parameter_groups(config: schema.Optimizer, tuned: Tuned) -> list[dict[str, Any]]:
    """Groups of equal learning rate and decay. Each has a `name`: its depth, `head` where it is the task's, and whether it decays.

    The rate is lr * layer_decay^depth (depth 0 is the head), for the head also times head_lr_multiplier.
    """
    parameters = dict(tuned.model.named_parameters())
    kept = undecayed(tuned)
    heads = set(tuned.head_names)
    groups: dict[tuple[int, bool, bool], dict[str, Any]] = {}
    for name in tuned.trainable:
        depth, head, decays = tuned.depth_of(name), name in heads, name not in kept
        rate = config.lr * config.layer_decay**depth * (config.head_lr_multiplier if head else 1.0)
        label = f"depth {depth}{' head' if head else ''}{'' if decays else ' no decay'}"
        group = {"params": [], "lr": rate, "weight_decay": config.weight_decay if decays else 0.0, "name": label}
        groups.setdefault((depth, head, decays), group)["params"].append(parameters[name])
    return [groups[key] for key in sorted(groups)]


def undecayed(tuned: Tuned) -> set[str]:
    """Names of trainable tensors without weight decay."""
    norms: set[str] = set()
    for path, module in tuned.model.named_modules():
        # RMSNorm has a class of its own in every architecture; all end in Norm.
        if isinstance(module, (nn.LayerNorm, nn.RMSNorm)) or type(module).__name__.endswith("Norm"):
            norms.update(f"{path}.{name}" for name, _ in module.named_parameters(recurse=False))
    biases = set(tuned.biases)
    sizes = {name: parameter.dim() for name, parameter in tuned.model.named_parameters()}
    return {name for name in tuned.trainable if name in norms or name in biases or sizes[name] < 2 or name.startswith("prompt_encoder.")}
