"""Loggers that repeat a run's metrics elsewhere. They never stop a training: what goes wrong is told once, and the mirror stays dark."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Callable
from typing import Any

from pytorch_lightning.loggers import Logger

from finecomb.core.atomic import write_text
from finecomb.runs.directory import RunDirectory

log = logging.getLogger(__name__)
SECONDS_BETWEEN_WRITES = 5.0


class Mirror(Logger):
    """A logger for Lightning that is safe to lose. Subclasses override `start`, `write` and `close`."""

    word = "mirror"

    def __init__(self, run: RunDirectory) -> None:
        super().__init__()
        self.run = run
        self._started = self._dark = False

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.word

    @property
    def version(self) -> str:
        """The run's fingerprint."""
        return self.run.fingerprint

    @property
    def is_off(self) -> bool:
        """Whether it has failed, and so logs nothing any more."""
        return self._dark

    def log_hyperparams(self, *arguments: Any, **keywords: Any) -> None:
        """Nothing: the config is known before training starts."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Repeat metrics of an optimizer step."""
        self._safely(lambda: self.write(metrics, step or 0), step or 0)

    def log_table(self, key: str, columns: list[str], data: list[list[Any]], step: int | None = None) -> None:
        """Repeat a table, as Lightning's WandbLogger takes it."""
        self._safely(lambda: self.write_table(key, columns, data, step or 0), step or 0)

    def finish(self, exit_code: int) -> None:
        """The run has ended; nothing follows."""
        if self._started:
            self._safely(lambda: self.close(exit_code), 0)

    def open(self) -> None:
        """Start before anything is logged, so that the time it takes is not counted as training."""
        self._safely(lambda: None, 0)

    def _safely(self, action: Callable[[], None], step: int) -> None:
        if self._dark:
            return
        try:
            if not self._started:
                self._started = True
                self.start(step)
            action()
        except Exception as error:
            self._dark = True
            log.warning("%s is switched off for the rest of this run, which goes on: %s: %s", self.word, type(error).__name__, error)

    def start(self, step: int) -> None:
        """Open whatever is needed; step: the first that will be written, above 1 on resume."""

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Repeat metrics."""

    def write_table(self, key: str, columns: list[str], data: list[list[Any]], step: int) -> None:
        """Repeat a table; a logger without tables leaves it out."""

    def close(self, exit_code: int) -> None:
        """Close; exit_code is 0 for a finished run."""


class CsvMirror(Mirror):
    """metrics.csv beside metrics.jsonl, from which it is made anew: a line for each step, a column for each metric."""

    word = "csv"

    def __init__(self, run: RunDirectory) -> None:
        super().__init__(run)
        self._written = 0.0

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Write the file again when the last time is a while ago."""
        if time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self._write_all()
            self._written = time.monotonic()

    def close(self, exit_code: int) -> None:
        """Write the whole file."""
        self._write_all()

    def _write_all(self) -> None:
        rows: dict[int, dict[str, Any]] = {}
        for values in self.run.metrics():
            rows.setdefault(values["step"], {}).update(values)
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())
        write_text(self.run.path / "metrics.csv", text.getvalue())


class TensorBoardMirror(Mirror):
    """TensorBoard events in tensorboard/; on resume, what was written after the checkpoint is hidden."""

    word = "tensorboard"

    def start(self, step: int) -> None:
        """Open an event file."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(log_dir=str(self.run.path / "tensorboard"), purge_step=step if step > 1 else None)

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Repeat metrics."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def write_table(self, key: str, columns: list[str], data: list[list[Any]], step: int) -> None:
        """Repeat a table as Markdown text, in which TensorBoard renders it."""
        lines = [columns, ["---"] * len(columns), *data]
        self._writer.add_text(key, "\n".join("| " + " | ".join(_cell(each) for each in line) + " |" for line in lines), step)

    def close(self, exit_code: int) -> None:
        """Write what is left."""
        self._writer.close()


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
