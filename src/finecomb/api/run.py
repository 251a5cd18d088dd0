"""`finecomb.Run`: one run and what it left."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from finecomb.config import plugins
from finecomb.config.plain import flatten, from_plain, to_plain
from finecomb.config.schema.derivation import Derivation
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.launch.outcome import Outcome, exit_code
from finecomb.runs import index
from finecomb.runs.directory import RunDirectory

if TYPE_CHECKING:
    import pandas as pd


class LoadedModel(NamedTuple):
    """What a run trained, ready to predict: a transformers or PEFT model in eval mode and float32, and its tokenizer."""

    model: Any
    tokenizer: Any


class Run:
    """A run and its directory: config, metrics, predictions, model.

    Args:
        run: A run directory; or, in `output_dir`, a run's name, its fingerprint, or the beginning of either.
        output_dir: Where runs are looked up by name.

    Attributes:
        path: The run directory.
        reused: Whether `train` found the run finished, and trained nothing.
        notes: What a reader of the result should know, such as that the run was resumed on another machine.

    Raises:
        ConfigError: There is no such run, or several are meant.

    Example:
        >>> run = finecomb.train(finecomb.compose("debug=tiny", "dataset=files", "dataset.files.train=reviews.csv"))
        >>> run.status
        'finished'
        >>> "test/accuracy" in run.metrics
        True
        >>> list(run.predictions("test"))[:3]
        ['id', 'label', 'prediction']
        >>> finecomb.Run(run.path).config == run.config
        True
    """

    def __init__(self, run: str | os.PathLike[str] | RunDirectory, *, output_dir: str | os.PathLike[str] = "runs") -> None:
        self._directory = run if isinstance(run, RunDirectory) else index.locate(Path(output_dir), os.fspath(run))
        self.path = self._directory.path
        self.reused = False
        self.notes: tuple[str, ...] = ()

    @classmethod
    def _of(cls, outcome: Outcome) -> Run:
        """The run of a job that was launched."""
        run = cls(outcome.run)
        run.reused, run.notes = outcome.reused, outcome.notes
        return run

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"

    def __fspath__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.path.resolve() == other.path.resolve()

    def __hash__(self) -> int:
        return hash(self.path.resolve())

    @property
    def name(self) -> str:
        """The name of the run directory."""
        return self.path.name

    @property
    def fingerprint(self) -> str:
        """12 hex digits that identify everything that can change the result."""
        return self._directory.fingerprint

    @property
    def status(self) -> str:
        """`created`, `running`, `finished`, `pruned`, `failed` or `interrupted`."""
        return self._directory.state()

    @property
    def error(self) -> str | None:
        """Why the run has failed or was interrupted: the user's error, or a traceback. None for any other run."""
        return self._directory.status().error if self.status in ("failed", "interrupted", "pruned") else None

    @property
    def config(self) -> Config:
        """The resolved config, without any `auto`. Plug-ins that it was composed with are loaded."""
        record = self._directory.record
        folders = tuple(record.plugins)
        plugins.load(folders)
        config = from_plain(self._directory.config)
        config.derivation = Derivation(record.choices, tuple(record.overrides), {}, folders, flatten(to_plain(config)))
        return config

    @property
    def result(self) -> Mapping[str, Any] | None:
        """Everything in result.json: metrics, counts, parameters, time, memory, tokens. None before the run has finished."""
        return self._directory.result()

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Final metrics by name, such as `test/accuracy`; empty before the run has finished. None stands for an undefined value."""
        return (self.result or {}).get("metrics") or {}

    def predictions(self, split: str = "test") -> pd.DataFrame:
        """One row for each example of a split: id, label, prediction, logits, and the group where the data has one.

        Raises:
            ConfigError: The run has no predictions on this split.
        """
        import pandas as pd

        path = self._directory.predictions / f"{split}.parquet"
        if not path.is_file():
            known = ", ".join(sorted(each.stem for each in path.parent.glob("*.parquet")))
            what = f"the run {self.name} ({self.status}) has no predictions on {split}"
            raise ConfigError(Problem(what, str(self.path), known, "" if known else "train it to its end"))
        return pd.read_parquet(path)

    def history(self) -> pd.DataFrame:
        """What was logged while training, one row for each line of metrics.jsonl, with its step."""
        import pandas as pd

        return pd.DataFrame(self._directory.metrics())

    def load_model(self) -> LoadedModel:
        """Load the trained model and its tokenizer: `model, tokenizer = run.load_model()`.

        Raises:
            ConfigError: The run has not finished, or the base weights of its adapter are gone.
        """
        from finecomb.serving.finished import finished_run
        from finecomb.serving.predictor import load_artifact

        loaded = load_artifact(finished_run(self._directory, self.path.parent), self.config)
        return LoadedModel(loaded.model, loaded.tokenizer)


class RunFailed(Exception):
    """Raised when a run has not finished. The message ends with the last lines of its log.

    Attributes:
        run: The run; of several, the first that has not finished.
        runs: All runs of the command, in the order of its jobs.
        status: `failed`, `interrupted` or `pruned`; `not started` for a job that another's failure prevented.
        error: Why: the user's error, or a traceback.
        user_error: Whether the user can correct the cause.
        log: The file with the output of the worker.
        exit_code: That of the command line: 1, or 2 for a user's error.

    Example:
        >>> config = finecomb.compose("debug=tiny", "dataset=files", "dataset.files.train=reviews.csv")
        >>> try:
        ...     run = finecomb.train(config)
        ... except finecomb.RunFailed as failed:
        ...     print(failed.run.path, failed)
    """

    def __init__(self, outcomes: list[Outcome]) -> None:
        failed = next(outcome for outcome in outcomes if outcome.state != "finished")
        self.runs = [Run._of(outcome) for outcome in outcomes]
        self.run = Run._of(failed)
        self.status, self.user_error, self.error = failed.state, failed.user_error, failed.error or ""
        self.exit_code = exit_code(outcomes)
        self.log = failed.run.log_path(0)
        others = sum(outcome.state != "finished" for outcome in outcomes) - 1
        lines = [f"the run {self.run.name} is {failed.state}" + (f", and {others} more of {len(outcomes)}" if others else "")]
        lines += [self.error, f"log: {self.log}", *_tail(self.log)]
        super().__init__("\n".join(filter(None, lines)))


def _tail(path: Path, lines: int = 20) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return []
