"""What a run will need, from sizes alone: parameters, memory, time. The formulas are told with the numbers; they are rough on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from finecomb.config.parameters import Parameters, count, layer_parameters
from finecomb.config.schema.dataset import TYPICAL, MovieReviews
from finecomb.config.schema.model import SHAPES, Shape, TinyModel
from finecomb.config.schema.optimizer import Sgd
from finecomb.config.schema.train import Config
from finecomb.config.schema.tuning import Full, Head, Lora, Prompt, TopLayers
from finecomb.core.machine import Machine

# Numbers an optimizer keeps for each trainable one. Adafactor keeps rows and columns, which is next to nothing.
_STATES = {"adam": 2, "adamw": 2, "sgd": 1, "adafactor": 0}
# Operations in a second, for one CPU thread and one GPU, as training loops reach them; half of what the machines could.
_CPU_SPEED, _GPU_SPEED = 5e10, 5e13
_LIBRARIES = 0.8e9  # bytes of a process that has imported torch and transformers
# Bytes that backward needs for each token, layer and hidden unit in half precision (Korthikanti et al. 2022, "Reducing Activation
# Recomputation in Large Transformer Models": equation 1 without its last term, the attention matrices, which SDPA does not keep); those of
# the input of a layer, all that a checkpointed one keeps (section 5); and for each token, head and other token of the attention matrices.
_ACTIVATION, _LAYER_INPUT, _ATTENTION_MATRIX = 34, 2, 5


@dataclass(frozen=True)
class Estimate:
    """memory: bytes of one process at the longest batch. seconds: of all epochs; None when the number of rows is not known."""

    parameters: Parameters
    memory: float
    memory_formula: str
    seconds: float | None
    seconds_formula: str


def num_outputs(config: Config) -> int | None:
    """Outputs of the head, where the config tells them."""
    if config.task.name == "regression":
        return 1
    if config.dataset.label_names is not None:
        return len(config.dataset.label_names)
    return {"binary": 2, "ternary": 3}.get(config.dataset.target) if isinstance(config.dataset, MovieReviews) else None


def estimate(config: Config, machine: Machine) -> Estimate | None:
    """The estimate, or None where the architecture or the tuning method is not known here. config: resolved, or as composed."""
    shape = SHAPES.get(config.model.name) if config.model.name_or_path is None and not isinstance(config.model, TinyModel) else None
    if shape is None:
        return None
    outputs = num_outputs(config) or 2
    parameters = count(config.model.model_type, shape, config.tuning, outputs)
    if parameters is None:
        return None
    memory, memory_formula = _memory(config, shape, parameters)
    seconds, seconds_formula = _seconds(config, shape, _devices(config), machine)
    return Estimate(parameters, memory, memory_formula, seconds, seconds_formula)


def _memory(config: Config, shape: Shape, parameters: Parameters) -> tuple[float, str]:
    """Weights, gradients and optimizer states, then activations, then what FSDP gathers, then libraries; each with its formula."""
    stored, text = _stored(config, parameters)
    parts = [(stored, text), _activations(config, shape)]
    if config.trainer.strategy == "fsdp":
        ranks = _devices(config) * config.trainer.num_nodes
        parts = [(stored / ranks, f"({text}) / {ranks} devices"), _gathered(config, shape, parameters), *parts[1:]]
    if config.trainer.accelerator != "gpu":
        parts.append((_LIBRARIES, f"{_LIBRARIES / 1e9:g} GB of libraries"))
    return sum(size for size, _ in parts), " + ".join(text for _, text in parts)


def _stored(config: Config, parameters: Parameters) -> tuple[float, str]:
    states = _STATES.get(config.optimizer.name, 2)
    if isinstance(config.optimizer, Sgd) and config.optimizer.momentum == 0:
        states = 0
    if config.trainer.precision != "bf16-true":
        size = 4.0 * (parameters.total + (1 + states) * parameters.trainable)
        return (
            size,
            f"4 bytes x ({parameters.total:,} parameters + {1 + states} x {parameters.trainable:,} trained: gradient and optimizer)",
        )
    # Pre-trained tensors in bfloat16; what a method adds trains in fp32, as the head does, which is too small to count apart.
    width = 4 if isinstance(config.tuning, Lora | Prompt | Head) else 2
    size = 2.0 * (parameters.total - parameters.trainable) + width * (2 + states) * parameters.trainable
    frozen = f"2 bytes x {parameters.total - parameters.trainable:,} frozen parameters"
    return size, f"{frozen} + {width} bytes x {2 + states} x {parameters.trainable:,} trained: weight, gradient and optimizer"


def _gathered(config: Config, shape: Shape, parameters: Parameters) -> tuple[float, str]:
    """Whole tensors that a device holds with FSDP: those outside of the layers, two layers (one that computes, one fetched ahead), and the
    gradients of these; all gradients where several micro-batches add to them before they are exchanged.
    """
    width = 2 if config.trainer.precision == "bf16-true" else 4
    inner = layer_parameters(config.model.model_type, shape)
    weights = parameters.total - inner + 2 * inner // shape.layers
    gradients = parameters.trainable if config.batch.micro_batches > 1 else min(parameters.trainable, weights)
    return float(width * (weights + gradients)), f"{width} bytes x ({weights:,} gathered weights + {gradients:,} gradients before division)"


def _devices(config: Config) -> int:
    return config.trainer.devices if isinstance(config.trainer.devices, int) else 1


def _activations(config: Config, shape: Shape) -> tuple[float, str]:
    """Of the longest micro-batch of one process, in the layers from the boundary up."""
    trainer, batch = config.trainer, config.batch
    rows = batch.size / (batch.micro_batches * _devices(config) * trainer.num_nodes)
    tokens = min(rows * batch.max_length, batch.max_tokens or float("inf"))
    layers = _layers_kept(config, shape)
    width = 2 if trainer.precision == "32-true" else 1
    unit, text = width * _ACTIVATION * shape.hidden, f"{width * _ACTIVATION} bytes x {tokens:,.0f} tokens x {shape.hidden}"
    if config.model.attention == "eager":
        unit += width * _ATTENTION_MATRIX * shape.heads * batch.max_length
        of_matrices = f"{width * _ATTENTION_MATRIX} bytes x {shape.heads} heads x {batch.max_length}"
        text = f"({width * _ACTIVATION} bytes x {shape.hidden} + {of_matrices}) x {tokens:,.0f} tokens"
    if not (config.model.gradient_checkpointing and layers):
        return unit * tokens * layers, f"{text} x {layers} layers"
    inputs = width * _LAYER_INPUT * shape.hidden * tokens * layers
    kept = f"{width * _LAYER_INPUT} bytes x {tokens:,.0f} tokens x {shape.hidden} x {layers} layers: inputs of checkpointed layers"
    return inputs + unit * tokens, f"{kept} + {text} x 1 layer"


def _layers_kept(config: Config, shape: Shape) -> int:
    """Layers whose activations backward needs: those from the boundary up."""
    if isinstance(config.tuning, Head):
        return 0
    if isinstance(config.tuning, TopLayers) and not config.tuning.embeddings:
        return min(config.tuning.k, shape.layers)
    return shape.layers


def _seconds(config: Config, shape: Shape, devices: int, machine: Machine) -> tuple[float | None, str]:
    gpu = config.trainer.accelerator == "gpu"
    speed = devices * config.trainer.num_nodes * (_GPU_SPEED if gpu else _CPU_SPEED * max(1, machine.cores // devices))
    inner = layer_parameters(config.model.model_type, shape)
    share = _layers_kept(config, shape) / shape.layers
    # Forward 2 operations for each parameter and token; backward as many for what flows down, and again for each weight that trains.
    # Gradient checkpointing runs the forward pass of these layers twice.
    passes = (2 if isinstance(config.tuning, Full | TopLayers) else 1) + config.model.gradient_checkpointing
    factor = 2 * (1 + share * passes)
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
