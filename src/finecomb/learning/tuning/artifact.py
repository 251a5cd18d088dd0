"""What a run leaves to use, in the formats of transformers and PEFT: both load it without finecomb.

full: save_pretrained. head, top_layers, bitfit: two shards. The frozen tensors stand in the first, a hard link to one file in the cache
that all such runs share; the trained ones in the second, which is all that is newly stored. lora, prompt: a PEFT adapter with the head, and
the base's own weight files in base/, hard links to files in the cache, so that the folder loads alone and on another machine.
Next to them: config.json with the label names, the tokenizer, and finecomb.json with the base and the tuning.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from finecomb.assets import hash_file
from finecomb.assets.cache import BASES
from finecomb.config.schema import tuning as schema
from finecomb.config.schema.model import EMBEDDED_BASE
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem
from finecomb.learning.heads import HEADS, Head
from finecomb.learning.precision import set_precision
from finecomb.learning.quiet import quiet
from finecomb.learning.tuning.tuned import Tuned, core_of, input_adapter, virtual_tokens

VERSION = "1"

RECORD = "finecomb.json"
FORMAT = 1
FROZEN_SHARD, TRAINED_SHARD = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def save(tuned: Tuned, directory: Path, info: dict[str, Any]) -> None:
    """Write the artifact into `directory`, which is made if need be.

    info: more facts for finecomb.json, as JSON primitives; `max_length` also becomes the tokenizer's model_max_length.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tuned.core.config.architectures = [type(tuned.core).__name__]
    if isinstance(tuned.model, PeftModel):
        # get_peft_model records the directory that the base was read from, which is a path of this machine.
        tuned.model.peft_config[tuned.model.active_adapter].base_model_name_or_path = tuned.backbone.name_or_path
        # Without a search for embeddings to save, PEFT does not ask the hub about the base.
        tuned.model.save_pretrained(str(directory), safe_serialization=True, save_embedding_layers=False)
        tuned.core.config.save_pretrained(str(directory))
    elif isinstance(tuned.config, schema.Full):
        with quiet():
            tuned.core.save_pretrained(str(directory))
    else:
        _save_shards(tuned, directory)
        tuned.core.config.save_pretrained(str(directory))
    tokenizer = copy.deepcopy(tuned.backbone.tokenizer)
    if "max_length" in info:
        tokenizer.model_max_length = info["max_length"]
    tokenizer.save_pretrained(str(directory))
    backbone = tuned.backbone
    base: dict[str, Any] = {"name_or_path": backbone.name_or_path, "directory": str(backbone.directory), "sha256": backbone.sha256}
    if isinstance(tuned.model, PeftModel):
        base["files"] = _save_base(tuned, directory)
    record = {
        "format": FORMAT,
        "base": base,
        "head": backbone.head.name,
        "tuning": dataclasses.asdict(tuned.config),
        "boundary": tuned.boundary,
        "trainable": tuned.trainable,
        "parameters": tuned.parameters,
        "precision": _precision(tuned),
        "new_modules": list(backbone.new_modules),
        **info,
    }
    (directory / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _precision(tuned: Tuned) -> str:
    """Name of the pre-trained weights' dtype."""
    return str(tuned.core.get_input_embeddings().weight.dtype).removeprefix("torch.")


def _save_shards(tuned: Tuned, directory: Path) -> None:
    trained_names = set(tuned.trainable)
    frozen: dict[str, Tensor] = {}
    trained: dict[str, Tensor] = {}
    for name, tensor in tuned.core.state_dict().items():
        (trained if name in trained_names else frozen)[name] = tensor.detach().cpu().contiguous()
    save_file(trained, str(directory / TRAINED_SHARD), metadata={"format": "pt"})
    precision = _precision(tuned)
    # The precision is part of the name only where it is not fp32, as in names of files that are in the cache already.
    base = tuned.backbone.sha256 + ("" if precision == "float32" else f" {precision}")
    _link(_shared_shard(base, frozen), directory / FROZEN_SHARD)
    shards = {name: FROZEN_SHARD for name in frozen} | {name: TRAINED_SHARD for name in trained}
    size = sum(tensor.numel() * tensor.element_size() for tensor in (*frozen.values(), *trained.values()))
    _write_index(directory, shards, size)


def _write_index(directory: Path, files: dict[str, str], size: int) -> None:
    """Write the index that transformers reads: the file, relative to `directory`, that holds each tensor."""
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(files.items()))}
    (directory / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _save_base(tuned: Tuned, directory: Path) -> dict[str, str]:
    """Link the weight files of an adapter's base into base/, and return the sha256 of each by name.

    The index in `directory` names them there, so that transformers, `pipeline()` included, loads base and adapter from the folder alone;
    base/ itself is what `PeftModel.from_pretrained(base, directory)` takes.
    """
    folder = directory / EMBEDDED_BASE
    folder.mkdir(exist_ok=True)
    hashes = _weight_hashes(tuned.backbone.directory)
    held: dict[str, str] = {}
    for name, sha256 in hashes.items():
        source = tuned.backbone.directory / name
        _link(_shared_copy(source, sha256), folder / name)
        with safe_open(str(source), framework="pt") as tensors:
            held |= dict.fromkeys(tensors.keys(), name)
    if len(hashes) > 1:
        _write_index(folder, held, _size(folder))
    tuned.core.config.save_pretrained(str(folder))
    _write_index(directory, {tensor: f"{EMBEDDED_BASE}/{name}" for tensor, name in held.items()}, _size(folder))
    return hashes


def _shared_copy(source: Path, sha256: str) -> Path:
    return _shared_file(sha256, lambda path: shutil.copyfile(source, path), lambda path: hash_file(path) == sha256)


def _size(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.glob("*.safetensors"))


def _shared_shard(base: str, frozen: dict[str, Tensor]) -> Path:
    """The file in the cache that holds exactly these frozen tensors; written when it is missing or does not hold them."""
    key = hashlib.sha256(json.dumps([base, sorted(frozen)]).encode()).hexdigest()
    return _shared_file(key, lambda path: save_file(frozen, str(path), metadata={"format": "pt"}), lambda path: _holds(path, frozen))


def _shared_file(key: str, write: Callable[[Path], object], intact: Callable[[Path], bool]) -> Path:
    """The file of that key in the cache, to which artifacts link; written when it is missing or damaged."""
    path = BASES.path(f"{key}.safetensors")
    if path.exists() and intact(path):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.file(path) as scratch:
        write(scratch)
        # Many artifacts are links to this one file: nobody should write to it in place.
        scratch.chmod(0o444)
    return path


def _holds(path: Path, tensors: dict[str, Tensor]) -> bool:
    try:
        stored = load_file(str(path))
    except Exception:  # safetensors raises its own errors for a damaged file; any of them means: write it anew
        return False
    return stored.keys() == tensors.keys() and all(torch.equal(stored[name], tensor) for name, tensor in tensors.items())


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _weight_hashes(directory: Path) -> dict[str, str]:
    return {file.name: hash_file(file) for file in sorted(directory.glob("*.safetensors"))}


@dataclass
class Loaded:
    """An artifact read back, ready to predict.

    model: in eval mode and the precision it was trained in; a transformers or a PEFT model. record: finecomb.json.
    """

    model: Any
    core: Any
    tokenizer: Any
    record: dict[str, Any]
    adapt: Callable[[dict[str, Tensor]], dict[str, Tensor]]
    head: Head

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """What the head gives, as `Tuned.forward` gives it."""
        return self.head.read(self.core, self.adapt(inputs), virtual_tokens(self.model))


def load(directory: Path, *, base: Path | None = None) -> Loaded:
    """Read an artifact back.

    base: directory of the base weights of an adapter; by default those in the artifact, or, where it holds none (written by an earlier
        version), where they were when it was written.

    Raises:
        ConfigError: it is no artifact, or the base is gone or has other weights.
    """
    if not (directory / RECORD).exists():
        raise ConfigError(Problem(f"no {RECORD} in {directory}", str(directory), hint="name the artifact folder of a finished run"))
    record = json.loads((directory / RECORD).read_text(encoding="utf-8"))
    adapter = (directory / "adapter_config.json").exists()
    held = directory / EMBEDDED_BASE
    weights = (base or (held if held.is_dir() else Path(record["base"]["directory"]))) if adapter else directory
    if adapter:
        _check_base(weights, record["base"], directory)
    config = AutoConfig.from_pretrained(str(directory), local_files_only=True)
    # Artifacts of earlier versions are all of this kind.
    head = HEADS[record.get("head", "sequence_classification")]
    with torch.random.fork_rng(devices=[]), quiet():
        # The head of an adapter's base is new here and replaced below.
        model = head.auto.from_pretrained(
            str(weights), config=config, local_files_only=True, use_safetensors=True, dtype=torch.float32, ignore_mismatched_sizes=adapter
        )
        head.take_off(model)
        if (precision := record.get("precision", "float32")) != "float32":
            set_precision(model, record["new_modules"], getattr(torch, precision))
        if adapter:
            model = PeftModel.from_pretrained(model, str(directory))
    model.eval()
    core = core_of(model)
    if (directory / GENERATION_CONFIG_NAME).exists():  # an adapter's model has read that of its base
        core.generation_config = GenerationConfig.from_pretrained(str(directory), local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(str(directory), local_files_only=True)
    return Loaded(model, core, tokenizer, record, input_adapter(model, core), head)


def _check_base(weights: Path, base: dict[str, Any], directory: Path) -> None:
    name = base["name_or_path"]
    if not weights.is_dir():
        raise ConfigError(Problem(f"the base weights of this adapter are gone: {weights}", str(directory), hint=f"fetch {name} again"))
    if _weight_hashes(weights) != base["files"]:
        raise ConfigError(
            Problem(
                f"the base weights in {weights} are not those this adapter was trained on ({name})", str(directory), hint="put them back"
            )
        )
