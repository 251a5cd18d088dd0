"""Trains tiny models through the real Trainer, and by an independent plain loop, so that the two can be compared.

The plain loop knows no micro-batches, no ranks and no finecomb loss: one padded batch, torch's own mean loss, torch's clipping, SGD with
momentum.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from tiny_runs import make_data, tiny_config
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import functional as F

from finecomb.config.schema.train import Config
from finecomb.learning.model import inspect
from finecomb.runs.directory import RunDirectory
from finecomb.training.fit import Fit
from finecomb.training.interruption import Interruption
from finecomb.training.parts import Parts, compose
from finecomb.training.trainer import weights_dtype

TASKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "single": ({"kind": "class"}, ["task=sequence_classification"]),
    "pair": ({"kind": "class", "pair": True}, ["task=sequence_classification"]),
    "multi_label": ({"kind": "classes"}, ["task=sequence_classification", "task.multi_label=true"]),
    "regression": ({"kind": "number"}, ["task=regression", "loss=mse"]),
}
TUNINGS = ["full", "head", "top_layers", "bitfit", "lora", "prompt"]
FAMILIES = ["bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert", "xlnet", "gpt2", "llama", "qwen3"]
# SGD: an adaptive optimizer blows rounding up where a gradient is zero but for rounding (a key's bias in attention).
PLAIN = [
    "optimizer=sgd",
    "optimizer.lr=0.1",
    "optimizer.momentum=0.9",
    "optimizer.nesterov=false",
    "optimizer.weight_decay=0",
    "scheduler=constant",
    "scheduler.warmup=0",
    "trainer.gradient_clip_val=null",
    "trainer.max_epochs=1",
    "model.dropout=0.0",
]
# Batches of two, in some of which no example counts; in fp32, where 1 / tiny is infinite.
ZERO_WEIGHTS = ["loss.class_weights=[1,0,0]", "batch.size=2"]


@dataclass
class Outcome:
    """gradients: of each step, by name. weights: trained tensors after the last step. frozen: whether all others kept every bit."""

    gradients: list[dict[str, Tensor]]
    weights: dict[str, Tensor]
    frozen: bool


def tuning_overrides(name: str) -> list[str]:
    """Settings small enough for a tiny model."""
    extra = {"top_layers": ["tuning.k=1"], "prompt": ["tuning.num_virtual_tokens=3"], "lora": ["tuning.r=2"]}
    return [f"tuning={name}", *extra.get(name, [])]


def prepared(folder: Path, task: str, *, weighted: bool = False) -> Path:
    """The prepared data of a task; 20 training rows, so that batches of 8 leave a tail of 4."""
    target = folder / f"data-{task}{'-weighted' if weighted else ''}"
    return target if target.exists() else make_data(target, train=20, weighted=weighted, **TASKS[task][0])


def cell_config(folder: Path, task: str, tuning: str, *overrides: str, weighted: bool = False) -> Config:
    """The config of one cell, for the plain comparison. weighted: each training example has a weight of its own."""
    return tiny_config(prepared(folder, task, weighted=weighted), *TASKS[task][1], *tuning_overrides(tuning), *PLAIN, *overrides)


def parts_of(config: Config, *, double: bool = True) -> Parts:
    """Composed parts, in float64 unless told otherwise."""
    assert config.dataset.path is not None
    parts = compose(config, Path(config.dataset.path), inspect(config.model), dtype=weights_dtype(config.trainer))
    if double:
        parts.tuned.model.double()
    return parts


def with_split(config: Config, *, parts: int = 1, tokens: int | None = None, workers: int = 0, devices: int = 1) -> Config:
    """The same training, computed in another way."""
    trainer = dataclasses.replace(config.trainer, num_workers=workers, devices=devices)
    return dataclasses.replace(config, trainer=trainer, batch=dataclasses.replace(config.batch, micro_batches=parts, max_tokens=tokens))


class Gradients(pl.Callback):
    """Keeps the gradient of each step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: Any, optimizer: Any) -> None:
        self.steps.append(_gradients(module.tuned))


def _gradients(tuned: Any) -> dict[str, Tensor]:
    """Gradients of what trains; zero where a tensor took no part."""
    return {
        name: full(parameter.grad).clone() if parameter.grad is not None else torch.zeros(parameter.shape, dtype=parameter.dtype)
        for name, parameter in tuned.model.named_parameters()
        if parameter.requires_grad
    }


