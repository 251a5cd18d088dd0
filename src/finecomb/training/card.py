"""The model card of an artifact, in the form of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from finecomb.config.schema.model import EMBEDDED_BASE
from finecomb.learning.task import chosen_by

if TYPE_CHECKING:
    from finecomb.training.parts import Parts

PEFT_METHODS = ("lora", "prompt")
# What the hub calls the use of a head.
PIPELINES = {
    "sequence_classification": "text-classification", "token_classification": "token-classification", "causal_lm": "text-generation",
    "seq2seq_lm": "text2text-generation", "question_answering": "question-answering", "features": "sentence-similarity",
}  # fmt: skip


def card(parts: Parts, metrics: dict[str, float | None], examples: dict[str, int]) -> str:
    """README.md of the artifact. metrics: by name with split. examples: how many each split's metrics are over."""
    config = parts.config
    header = {
        "base_model": base_name(parts),
        "library_name": "peft" if config.tuning.name in PEFT_METHODS else "transformers",
        "pipeline_tag": PIPELINES[parts.backbone.head.name],
        "tags": ["finecomb", f"tuning:{config.tuning.name}", f"task:{config.task.name}"],
    }
    sections = [
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n",
        f"# {config.model.name}, {config.tuning.name}, on {config.dataset.name}\n",
        _about(parts),
        "## Metrics\n\n" + _table(metrics, examples),
        "## Use\n\n```python\n" + _usage(parts) + "```\n",
        f"Logits are those of {_precision(parts)} in eval mode; the recorded predictions were compared with this very folder after it was "
        "written.\n",
    ]
    return "\n".join(sections)


def _precision(parts: Parts) -> str:
    return "bfloat16 weights and an fp32 head" if parts.config.trainer.precision == "bf16-true" else "fp32"


def _about(parts: Parts) -> str:
    config, tuned = parts.config, parts.tuned
    license = parts.prepared.manifest.license or "not stated by its source"
    total, trainable = parameter_counts(parts)
    lines = [
        f"* Base: {base_name(parts)}, weights {parts.backbone.sha256[:16]}." + (f" {config.model.note}." if config.model.note else ""),
        f"* Tuning: `{config.tuning.name}`, {trainable:,} of {total:,} parameters; first trainable layer: {tuned.boundary}; "
        f"frozen modules in {tuned.frozen_mode} mode.",
        f"* Data: `{config.dataset.name}`, content {parts.prepared.content_hash[:16]}. License: {license}.",
        "* The licenses of the base weights and of the data apply to what is derived from them.",
        f"* Texts are cut at {config.batch.max_length} tokens.{_labels(parts)}",
        *(f"* Chosen on validation: `{name}` = {value:.4f}." for name, value in chosen_by(parts.task).get("chosen", {}).items()),
        f"* Seed {config.seed}, {config.optimizer.name} at {config.optimizer.lr}, batches of {config.batch.size}.",
    ]
    return "\n".join(lines) + "\n"


def _labels(parts: Parts) -> str:
    names = parts.task.label_names or (["a number"] if parts.task.problem_type == "regression" else [])
    return f" Labels: {', '.join(names)}." if names else ""


def base_name(parts: Parts) -> str:
    """What a reader knows the base by: the name of a folder of one's own, a name on the hub, or the choice's name."""
    model = parts.config.model
    if model.name_or_path is not None:
        local = Path(model.name_or_path).expanduser()
        return local.resolve().name if local.is_dir() else model.name_or_path
    return model.hub_id or model.name


def parameter_counts(parts: Parts) -> tuple[int, int]:
    """Parameters of the model, and those that train."""
    named = dict(parts.tuned.model.named_parameters())
    return sum(tensor.numel() for tensor in named.values()), sum(tensor.numel() for tensor in named.values() if tensor.requires_grad)


def _table(metrics: dict[str, float | None], examples: dict[str, int]) -> str:
    rows = [
        f"| {name} | {'undefined' if value is None else f'{value:.4f}'} | {examples[name.split('/')[0]]} |"
        for name, value in metrics.items()
    ]
    return "\n".join(["| metric | value | n |", "|---|---|---|", *rows]) + "\n"


def _usage(parts: Parts) -> str:
    auto_class = parts.backbone.head.auto_class
    if parts.config.tuning.name not in PEFT_METHODS:
        return (
            f"from transformers import {auto_class}, AutoTokenizer\n\n"
            f'model = {auto_class}.from_pretrained("this/folder").eval()\n'
            'tokenizer = AutoTokenizer.from_pretrained("this/folder")\n'
        )
    return (
        "from peft import PeftModel\n"
        f"from transformers import {auto_class}, AutoTokenizer\n\n"
        f'base = {auto_class}.from_pretrained("this/folder/{EMBEDDED_BASE}")\n'
        'model = PeftModel.from_pretrained(base, "this/folder").eval()\n'
        'tokenizer = AutoTokenizer.from_pretrained("this/folder")\n'
    )
