"""result.json: everything a table or a paper may ask of a run, in plain values. A superset of what PEFT's method comparison records."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch

from finecomb.learning.task import chosen_by
from finecomb.runs import provenance
from finecomb.training import artifact, memory
from finecomb.training.card import parameter_counts
from finecomb.training.evaluate import Evaluation
from finecomb.training.fit import Fit

VERSION = "1"

SCHEMA_VERSION = 2


def result(
    fit: Fit, trainer: pl.Trainer, evaluations: dict[str, Evaluation], chosen: dict[str, Any], reloaded: dict[str, Any], started: float
) -> dict[str, Any]:
    """The result of a finished run. started: time.monotonic() when this attempt began."""
    parts, record = fit.parts, fit.run.record
    total, trainable = parameter_counts(parts)
    return {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": record.fingerprint,
        "name": record.name,
        "status": "finished",
        "created": record.created,
        "finished": time.time(),
        "config": fit.run.config,
        "inputs": asdict(record.inputs),
        "metrics": {name: value for split, evaluation in evaluations.items() for name, value in evaluation.named(split).items()},
        **({"signatures": fit.module.generation.signatures()} if fit.module.generation else {}),
        "selection": {**chosen, **chosen_by(parts.task)},
        "counts": _counts(fit, evaluations),
        "parameters": {
            "total": total,
            "trainable": trainable,
            "trainable_tensors": len(parts.tuned.trainable),
            "stored_bytes": artifact.stored_bytes(fit.run.artifact),
        },
        "tuning": {
            "boundary": parts.tuned.boundary,
            "frozen_mode": parts.tuned.frozen_mode,
            "extra_positions": parts.tuned.extra_positions,
        },
        "training": _training(fit, trainer),
        "time": _time(fit, started),
        "memory": _memory(fit),
        "tokens": _tokens(fit, trainer),
        "learning_curve": "metrics.jsonl",
        "reloaded": reloaded,
        "note": parts.config.model.note,
        "versions": {name: version for name, version in provenance.packages().items() if name in provenance.NUMERIC},
        "attempts": fit.run.status().attempt,
        "error": None,
    }


def _counts(fit: Fit, evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    """Rows and labels of each split, what cleaning took away and why, and what truncation cut."""
    manifest, splits = fit.parts.prepared.manifest, fit.parts.data.splits
    return {
        **{key: getattr(manifest, key) for key in ("rows", "label_counts", "funnel", "unmapped")},
        "evaluated": {split: len(evaluation.kept) for split, evaluation in evaluations.items()},
        "encoded": {name: split.encoded.counts() for name, split in splits.items()},
    }


def _training(fit: Fit, trainer: pl.Trainer) -> dict[str, Any]:
    plan = fit.parts.data.plan
    return {
        "steps": trainer.global_step,
        "steps_per_epoch": plan.steps_per_epoch,
        "planned_steps": fit.parts.data.total_steps,
        "epochs": trainer.global_step / plan.steps_per_epoch,
        "stopped_by": fit.stop.reason,
        "world_size": fit.parts.data.world,
        # Of each rank and step; more than in the config after a restart for want of memory. batch.max_tokens splits further.
        "micro_batches": fit.parts.config.batch.micro_batches,
        "device": fit.module.device.type if fit.module.device.type == "cpu" else torch.cuda.get_device_name(fit.module.device),
        "precision": fit.parts.config.trainer.precision,
    }


def _time(fit: Fit, started: float) -> dict[str, Any]:
    """train_s: in training steps, without evaluation. total_s: all attempts as far as their checkpoints tell, with start and finish."""
    outside = time.monotonic() - started - fit.clock.this_attempt()
    return {"train_s": fit.clock.seconds("train"), "total_s": fit.clock.seconds("total") + outside}


def _memory(fit: Fit) -> dict[str, Any]:
    device, samples = fit.module.device, torch.tensor(fit.record.memory_samples or [memory.now(fit.module.device)], dtype=torch.float64)
    return {
        "peak_bytes": max(memory.peak(device), int(samples.max())),
        "average_bytes": int(samples.mean()),
        "p99_bytes": int(samples.quantile(0.99)),
        "of": "reserved by torch on the first rank's GPU" if device.type == "cuda" else "resident set of the first rank's process",
    }


def _tokens(fit: Fit, trainer: pl.Trainer) -> dict[str, Any]:
    """Tokens computed in training; truncated: cut from the texts of all splits."""
    counts = fit.parts.data.token_counts(trainer.global_step)
    cut = sum(split.encoded.counts()["truncated_tokens"] for split in fit.parts.data.splits.values())
    seconds = fit.clock.seconds("train")
    rate = counts["real"] / seconds if seconds else None
    return {**counts, "truncated": cut, "real_per_s": rate, "padded_share": counts["padded"] / max(1, counts["padded"] + counts["real"])}
