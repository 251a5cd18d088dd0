"""Where a model's weights are, their hash and their architecture. Imports no torch: the launcher asks before a run directory is made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from finecomb.assets import Local, fetch, hash_directory, hash_file
from finecomb.config.device_rules import attention_problem
from finecomb.config.schema.model import FAMILIES, HUB_WEIGHTS, Model, TinyModel, Transformer
from finecomb.core.errors import ConfigError, Problem

VERSION = "1"

# One of these holds a tokenizer's vocabulary. Without any, transformers would make an empty one and say nothing.
VOCABULARIES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
# Raised when the weights or the tokenizer of a tiny model change for the same config.
TINY_VERSION = 1


@dataclass(frozen=True)
class ModelSource:
    """A model that was found: its local directory (None for a tiny random one), the hash of its content, and its architecture.

    hub_id: the hub repository that holds these very weights; None where that is not known for certain.
    """

    directory: Path | None
    sha256: str
    model_type: str
    hub_id: str | None = None


def inspect(config: Model) -> ModelSource:
    """Find the weights that `config` names, fetching them if needed.

    `config.name_or_path`, a directory or a hub id, goes before `config.source`; with neither, a tiny model is described by its own fields.

    Raises:
        ConfigError: nothing is there, the architecture is unknown or lacks the requested attention, or the weights are not safetensors.
    """
    source = _locate(config)
    if problem := attention_problem(config.attention, source.model_type, "model.attention"):
        raise ConfigError(problem)
    return source


def _locate(config: Model) -> ModelSource:
    if config.name_or_path is not None:
        return _from_path(config.name_or_path)
    if isinstance(config, TinyModel):
        return _tiny(config)
    if isinstance(config, Transformer):
        return _scratch(config)
    if not config.source:
        raise ConfigError(
            Problem(f"model {config.name} names no weights", "model.source", hint="set model.name_or_path to a local directory or a hub id")
        )
    local = fetch(config.source, sha256=config.sha256, progress=True)
    source = dataclasses.replace(_describe(local.path, local.sha256), hub_id=_hub_id(config, local))
    if config.model_type not in ("auto", source.model_type):
        raise ConfigError(
            Problem(
                f"the weights are of architecture {source.model_type}, not {config.model_type}",
                f"model.model_type and {local.path / 'config.json'}",
                hint=f"set model.model_type to {source.model_type} or auto",
            )
        )
    return source


def _hub_id(config: Model, local: Local) -> str | None:
    """The choice's hub id, where the hub served the weights or its own hash of model.safetensors is theirs."""
    if config.hub_id is None or local.source.startswith(f"hub:{config.hub_id}@"):
        return config.hub_id
    weights = local.path / "model.safetensors"
    return config.hub_id if weights.is_file() and hash_file(weights) == HUB_WEIGHTS.get(config.hub_id) else None


def _tiny(config: TinyModel) -> ModelSource:
    fields = [config.model_type, config.layers, config.hidden, config.heads, config.init_seed, TINY_VERSION]
    if config.model_type not in FAMILIES:
        raise ConfigError(_unknown_architecture(config.model_type, "model.model_type"))
    if config.hidden % config.heads or (config.hidden // config.heads) % 2:
        raise ConfigError(
            Problem(
                f"hidden size {config.hidden} over {config.heads} heads",
                "model.hidden",
                allowed="an even number for each head",
                hint="set model.hidden to a multiple of twice model.heads",
            )
        )
    return ModelSource(None, hashlib.sha256(json.dumps(fields).encode()).hexdigest(), config.model_type)


def _scratch(config: Transformer) -> ModelSource:
    if config.hidden % config.heads or config.hidden % 2:
        what = f"hidden size {config.hidden} over {config.heads} heads"
        raise ConfigError(Problem(what, "model.hidden", allowed="an even multiple of model.heads"))
    sizes = [config.layers, config.hidden, config.heads, config.intermediate, config.positions, config.tokenizer, config.vocabulary]
    return ModelSource(None, hashlib.sha256(json.dumps(sizes).encode()).hexdigest(), "marian")


def _from_path(path: str) -> ModelSource:
    directory = Path(path).expanduser()
    if directory.is_dir():
        return _describe(directory.resolve(), hash_directory(directory))
    if path.count("/") == 1 and not path.startswith((".", "/", "~")):
        local = fetch([f"hub:{path}@main"], sha256=None, progress=True)
        return dataclasses.replace(_describe(local.path, local.sha256), hub_id=path)
    what = f"model.name_or_path={path} is a file" if directory.exists() else f"no such directory: {path}"
    hint = f"name its folder: model.name_or_path={directory.parent}" if directory.exists() else ""
    raise ConfigError(Problem(what, "model.name_or_path", allowed="a local directory, or a hub id such as owner/name", hint=hint))


def _describe(directory: Path, sha256: str) -> ModelSource:
    """Read the architecture from config.json and check what can be checked without torch."""
    try:
        stored = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            Problem("no config.json beside the weights", str(directory), hint="name a directory in transformers' format")
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(f"config.json cannot be read: {error}", str(directory / "config.json"))) from None
    model_type = str(stored.get("model_type"))
    problems = []
    if model_type not in FAMILIES:
        problems.append(_unknown_architecture(model_type, str(directory / "config.json")))
    if not (directory / "model.safetensors").exists() and not (directory / "model.safetensors.index.json").exists():
        pickled = sorted(file.name for file in directory.glob("*.bin"))
        problems.append(
            Problem(
                f"only pickled weights are there ({', '.join(pickled)})" if pickled else "no weights are there",
                str(directory),
                allowed="model.safetensors, or its shards with model.safetensors.index.json",
                hint="convert the weights to safetensors; pickled files can run code and are never read",
            )
        )
    if not any((directory / name).exists() for name in VOCABULARIES):
        problems.append(Problem("no tokenizer is beside the weights", str(directory), allowed=", ".join(VOCABULARIES)))
    if problems:
        raise ConfigError(problems)
    return ModelSource(directory, sha256, model_type)


def _unknown_architecture(model_type: str, where: str) -> Problem:
    return Problem(f"architecture {model_type} is not known", where, allowed=", ".join(FAMILIES), hint="choose a model of one of these")
