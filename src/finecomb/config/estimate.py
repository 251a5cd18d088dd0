"""What a run will need, from sizes alone: parameters, memory, time. The formulas are told with the numbers; they are rough on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from finecomb.config.machine import Machine
from finecomb.config.parameters import Parameters, count, layer_parameters
from finecomb.config.schema.dataset import TYPICAL, MovieReviews
from finecomb.config.schema.model import SHAPES, Shape, TinyModel
from finecomb.config.schema.optimizer import Sgd
from finecomb.config.schema.train import Train
from finecomb.config.schema.tuning import Full, Head, TopLayers

# Numbers an optimizer keeps for each trainable one. Adafactor keeps rows and columns, which is next to nothing.
_STATES = {"adam": 2, "adamw": 2, "sgd": 1, "adafactor": 0}
# Operations in a second, for one CPU thread and one GPU, as training loops reach them; half of what the machines could.
_CPU_SPEED, _GPU_SPEED = 5e10, 5e13
_LIBRARIES = 0.8e9  # bytes of a process that has imported torch and transformers
# Bytes for each token, layer and hidden unit that backward needs, in half precision and without the attention matrix, which SDPA
# does not keep (Korthikanti et al. 2022, equation 1).
_ACTIVATION = 34


@dataclass(frozen=True)
class Estimate:
    """memory: bytes of one process at the longest batch. seconds: of all epochs; None when the number of rows is not known."""

    parameters: Parameters
    memory: float
    memory_formula: str
    seconds: float | None
    seconds_formula: str


def num_outputs(config: Train) -> int | None:
    """Outputs of the head, where the config tells them."""
    if config.task.name == "regression":
        return 1
    if config.dataset.label_names is not None:
        return len(config.dataset.label_names)
    return {"binary": 2, "ternary": 3}.get(config.dataset.target) if isinstance(config.dataset, MovieReviews) else None


def estimate(config: Train, machine: Machine) -> Estimate | None:
    """The estimate, or None where the architecture or the tuning method is not known here. config: resolved, or as composed."""
    shape = SHAPES.get(config.model.name) if config.model.name_or_path is None and not isinstance(config.model, TinyModel) else None
    if shape is None:
        return None
    outputs = num_outputs(config) or 2
    parameters = count(config.model.model_type, shape, config.tuning, outputs)
    if parameters is None:
        return None
    devices = config.trainer.devices if isinstance(config.trainer.devices, int) else 1
    half = config.trainer.precision in ("bf16-mixed", "bf16-true", "16-mixed")
    memory, memory_formula = _memory(config, shape, parameters, devices, half)
    seconds, seconds_formula = _seconds(config, shape, devices, machine)
    return Estimate(parameters, memory, memory_formula, seconds, seconds_formula)


def _memory(config: Train, shape: Shape, parameters: Parameters, devices: int, half: bool) -> tuple[float, str]:
    states = _STATES.get(config.optimizer.name, 2)
    if isinstance(config.optimizer, Sgd) and config.optimizer.momentum == 0:
        states = 0
    rows = config.batch.size / (config.batch.micro_batches * devices * config.trainer.num_nodes)
    tokens = min(rows * config.batch.max_length, config.batch.max_tokens or float("inf"))
    layers, per_unit = _layers_kept(config, shape), _ACTIVATION if half else 2 * _ACTIVATION
    kept = 4 * (parameters.total + (1 + states) * parameters.trainable)
    activations = per_unit * tokens * shape.hidden * layers
    formula = (
        f"4 bytes x ({parameters.total:,} parameters + {1 + states} x {parameters.trainable:,} trained: gradient and optimizer)"
        f" + {per_unit} bytes x {tokens:,.0f} tokens x {shape.hidden} x {layers} layers"
        + ("" if config.trainer.accelerator == "gpu" else f" + {_LIBRARIES / 1e9:g} GB of libraries")
    )
    return kept + activations + (0 if config.trainer.accelerator == "gpu" else _LIBRARIES), formula


def _layers_kept(config: Train, shape: Shape) -> int:
    """Layers whose activations backward needs: those from the boundary up."""
    if isinstance(config.tuning, Head):
        return 0
    if isinstance(config.tuning, TopLayers) and not config.tuning.embeddings:
        return min(config.tuning.k, shape.layers)
    return shape.layers


def _seconds(config: Train, shape: Shape, devices: int, machine: Machine) -> tuple[float | None, str]:
    gpu = config.trainer.accelerator == "gpu"
    speed = devices * config.trainer.num_nodes * (_GPU_SPEED if gpu else _CPU_SPEED * max(1, machine.cores // devices))
    inner = layer_parameters(config.model.model_type, shape)
    share = _layers_kept(config, shape) / shape.layers
    # Forward 2 operations for each parameter and token; backward as many for what flows down, and again for each weight that trains.
    factor = 2 * (1 + share * (2 if isinstance(config.tuning, Full | TopLayers) else 1))
    typical = TYPICAL.get(config.dataset.name)
    if typical is None:
        return None, "the number of rows and their length are known once the data is read"
    rows = config.dataset.limit.train or typical.rows
    tokens = min(typical.tokens, config.batch.max_length)
    epochs: float = config.trainer.max_epochs
    if config.trainer.max_steps > 0:
        epochs = min(epochs, config.trainer.max_steps * config.batch.size / rows)
    formula = (
        f"{epochs:g} epochs x {rows:,} rows x {tokens} tokens x {factor:.3g} x {inner:,} parameters of the layers"
        f" / {speed / 1e9:,.0f} billion operations in a second"
    )
    return epochs * rows * tokens * factor * inner / speed, formula
