"""What a finished training leaves: predictions and final numbers in fp32, and an artifact that is shown to give those numbers.

The artifact is read back from the disk alone and its logits are compared with the recorded ones; a run whose artifact does not give
its own predictions has failed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finecomb.core.atomic import write_text
from finecomb.learning import tuning
from finecomb.learning.task import Batch, chosen_by
from finecomb.training import checkpoint, tables
from finecomb.training.callbacks import TrainingFailed
from finecomb.training.card import card
from finecomb.training.collector import collect
from finecomb.training.evaluate import Evaluation, keep_by, write_predictions
from finecomb.training.fit import Fit
from finecomb.training.strategy import load_full

VERSION = "1"

COMPARED_EXAMPLES = 32
# Batches of another shape are summed in another order; anything beyond rounding is a fault.
TOLERANCE = 1e-4
# Hidden states in bfloat16 have 8 bits, so the order of sums shows in the third digit.
TOLERANCE_BF16 = 5e-2


def restore_best(fit: Fit) -> dict[str, Any]:
    """Put the best epoch's tensors back, where requested and known; returns which checkpoint the final numbers are of.

    Raises:
        TrainingFailed: best.ckpt is of another step than the one that was best.
    """
    config, tracked = fit.parts.config, fit.best
    chosen: dict[str, Any] = {"checkpoint": "last", "metric": f"validation/{config.monitor.metric}", "mode": config.monitor.mode}
    chosen |= {"best_value": tracked.best, "best_epoch": tracked.best_epoch, "best_step": tracked.best_step}
    if config.callbacks.checkpoint.keep_best and tracked.best is not None:
        best = checkpoint.load(fit.run.checkpoints / checkpoint.BEST)
        if best["global_step"] != tracked.best_step:
            # A run killed between the writes of best.ckpt and last.ckpt, and then ended earlier by its time limit.
            raise TrainingFailed(
                f"{checkpoint.BEST} holds the weights of step {best['global_step']}, and the best validation was at step "
                f"{tracked.best_step}: its weights are lost. Train the run again with rerun=failed"
            )
        load_full(fit.parts.tuned, best["state_dict"])
        chosen["checkpoint"] = "best"
    return chosen


def final_evaluations(fit: Fit) -> dict[str, Evaluation]:
    """Validation, and test where it exists and is asked for, in fp32; predictions are written by the first rank."""
    parts = fit.parts
    splits = ["validation"] + (["test"] if "test" in parts.data.splits and parts.config.evaluate.test else [])
    evaluations = {}
    for split in splits:
        evaluations[split] = fit.evaluation(split)
        if parts.data.rank == 0:
            write_predictions(fit.run.predictions / f"{split}.parquet", evaluations[split], parts.data.splits[split], parts.task)
    if parts.data.rank == 0:
        tables.write(fit.run)
    return evaluations


def save(fit: Fit, evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    """Write the artifact anew, read it back and compare. Returns what was compared and how large the largest difference is.

    Raises:
        TrainingFailed: the artifact gives other predictions than the recorded ones.
    """
    parts, directory = fit.parts, fit.run.artifact
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    tuning.save(parts.tuned, directory, _info(fit))
    if fit.module.generation is not None:
        fit.module.generation.generator.config.save_pretrained(str(directory))
    metrics = {name: value for split, evaluation in evaluations.items() for name, value in evaluation.named(split).items()}
    write_text(directory / "README.md", card(parts, metrics, {split: len(evaluation.kept) for split, evaluation in evaluations.items()}))
    split, evaluation = list(evaluations.items())[-1]
    return compare(fit, directory, split, evaluation)


def _info(fit: Fit) -> dict[str, Any]:
    """What an artifact must say beside its tensors: where it came from and how texts are encoded."""
    parts, record = fit.parts, fit.run.record
    return {
        "data": {"name": parts.config.dataset.name, "content_hash": parts.prepared.content_hash},
        "fingerprint": record.fingerprint,
        "task": {
            "name": parts.config.task.name,
            "problem_type": parts.task.problem_type,
            "label_names": parts.task.label_names,
            **chosen_by(parts.task),
        },
        "max_length": parts.config.batch.max_length,
    }


def compare(fit: Fit, directory: Path, split: str, evaluation: Evaluation) -> dict[str, Any]:
    """Some rows of a split by the artifact's own tokenizer and tensors, against the recorded ones."""
    total, task = len(evaluation.kept), fit.parts.task
    rows = np.unique(np.linspace(0, total - 1, min(COMPARED_EXAMPLES, total)).astype(np.int64))
    loaded = tuning.load(directory)
    loaded.model.to(fit.module.device).eval()
    batch = _encoded_anew(fit, loaded, split, rows)
    width, keep = evaluation.kept.shape[1], keep_by(loaded.forward, task, fit.parts.loss)
    again = task.compared(collect(keep, [batch], rows=len(rows), width=width, device=fit.module.device))
    recorded = task.compared(evaluation.kept[torch.from_numpy(rows)])
    difference = float((again - recorded).abs().max())
    tolerance = TOLERANCE_BF16 if fit.parts.config.trainer.precision == "bf16-true" else TOLERANCE
    if not torch.allclose(again, recorded, rtol=tolerance, atol=tolerance):
        raise TrainingFailed(
            f"the saved artifact does not give the recorded predictions: those of {split} differ by up to {difference:.2e} "
            f"(tolerance {tolerance:.0e}, absolute and relative). The artifact is kept in {directory}"
        )
    return {"split": split, "examples": len(rows), "largest_difference": difference, "tolerance": tolerance}


def _encoded_anew(fit: Fit, loaded: tuning.Loaded, split: str, rows: Any) -> Batch:
    """Texts of some rows, encoded by the artifact's tokenizer."""
    table = fit.parts.prepared.load()[split].select(rows)
    task, length = fit.parts.task, fit.parts.config.batch.max_length
    columns = task.encode(loaded.tokenizer, table.to_dict(), length)
    features = [{name: column[at] for name, column in columns.items()} for at in range(len(rows))]
    return task.collate(loaded.tokenizer, features, list(table["label"]) if "label" in table.column_names else None)


def stored_bytes(directory: Path) -> int:
    """Bytes of tensors that the artifact newly takes on the disk; a base shared with other artifacts by a hard link is not counted."""
    files = [path.stat() for path in directory.rglob("*.safetensors")]
    return sum(file.st_size for file in files if file.st_nlink == 1)
