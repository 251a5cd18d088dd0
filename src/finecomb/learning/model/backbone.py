"""Builds a model with a new head: pre-trained from a local directory, or tiny and random. Nothing is downloaded here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoConfig

from finecomb.config.plugins import find_build
from finecomb.config.schema.model import EMBEDDED_BASE, FAMILIES, Family, Model, Transformer
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.heads import HEADS, Head
from finecomb.learning.model.scratch import Corpus, scratch_directory
from finecomb.learning.model.source import ModelSource
from finecomb.learning.model.tiny import tiny_directory
from finecomb.learning.model.tokenizer import load_tokenizer, prepare_tokenizer
from finecomb.learning.precision import set_precision
from finecomb.learning.quiet import quiet

VERSION = "1"

# Buffers that older versions of transformers stored; they are computed now.
_STORED_BUFFERS = ("position_ids", "attn.bias", "attn.masked_bias", "inv_freq")


@dataclass
class Backbone:
    """A model with its tokenizer.

    model: of the head's auto class, in fp32 unless built otherwise. head: the kind of head.
    new_modules: those without pre-trained weights (the head; a pooler the weights lack).
    sha256: hash of the weights it came from. directory: where they were read. name_or_path: what an adapter names as its base: the hub
    id where these are the hub's very weights, else the folder in the artifact that holds them; never a path of this machine.
    """

    model: Any
    tokenizer: Any
    family: Family
    sha256: str
    name_or_path: str
    directory: Path
    new_modules: tuple[str, ...]
    head: Head

    @property
    def max_positions(self) -> int | None:
        """Tokens that the architecture has positions for; None where positions are relative and unbounded."""
        config = self.model.config
        if config.model_type in ("xlnet", "t5") or not getattr(config, "position_biased_input", True):
            return None
        taken = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta") else 0
        return int(config.max_position_embeddings) - taken


def build(
    config: Model,
    source: ModelSource,
    *,
    num_outputs: int,
    label_names: list[str] | None,
    problem_type: str | None,
    seed: int,
    head: str = "sequence_classification",
    dtype: torch.dtype = torch.float32,
    corpus: Corpus | None = None,
) -> Backbone:
    """Load or make the model with a head of a kind of `HEADS`, and of `num_outputs` outputs where that is new.

    A new head is drawn from `seed` alone: not from the global random state, nor from what is tuned. A head for classes that comes with the
    weights is replaced; one for words is kept. problem_type: as transformers names it (regression, single_label_classification,
    multi_label_classification); None for heads that have none.
    dtype: of the pre-trained weights; see `set_precision`. corpus: the training texts, for a model that learns its tokenizer from them.

    Raises:
        ConfigError: the weights do not fit the architecture, or the tokenizer does not fit the weights.
    """
    outputs: dict[str, Any] = {"num_outputs": num_outputs, "label_names": label_names, "problem_type": problem_type, "seed": seed}
    outputs["head"] = head
    own = find_build("model", config.name)
    backbone: Backbone = own(config, source, **outputs) if own else _build(config, source, dtype=dtype, corpus=corpus, **outputs)
    if dtype != torch.float32:
        set_precision(backbone.model, backbone.new_modules, dtype)
    if config.gradient_checkpointing:
        for path in backbone.family.lists:
            checkpoint_layers(backbone.model.get_submodule(path))
    return backbone


def _build(
    config: Model,
    source: ModelSource,
    *,
    num_outputs: int,
    label_names: list[str] | None,
    problem_type: str | None,
    seed: int,
    head: str,
    dtype: torch.dtype,
    corpus: Corpus | None,
) -> Backbone:
    family = FAMILIES[source.model_type]
    directory = source.directory or _made_here(config, source, corpus, seed)
    tokenizer = load_tokenizer(directory)
    model_config = AutoConfig.from_pretrained(str(directory), local_files_only=True)
    prepare_tokenizer(tokenizer, family, model_config)
    _set_outputs(model_config, num_outputs, label_names, problem_type)
    model_config.pad_token_id = tokenizer.pad_token_id
    if config.dropout is not None:
        set_dropout(model_config, config.dropout)
        if head == "token_classification" and not hasattr(model_config, "classifier_dropout"):
            model_config.classifier_dropout = config.dropout  # decoders' heads for tokens have a rate of 0.1 that no key of theirs shows
    model, new_modules = load_pretrained(directory, model_config, family, head=HEADS[head], attention=config.attention, dtype=dtype)
    _check_vocabulary(model, tokenizer, directory)
    for path in new_modules:
        model.get_submodule(path).float()
    initialise(model, new_modules, seed=seed)
    model.eval()
    return Backbone(model, tokenizer, family, source.sha256, source.hub_id or EMBEDDED_BASE, directory, new_modules, HEADS[head])


def _made_here(config: Model, source: ModelSource, corpus: Corpus | None, seed: int) -> Path:
    if not isinstance(config, Transformer):
        return tiny_directory(config, source)
    if corpus is None:
        raise ValueError("a model that learns its tokenizer needs the training texts")
    return scratch_directory(config, source, corpus, seed=seed)


def _set_outputs(config: Any, num_outputs: int, label_names: list[str] | None, problem_type: str | None) -> None:
    config.num_labels = num_outputs
    names = label_names if label_names is not None else ["value"] if problem_type == "regression" else None
    if names is not None and len(names) == num_outputs:  # a task may have names that its outputs do not stand for
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
    config.problem_type = problem_type


def set_dropout(config: Any, dropout: float) -> None:
    """Set every dropout rate of a transformers config, whatever the architecture calls it; 0.0 leaves no dropout at all."""
    for name, value in config.to_dict().items():
        if "layerdrop" in name and dropout:  # whole layers, which is another thing
            continue
        if "drop" in name and (value is None or isinstance(value, (int, float))):
            setattr(config, name, dropout)


def checkpoint_layers(layers: Iterable[nn.Module]) -> None:
    """Keep only each layer's input for the backward pass, in which the layer runs again with the same dropout masks (Chen et al. 2016).

    Transformers' own switch has no effect on layers in eval mode, as frozen ones are (`tuning.frozen_mode`), nor on XLNet. The method
    `forward` is replaced rather than the module wrapped, so that names stay and the module's hooks run outside the checkpoint: FSDP gathers
    the weights in them.
    """
    for layer in layers:
        layer.forward = functools.partial(_checkpointed, layer.forward)


def _checkpointed(forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs, **options)
    # The reentrant variant gives no gradient where no input needs one, as with frozen embeddings.
    return checkpoint(forward, *inputs, use_reentrant=False, **options)


def load_pretrained(
    directory: Path, config: Any, family: Family, *, head: Head, attention: str = "auto", dtype: torch.dtype = torch.float32
) -> tuple[Any, tuple[str, ...]]:
    """The model with the directory's weights in `dtype`, and the modules for which it holds none.

    attention: as transformers names its implementations, or auto: its own choice.

    Raises:
        ConfigError: the file is damaged; or tensors below the head are missing, of another shape, or more than the architecture has.
    """
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            model, loading = head.auto.from_pretrained(
                str(directory), config=config, local_files_only=True, use_safetensors=True, dtype=dtype,
                ignore_mismatched_sizes=True, output_loading_info=True, attn_implementation=None if attention == "auto" else attention,
            )  # fmt: skip
    except SafetensorError as error:
        raise ConfigError(Problem(f"the weights cannot be read: {error}", str(directory), hint="fetch or copy them again")) from error
    head.take_off(model)
    poolers = () if head.bare else family.pooler
    absent_poolers = tuple(path for path in poolers if any(key.startswith(f"{path}.") for key in loading["missing_keys"]))
    new = family.new_modules(head.name) + absent_poolers
    absent = (*new, *family.head, *family.pooler) if head.bare else new
    missing = [key for key in loading["missing_keys"] if not _inside(key, absent)]
    mismatched = [str(key) for key, *_ in loading["mismatched_keys"] if not _inside(key, absent)]
    layers = tuple(f"{path}." for blocks in family.lists for path in (blocks, blocks.split(".", 1)[-1]))
    unexpected = [key for key in loading["unexpected_keys"] if key.startswith(layers) and not key.endswith(_STORED_BUFFERS)]
    problems = [
        Problem(f"{len(keys)} tensors {what}: {', '.join(sorted(keys)[:4])}{' ...' if len(keys) > 4 else ''}", str(directory))
        for what, keys in (
            ("that the architecture needs are missing", missing),
            ("have another shape than config.json says", mismatched),
            ("of layers that config.json does not have", unexpected),
        )
        if keys
    ]
    if problems:
        raise ConfigError(problems)
    return model, new


def _inside(key: str, modules: tuple[str, ...]) -> bool:
    return any(key.startswith(f"{module}.") for module in modules)


def _check_vocabulary(model: Any, tokenizer: Any, directory: Path) -> None:
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ConfigError(
            Problem(
                f"the tokenizer has {len(tokenizer)} tokens, the weights have {rows} embeddings",
                str(directory),
                hint="use the tokenizer that belongs to the weights",
            )
        )


def initialise(model: Any, modules: tuple[str, ...], *, seed: int) -> None:
    """Draw the tensors of `modules` anew as their architecture does, from `seed` alone; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for path in modules:
            for module in model.get_submodule(path).modules():
                _forget_initialisation(module)
                model._init_weights(module)


def _forget_initialisation(module: nn.Module) -> None:
    """Transformers marks tensors that were loaded or drawn, and its initialisers then leave them alone."""
    for parameter in module.parameters(recurse=False):
        if getattr(parameter, "_is_hf_initialized", False):
            del parameter._is_hf_initialized
