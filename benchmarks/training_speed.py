"""One epoch of full fine-tuning, timed without imports, loading and evaluation, by three programs on the same rows.

The peer is transformers' Trainer as its own users set it for speed: dynamic padding, batches of like length, bf16 where the CPU has it,
fused AdamW, and no logging or saving in between.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from finecomb.config.compose import compose
from finecomb.config.schema.task import variant
from finecomb.core.machine import this_machine
from finecomb.data.prepare import prepare
from finecomb.learning.model.source import inspect

EXAMPLES = 1000
BATCH = 32
OVERRIDES = [
    f"dataset.limit.train={EXAMPLES}", "dataset.limit.validation=32", "dataset.limit.test=32", f"batch.size={BATCH}",
    "trainer.max_epochs=1", "optimizer.lr=5e-5", "logger=none", "callbacks.progress.enabled=false", "evaluate.test=false",
]  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """What every contender trains on."""

    directory: Path
    tokenizer: Any
    encoded: list[dict[str, Any]]
    bf16: bool


def prepare_inputs() -> Inputs:
    """The rows finecomb itself would train on, encoded by the same tokenizer."""
    transformers.logging.set_verbosity_error()
    config = compose(OVERRIDES).config
    source = inspect(config.model)
    assert source.directory is not None
    rows = prepare(config.dataset, config.cleaner, task_variant=variant(config.task)).load()["train"]
    tokenizer = AutoTokenizer.from_pretrained(source.directory)
    encoded = tokenizer(list(rows["text"]), truncation=True, max_length=config.batch.max_length)
    features = [{"input_ids": ids, "labels": label} for ids, label in zip(encoded["input_ids"], rows["label"], strict=True)]
    return Inputs(Path(source.directory), tokenizer, features, this_machine().bf16)


def _model(inputs: Inputs, seed: int) -> Any:
    torch.manual_seed(seed)
    return AutoModelForSequenceClassification.from_pretrained(inputs.directory, num_labels=2)


def finecomb(inputs: Inputs, seed: int) -> float:
    """`finecomb train`; its own record of the seconds in training."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "finecomb", "train", *OVERRIDES, f"seed={seed}", f"output_dir={folder}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        result = json.loads((Path(done.stdout.strip().splitlines()[-1]) / "result.json").read_text())
    return float(result["time"]["train_s"])


def trainer(inputs: Inputs, seed: int) -> float:
    """transformers' Trainer; its own record of the seconds in training."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=5e-5, warmup_steps=4,
            bf16=inputs.bf16, optim="adamw_torch_fused", train_sampling_strategy="group_by_length", logging_strategy="no",
            save_strategy="no", report_to=[], seed=seed, use_cpu=True, disable_tqdm=True, logging_nan_inf_filter=False,
        )  # fmt: skip
        peer = Trainer(
            _model(inputs, seed), arguments, train_dataset=inputs.encoded, data_collator=DataCollatorWithPadding(inputs.tokenizer)
        )
        return float(peer.train().metrics["train_runtime"])


def plain_loop(inputs: Inputs, seed: int) -> float:
    """The shortest correct loop: random batches, padded dynamically."""
    model = _model(inputs, seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
    collate = DataCollatorWithPadding(inputs.tokenizer)
    start = time.perf_counter()
    for rows in torch.randperm(len(inputs.encoded)).split(BATCH):
        batch = collate([inputs.encoded[row] for row in rows])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=inputs.bf16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return time.perf_counter() - start


CONTENDERS: dict[str, Callable[[Inputs, int], float]] = {"finecomb": finecomb, "transformers Trainer": trainer, "plain loop": plain_loop}
