"""A model that is ready to train: what trains, in which mode each part is, what is kept, and how far from the head each tensor lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor

from finecomb.config.schema import tuning as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.pooling import with_prompt

if TYPE_CHECKING:
    from finecomb.config.schema.model import Family
    from finecomb.learning.model.backbone import Backbone

VERSION = "1"


class Method(Protocol):
    """A tuning method."""

    def apply(self, backbone: Backbone, *, seed: int) -> Tuned:
        """Freeze, unfreeze and add what the method says. `seed` draws what is added. The backbone's model is changed in place."""


def inside(name: str, paths: Iterable[str]) -> bool:
    """Whether the tensor lies in a module, or is a tensor, of `paths`."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def is_bias(name: str) -> bool:
    """Whether the tensor is a bias, by the names that all architectures keep to."""
    return name == "bias" or name.endswith((".bias", "_bias"))


def layer_paths(core: Any, family: Family) -> list[str]:
    """Paths of all layers, lowest first: those of an encoder are below those of its decoder."""
    return [f"{path}.{index}" for path in family.lists for index in range(len(core.get_submodule(path)))]


def train_only(model: Any, names: Iterable[str]) -> None:
    """Freeze every parameter but `names`."""
    chosen = set(names)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)


class Tuned:
    """What a tuning method makes of a backbone.

    model: the module to train and to move between devices: the transformers model, or the PEFT model around it.
    core: the transformers model in either case.
    trainable: names in `model` of the tensors that train; head_names: those of them that are new for the task.
    layers: paths in `core` of the layers, lowest first.
    boundary: the first trainable layer ("embeddings", "layer 4 of 6", "pooler" or "head"); everything below is frozen.
    extra_positions: virtual tokens put before each text.
    adapt: from a batch's inputs to what the core takes.
    frozen_mode: mode of what is frozen while training: eval or train.
    """

    def __init__(self, config: schema.Tuning, backbone: Backbone, model: Any, *, extra_positions: int = 0) -> None:
        self.config = config
        self.backbone = backbone
        self.model = model
        self.core = core_of(model)
        self.extra_positions = extra_positions
        self.frozen_mode = config.frozen_mode
        self.adapt = input_adapter(model, self.core)
        prefix = next(name for name, module in model.named_modules() if module is self.core)
        self._prefix = f"{prefix}." if prefix else ""
        self.layers = layer_paths(self.core, backbone.family)
        self.depth = len(self.layers)
        self.trainable = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.head_names = [name for name in self.trainable if inside(self.plain_name(name), backbone.new_modules)]
        self.boundary = self._describe_boundary()

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """What the head gives (see `Head.read`), independent of the padding's side and amount."""
        return self.backbone.head.read(self.core, self.adapt(inputs), self.extra_positions)

    def train_mode(self) -> None:
        """Put what trains in train mode, and what is frozen in `frozen_mode`.

        A part is the embeddings, one layer, the pooler or final norm, or the head. With frozen_mode=eval, a part none of whose own tensors
        train is in eval mode as a whole: no dropout. In a part where some train (bitfit: biases) all dropout is on. Layers that LoRA adapts
        are frozen parts; only LoRA's own dropout is on in them.
        """
        self.model.train()
        if self.frozen_mode == "train":
            return
        own = {self.plain_name(name) for name in self.trainable if not is_added(name)}
        for paths in self.parts():
            if not any(inside(name, paths) for name in own):
                for path in paths:
                    self.core.get_submodule(path).eval()
        family = self.backbone.family
        for path in family.stacks:
            # Their own dropout is that of the embeddings; what they hold has been set.
            self.core.get_submodule(path).training = any(inside(name, family.embeddings) for name in own)
        for module in self.core.modules():
            if isinstance(module, LoraLayer):
                for added in (module.lora_dropout, module.lora_A, module.lora_B):
                    added.train()

    def parts(self) -> list[tuple[str, ...]]:
        """Paths in `core` of modules that are in one mode together: embeddings, each layer, final norm, pooler, head."""
        family = self.backbone.family
        layers = ((path,) for path in self.layers)
        present = dict(self.core.named_modules()).keys()
        parts = (family.embeddings, *layers, family.final, family.pooler, self.backbone.new_modules)
        return [tuple(path for path in part if path in present) for part in parts]

    def plain_name(self, name: str) -> str:
        """The name that a tensor of `model` has (or, if added, whose module has) in the plain transformers model."""
        name = name.removeprefix(self._prefix)
        name = re.sub(r"\.(modules_to_save\.default|original_module|base_layer)(?=\.)", "", name)
        return re.sub(r"\.lora_[AB]\.default(?=\.)", "", name)

    def depth_of(self, name: str) -> int:
        """Distance from the head: 0 for the head, pooler and final norm, 1 for the top layer, layers + 1 for embeddings and prompts."""
        family, plain = self.backbone.family, self.plain_name(name)
        if inside(plain, (*self.backbone.new_modules, *family.final, *family.pooler)):
            return 0
        at = next((at for at, path in enumerate(self.layers) if inside(plain, (path,))), -1)
        return self.depth - at

    def _describe_boundary(self) -> str:
        deepest = max(map(self.depth_of, self.trainable))
        if deepest > self.depth:
            return "embeddings"
        if deepest > 0:
            return f"layer {self.depth - deepest + 1} of {self.depth}"
        return "head" if len(self.head_names) == len(self.trainable) else "pooler"

    @property
    def biases(self) -> list[str]:
        """Trainable tensors that are biases."""
        return [name for name in self.trainable if is_bias(name)]

    @property
    def learning_rates(self) -> dict[str, schema.LearningRates]:
        """Usual rates of this method by family of optimizers."""
        return schema.LEARNING_RATES[self.config.name]

    @property
    def parameters(self) -> dict[str, int]:
        """total, trainable, and stored_bytes of what trains. PEFT's spare copies of the head are not counted."""
        counted = {name: p for name, p in self.model.named_parameters() if ".original_module." not in name}
        trained = [p for p in counted.values() if p.requires_grad]
        return {
            "total": sum(p.numel() for p in counted.values()),
            "trainable": sum(p.numel() for p in trained),
            "stored_bytes": sum(p.numel() * p.element_size() for p in trained),
        }

    def check_length(self, max_length: int) -> None:
        """Refuse texts that, with the virtual tokens, outgrow the architecture's positions.

        Raises:
            ConfigError: they do.
        """
        limit = self.backbone.max_positions
        if limit is not None and max_length + self.extra_positions > limit:
            added = f" and {self.extra_positions} virtual ones" if self.extra_positions else ""
            raise ConfigError(
                Problem(
                    f"{max_length} tokens{added} in a model with {limit} positions",
                    "batch.max_length",
                    allowed=f"up to {limit - self.extra_positions}",
                )
            )

    def trainable_state(self) -> dict[str, Tensor]:
        """The tensors that train, by their name in `model`; not copies."""
        parameters = dict(self.model.named_parameters())
        return {name: parameters[name].detach() for name in self.trainable}

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Put back what `trainable_state` gave.

        Raises:
            ValueError: a name is missing or strange, or a shape differs.
        """
        own = self.trainable_state()
        if own.keys() != state.keys():
            raise ValueError(f"trainable tensors differ: {sorted(own.keys() ^ state.keys())[:4]}")
        wrong = [name for name in own if own[name].shape != state[name].shape]
        if wrong:
            raise ValueError(f"trainable tensors of another shape: {wrong[:4]}")
        for name, tensor in own.items():
            tensor.copy_(state[name])


def is_added(name: str) -> bool:
    """Whether the tensor is one that PEFT added, beside the head."""
    return ".lora_" in name or name.startswith("prompt_encoder.")


def core_of(model: Any) -> Any:
    """The transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if isinstance(model, PeftModel) else model


def virtual_tokens(model: Any) -> int:
    """How many virtual tokens a PEFT model puts before each text."""
    config = model.active_peft_config if isinstance(model, PeftModel) else None
    return int(config.num_virtual_tokens) if config is not None and config.is_prompt_learning else 0


def input_adapter(model: Any, core: Any) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """What becomes of a batch's inputs before the core sees them: virtual tokens go before the text, or nothing happens."""
    if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
        return lambda inputs: with_prompt(model, core, inputs)
    return lambda inputs: inputs
