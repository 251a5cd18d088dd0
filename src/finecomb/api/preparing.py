"""`finecomb.prepare`: data that is read, cleaned and split, without training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.config.compose import Composition
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.config.task_rules import unlabeled
from finecomb.config.validate import validate
from finecomb.data.dataset.prepared import PreparedFolder
from finecomb.data.engine import Engine, LocalEngine
from finecomb.launch.scoring import score

if TYPE_CHECKING:
    import datasets
    import pandas as pd


class Prepared:
    """Rows that are ready to train on, and an account of every row that is not among them.

    Attributes:
        config: What they were made with.
        folder: Where they are in the cache.
        name: Dataset, cleaner and what balances, as file names have it.
    """

    def __init__(self, config: Config, folder: PreparedFolder, engine: Engine, *, closes: bool) -> None:
        """engine: compares the splits for the report. closes: whether it is closed after that."""
        self.config, self.folder = config, folder
        self._engine, self._closes = engine, closes
        balancing = [each.name for each in (config.augmenter, config.sampler) if each.name != "none"]
        self.name = "-".join([config.dataset.name, config.cleaner.name, *balancing])

    def __repr__(self) -> str:
        rows = ", ".join(f"{split} {count:,}" for split, count in self.folder.manifest.rows.items())
        return f"Prepared({self.name}: {rows})"

    @property
    def content_hash(self) -> str:
        """Identifies the rows and label names, wherever they come from."""
        return self.folder.content_hash

    @property
    def label_names(self) -> list[str] | None:
        """The classes in their order; None for numbers and for rows without labels."""
        return self.folder.label_names

    @cached_property
    def splits(self) -> datasets.DatasetDict:
        """The rows of train, validation and, where there is one, test, memory-mapped."""
        return self.folder.load()

    def to_pandas(self, split: str | None = None) -> pd.DataFrame:
        """The rows of one split, with classes by name; None: of all splits, with a column `split`."""
        import pandas as pd

        if split is None:
            return pd.concat([self.to_pandas(name).assign(split=name) for name in self.splits], ignore_index=True)
        table: pd.DataFrame = self.splits[split].to_pandas()
        names = self.label_names
        if names is not None and self.folder.label_kind in ("classes", "tags"):
            table["label"] = [[names[index] for index in row] for row in table["label"]]
        elif names is not None:
            table["label"] = [names[index] for index in table["label"]]
        return table

    @cached_property
    def report(self) -> Mapping[str, Any]:
        """What data.json of `finecomb prepare` holds: rows in and out of each step with reasons, labels, lengths, what the splits share."""
        from finecomb.data.dataset.prepared import read_rows
        from finecomb.data.prepare.delivery import facts

        with self._running() as engine:
            return facts(self.folder, read_rows(self.folder), self.name, engine)

    def write(self, output: str | os.PathLike[str] | None = None) -> Path:
        """Write Parquet files of rows, dropped rows and scores, data.json and report.html; returns the folder.

        `dataset=prepared dataset.path=FOLDER` trains on it.

        Args:
            output: None: `prepared/<name>-<hash>`.

        Raises:
            ConfigError: The rows do not meet `dataset.require`; the folder is written all the same.
        """
        from finecomb.data.prepare.delivery import deliver

        folder = Path(output) if output is not None else Path("prepared") / f"{self.name}-{self.content_hash[:8]}"
        with self._running() as engine:
            self.report = deliver(self.folder, folder, name=self.name, require=self.config.dataset.require, engine=engine)
        return folder

    @contextmanager
    def _running(self) -> Iterator[Engine]:
        try:
            yield self._engine
        finally:
            if self._closes:
                self._engine.close()


def prepare(config: Config, *, workers: int | None = None, engine: Engine | None = None, progress: bool = False) -> Prepared:
    """Read, clean, split, augment and balance the data of a config, exactly as training does. Nothing is trained.

    The rows are cached by content. Data without labels can be prepared too.

    Args:
        config: What `compose` returned, changed or not.
        workers: Processes; None: one for each core. Their number changes nothing but the time.
        engine: Runs the tasks instead of `workers` processes of this machine, such as `RayEngine(address)`, here and for the report. It is
            not closed.
        progress: Whether to show progress on a terminal.

    Raises:
        ConfigError: Something is wrong with the config or the data.

    Example:
        >>> data = finecomb.prepare(finecomb.compose("dataset=files", "dataset.files.train=reviews.csv", "cleaner=basic"))
        >>> sorted(data.splits)
        ['test', 'train', 'validation']
        >>> list(data.to_pandas("train"))
        ['id', 'text', 'label']
        >>> data.report["rows"]["train"] == len(data.splits["train"])
        True
    """
    composition = Composition.of(config)
    cleaned_only = unlabeled(config)
    validate(config, composition.origins, trains=not cleaned_only)
    from finecomb.data.prepare import prepare as prepare_rows

    running = engine or LocalEngine(workers, progress=progress)
    try:
        folder = prepare_rows(
            config.dataset,
            config.cleaner,
            config.annotator,
            augmenter=config.augmenter,
            sampler=config.sampler,
            task_variant=None if cleaned_only else variant(config.task),
            engine=running,
            score=score,
        )
    finally:
        if engine is None:
            running.close()
    return Prepared(config, folder, running, closes=engine is None)
