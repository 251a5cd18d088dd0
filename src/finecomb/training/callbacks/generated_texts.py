"""Texts that a task generated in a validation, beside their references, for reading."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl

from finecomb.core.atomic import write_text
from finecomb.training.callbacks.sample_predictions import FOLDER
from finecomb.training.trainer_settings import is_fitting

if TYPE_CHECKING:
    from finecomb.training.evaluate import Evaluation
    from finecomb.training.module import Module

TABLE = "validation/generated"
LOGGED = 100  # rows of the table in loggers; the file has all


class GeneratedTexts(pl.Callback):
    """After each validation of a training in which texts were generated, write each with its example's id, text and reference.

    They are written to `samples/generated-step-N.csv`, and the first as the table `validation/generated` to loggers with `log_table`.

    Args:
        directory: where the folder `samples` is made.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER

    def on_validation_end(self, trainer: pl.Trainer, module: Module) -> None:  # type: ignore[override]
        """Write them from the first rank. Written again after a resume, a file has the same content."""
        evaluation = module.evaluation
        if not (is_fitting(trainer) and trainer.is_global_zero and evaluation is not None and evaluation.generated is not None):
            return
        columns, rows = table(evaluation, module.task, trainer.datamodule.splits["validation"])  # type: ignore[attr-defined]
        self._folder.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *rows])
        write_text(self._folder / f"generated-step-{trainer.global_step:06d}.csv", text.getvalue())
        for logger in trainer.loggers:
            if callable(log_table := getattr(logger, "log_table", None)):
                log_table(key=TABLE, columns=columns, data=rows[:LOGGED], step=trainer.global_step)


def table(evaluation: Evaluation, task: Any, split: Any) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of all examples with a generated text: id, texts, reference, generated text and loss."""
    assert evaluation.generated is not None
    rows = [row for row, text in enumerate(evaluation.generated.texts) if text is not None]
    answers = evaluation.table(task, split.examples, rows)
    texts = [name for name in ("text", "text_pair") if name in split.examples]
    columns = [[split.ids[row] for row in rows], *([split.examples[name][row] for row in rows] for name in texts)]
    columns += [answers["label"], answers["prediction"], [float(evaluation.losses[row]) for row in rows]]
    return ["id", *texts, "reference", "generated", "loss"], [list(row) for row in zip(*columns, strict=True)]
