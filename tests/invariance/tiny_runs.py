"""Tiny prepared data and run directories, made in milliseconds, for the tests of training."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from finecomb.config.compose import compose
from finecomb.config.plain import from_plain, to_plain
from finecomb.config.resolve import resolve
from finecomb.config.schema.train import Config
from finecomb.core.machine import Machine
from finecomb.data.dataset.manifest import Manifest
from finecomb.data.dataset.prepared import content_hash, write
from finecomb.data.dataset.rows import Rows
from finecomb.data.prepare import open_prepared
from finecomb.learning.model import inspect
from finecomb.runs import directory
from finecomb.runs.directory import RunDirectory
from finecomb.runs.record import Inputs, ModelInput, PreparedInput, RunRecord

WORDS = [
    "good",
    "great",
    "best",
    "fun",
    "love",
    "bad",
    "worst",
    "boring",
    "dull",
    "hate",
    "movie",
    "film",
    "plot",
    "story",
    "the",
    "a",
    "an",
    "and",
    "very",
    "too",
    "so",
]
NAMES = {"class": ["negative", "neutral", "positive"], "classes": ["bad", "good", "long"], "number": None}
TASKS = {
    "single": ("class", False, ["task=sequence_classification"]),
    "pair": ("class", True, ["task=sequence_classification"]),
    "multi_label": ("classes", False, ["task=sequence_classification", "task.multi_label=true"]),
    "regression": ("number", False, ["task=regression", "loss=mse"]),
}


def _rows(split: str, count: int, kind: str, pair: bool, group: bool, weighted: bool) -> Rows:
    draw = random.Random(f"{split} {kind}")
    texts = [[draw.choice(WORDS) for _ in range(draw.randint(1, 14))] for _ in range(count)]
    score = [sum((word in WORDS[:5]) - (word in WORDS[5:10]) for word in text) for text in texts]
    labels: list[Any] = {
        "class": [(value > 0) - (value < 0) + 1 for value in score],
        "classes": [[0] * (value < 0) + [1] * (value > 0) + [2] * (len(text) > 8) for value, text in zip(score, texts, strict=True)],
        "number": [value / 2 for value in score],
    }[kind]
    return Rows(
        id=[f"{split}-{row}" for row in range(count)],
        text=[" ".join(text) for text in texts],
        text_pair=[" ".join(reversed(text[: len(text) // 2 + 1])) for text in texts] if pair else None,
        label=[[*label] if isinstance(label, list) else label for label in labels],
        group=[("a", "b")[row % 2] for row in range(count)] if group else None,
        line=range(count),
        file="made up",
        weight=_weights(count) if split == "train" and weighted else None,
    )


def _weights(count: int) -> list[float]:
    """Uneven weights of examples, with a mean of 1."""
    raw = [1.0 + 4.0 * (row % 3 == 0) for row in range(count)]
    return [each * count / sum(raw) for each in raw]


def make_data(
    target: Path, *, kind: str = "class", pair: bool = False, group: bool = False, weighted: bool = False, train: int = 24
) -> Path:
    """A prepared folder of `train` training, 11 validation and 13 test rows."""
    splits = {name: _rows(name, count, kind, pair, group, weighted) for name, count in (("train", train), ("validation", 11), ("test", 13))}
    return write_rows(target, splits, kind, NAMES[kind])


def write_rows(target: Path, splits: Mapping[str, Rows], kind: str, names: list[str] | None) -> Path:
    """A prepared folder of these rows, whose labels are encoded."""
    counts = {}
    for split, rows in splits.items():
        flat = [index for label in rows.label for index in (label if isinstance(label, list) else [label])]
        counts[split] = {name: flat.count(index) for index, name in enumerate(names or [])}
    hashes = {name: rows.sha256() for name, rows in splits.items()}
    manifest = Manifest(
        rows={name: len(rows) for name, rows in splits.items()}, label_kind=kind, label_names=names, label_counts=counts,
        columns=["id", "text"] if kind == "none" else ["id", "text", "label"],
        source="made up", license="none", hashes=hashes, content_hash=content_hash(hashes, kind, names),
    )  # fmt: skip
    write(target, splits, manifest)
    return target


def tiny_config(data: Path, *overrides: str) -> Config:
    """A resolved config on prepared data, on one thread, in fp32, without dropout unless asked for."""
    composition = compose(
        ["dataset=prepared", f"dataset.path={data}", "model=tiny", "logger=none", "batch.size=8", "trainer.max_epochs=2",
         "trainer.threads=1", "trainer.precision=32-true", *overrides]
    )  # fmt: skip
    return resolve(composition.config, machine=Machine(cores=1, gpus=0, bf16=False, gpu_bf16=False))


def make_run(folder: Path, data: Path, *overrides: str, name: str = "run") -> RunDirectory:
    """A frozen run, as the launcher would make it."""
    config = tiny_config(data, *overrides)
    prepared, source = open_prepared(data), inspect(config.model)
    model = ModelInput(str(source.directory) if source.directory else None, source.sha256, source.model_type)
    inputs = Inputs(PreparedInput(str(data), content_hash=prepared.content_hash), model)
    fingerprint = f"{abs(hash(name)):012x}"[:12]
    record = RunRecord(fingerprint, name, inputs=inputs, overrides=list(overrides), job_type=config.tuning.name)
    return directory.create(folder, to_plain(config), record)


def frozen_config(run: RunDirectory) -> Config:
    """The typed config of a run."""
    return from_plain(run.config)


def weights(run: RunDirectory) -> dict[str, torch.Tensor]:
    """Trained tensors of a run's last checkpoint."""
    content = torch.load(run.checkpoints / "last.ckpt", weights_only=True)
    state: dict[str, torch.Tensor] = content["state_dict"]
    return state


def metrics(run: RunDirectory) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without their times."""
    return [{name: value for name, value in line.items() if name != "seconds"} for line in run.metrics()]


def result(run: RunDirectory) -> dict[str, Any]:
    """result.json."""
    content: dict[str, Any] = json.loads((run.path / "result.json").read_text())
    return content