def full(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be divided among ranks; every rank has to call it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


_numbers = itertools.count()


def run_in(folder: Path, config: Config) -> RunDirectory:
    """A bare run directory for a Fit that is not the worker's."""
    run = RunDirectory(folder / f"fit-{next(_numbers)}")
    run.path.mkdir(parents=True)
    run.make_folders()
    return run


def train(folder: Path, config: Config, *, double: bool = True, run: RunDirectory | None = None) -> Outcome:
    """Train through the real Trainer, in a new run directory unless one is given, whose last checkpoint is resumed."""
    parts = parts_of(config, double=double)
    before = {name: tensor.detach().clone() for name, tensor in parts.tuned.model.named_parameters() if not tensor.requires_grad}
    fit, gradients = Fit(parts, run or run_in(folder, config), Interruption()), Gradients()
    original = fit.callbacks
    fit.callbacks = lambda: [*original(), gradients]  # type: ignore[method-assign]
    fit.train([])
    after = dict(parts.tuned.model.named_parameters())
    frozen = all([torch.equal(tensor, full(after[name])) for name, tensor in before.items()])
    return Outcome(gradients.steps, {name: full(tensor).clone() for name, tensor in parts.tuned.trainable_state().items()}, frozen)


def plain(config: Config, *, double: bool = True) -> Outcome:
    """Train by the plain loop."""
    parts = parts_of(config, double=double)
    parts.data.setup("fit")
    parameters = [parameter for parameter in parts.tuned.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=config.optimizer.lr, momentum=0.9)
    gradients = []
    for rows in parts.data.plan.epoch(0):
        batch = parts.data.splits["train"].batch(rows)
        logits = parts.tuned.forward(batch.inputs)
        loss = _mean_loss(parts.task.problem_type, config, logits, batch.targets, batch.weights)
        optimizer.zero_grad()
        loss.backward()
        gradients.append(_gradients(parts.tuned))
        if config.trainer.gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(parameters, config.trainer.gradient_clip_val)
        optimizer.step()
    return Outcome(gradients, {name: tensor.clone() for name, tensor in parts.tuned.trainable_state().items()}, frozen=True)


def _mean_loss(problem_type: str, config: Config, logits: Tensor, targets: Any, weights: Tensor | None) -> Tensor:
    """Torch's own mean loss of a whole batch; with weights of examples the mean of the losses times weights."""
    if weights is not None:
        return torch.stack([w * _mean_loss(problem_type, config, logits[[n]], targets[[n]], None) for n, w in enumerate(weights)]).mean()
    if problem_type == "single_label_classification":
        return F.cross_entropy(logits, targets, weight=class_weights(config, logits))
    if problem_type == "multi_label_classification":
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
    return F.mse_loss(logits.squeeze(-1), targets.to(logits.dtype))


def class_weights(config: Config, logits: Tensor) -> Tensor | None:
    """Weights of the classes, if the loss has any."""
    weights = getattr(config.loss, "class_weights", None)
    return None if weights is None else logits.new_tensor([float(f) for f in weights])


def check_zero_weights(config: Config, outcome: Outcome) -> None:
    """The gradient of a batch is zero where the weights of all its examples are, finite everywhere, and not zero elsewhere."""
    parts = parts_of(config)
    labels = parts.data.splits["train"].labels
    counted = [any(labels[row] == 0 for row in rows) for rows in parts.data.plan.epoch(0)]
    assert {True, False} == set(counted), "the test needs batches with and without an example that counts"
    norms = [float(sum(tensor.double().square().sum() for tensor in step.values())) for step in outcome.gradients]
    assert [norm > 0 for norm in norms] == counted, norms
    assert all(bool(torch.isfinite(tensor).all()) for step in outcome.gradients for tensor in step.values())
    assert all(bool(torch.isfinite(tensor).all()) for tensor in outcome.weights.values())


def largest_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Largest difference of two sets of tensors, as a share of the largest value in the first."""
    assert one.keys() == other.keys()
    scale = max(float(tensor.abs().max()) for tensor in one.values())
    assert scale > 0
    return max(float((one[name] - other[name]).abs().max()) for name in one) / scale


def check_same(one: Outcome, other: Outcome, tolerance: float) -> None:
    """Same gradient at every step, same weights at the end, and nothing frozen has moved."""
    assert len(one.gradients) == len(other.gradients) > 0
    for step, (first, second) in enumerate(zip(one.gradients, other.gradients, strict=True)):
        assert largest_difference(first, second) < tolerance, f"gradient of step {step}"
    assert largest_difference(one.weights, other.weights) < tolerance, "trained weights"
    assert one.frozen
    assert other.frozen, "a frozen tensor has moved"
