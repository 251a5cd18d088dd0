"""Predictions of a few validation examples after each validation, for reading."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytorch_lightning as pl

from finecomb.core.atomic import write_text
from finecomb.training.trainer_settings import is_fitting

if TYPE_CHECKING:
    from finecomb.training.datamodule import DataModule
    from finecomb.training.evaluate import Evaluation
    from finecomb.training.module import Module

FOLDER = "samples"
TABLE = "validation/samples"


class SamplePredictions(pl.Callback):
    """After each complete validation in training, write text, label and prediction of the same few examples.

    They are written to `samples/step-N.csv`, one file per validation, and as the table `validation/samples` to loggers with a method
    `log_table`.

    Args:
        num_examples: number of examples, evenly spaced over the validation rows.
        directory: where the folder `samples` is made; None: the Trainer's `default_root_dir`.
    """

    def __init__(self, num_examples: int, directory: Path | None = None) -> None:
        self.num_examples, self._directory = num_examples, directory

    def on_validation_end(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Write the examples from the first rank. Written again after a resume, a file has the same content."""
        evaluation = module.evaluation
        if is_fitting(trainer) and trainer.is_global_zero and evaluation is not None and evaluation.complete:
            columns, rows = samples(trainer.datamodule, evaluation, self.num_examples)  # type: ignore[attr-defined]
            folder = (self._directory or Path(trainer.default_root_dir)) / FOLDER
            folder.mkdir(parents=True, exist_ok=True)
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows([columns, *rows])
            write_text(folder / f"step-{trainer.global_step:06d}.csv", text.getvalue())
            for logger in trainer.loggers:
                if callable(log_table := getattr(logger, "log_table", None)):
                    log_table(key=TABLE, columns=columns, data=rows, step=trainer.global_step)


def samples(data: DataModule, evaluation: Evaluation, count: int) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a few evenly spaced validation examples: id, texts, label, prediction and loss."""
    split, table = data.splits["validation"], data.prepared.load()["validation"]
    chosen = np.unique(np.linspace(0, len(split) - 1, min(count, len(split))).astype(np.int64))
    rows = table.select(chosen)
    texts = [name for name in ("text", "text_pair") if name in table.column_names]
    answers = evaluation.table(data.task, split.examples, chosen.tolist())
    losses = [float(evaluation.losses[row]) for row in chosen]
    both = [[_joined(each) for each in answers[name]] for name in ("label", "prediction")]
    columns = [list(rows["id"]), *(list(rows[name]) for name in texts), *both, losses]
    return ["id", *texts, "label", "prediction", "loss"], [list(row) for row in zip(*columns, strict=True)]


def _joined(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
