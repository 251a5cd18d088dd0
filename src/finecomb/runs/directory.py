"""A run directory: the only record of a run, and the only way in which launcher, worker and tables talk to each other.

config.yaml     what was asked, frozen             run.json      fingerprint, inputs, choices, overrides, sweep
status.json     state, process, attempt, error     metrics.jsonl one line for each logging step
progress.json   where training is now              result.json   written last; its presence means finished
provenance.json code, packages, machine            logs/ checkpoints/ predictions/ artifact/ attempts/
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from finecomb.config import renamed
from finecomb.core import atomic, files
from finecomb.core.errors import ConfigError, Problem
from finecomb.runs import metrics, record
from finecomb.runs.lock import Lock, Owner, is_held, read_owner, waited_for
from finecomb.runs.record import RunRecord
from finecomb.runs.result import RunResult, typed

_ARTIFACT_OF_SCHEMA_1 = "artefact"
STATES = ("created", "running", "finished", "pruned", "failed", "interrupted")


@dataclass(frozen=True)
class Status:
    """What the last process that worked on a run said of it.

    attempt: how many times a worker has started. started, ended: seconds since 1970. error: the whole traceback, or the user's error.
    """

    state: str
    pid: int | None = None
    host: str | None = None
    attempt: int = 0
    started: float | None = None
    ended: float | None = None
    error: str | None = None


class RunDirectory:
    """One run's directory. Every write is atomic; every read says which file is at fault when it cannot be read."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.predictions = self.path / "predictions"
        self.logs = self.path / "logs"
        self.attempts = self.path / "attempts"
        self._metrics = metrics.MetricsFile(self.path / "metrics.jsonl")

    @property
    def artifact(self) -> Path:
        """Trained tensors, tokenizer, label names, model card. Runs of schema 1 have them in a folder of another name."""
        earlier = self.path / _ARTIFACT_OF_SCHEMA_1
        return earlier if earlier.is_dir() else self.path / "artifact"

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @property
    def config(self) -> dict[str, Any]:
        """The frozen config as plain values, under the present names of keys."""
        return renamed.current(files.read_yaml(self.path / "config.yaml"))

    @property
    def record(self) -> RunRecord:
        """run.json: fingerprint, inputs, choices, overrides, group: what is known before training."""
        return record.read(self.path / "run.json")

    def log_path(self, rank: int) -> Path:
        """Where the output of a rank is logged."""
        return self.logs / f"rank{rank}.log"

    @property
    def fingerprint(self) -> str:
        """The last part of the directory's name."""
        return self.path.name.rsplit("-", 1)[-1]

    def freeze(self, config: dict[str, Any], record: RunRecord) -> None:
        """Write what a worker starts from: the frozen config and the record."""
        files.write_yaml(self.path / "config.yaml", config)
        self.write_record(record)

    def write_record(self, changed: RunRecord) -> None:
        """Write run.json."""
        record.write(self.path / "run.json", changed)

    # State

    def status(self) -> Status:
        """What status.json says; see `state` for what is true."""
        written = files.read_json(self.path / "status.json")
        return Status(**{key: value for key, value in written.items() if key in Status.__dataclass_fields__})

    def set_status(self, state: str, *, error: str | None = None) -> Status:
        """Record a new state. `running` counts an attempt and notes this process; the others note the end."""
        if state not in STATES:
            raise ValueError(f"unknown state {state!r}, not one of {STATES}")
        before = self.status()
        if state == "running":
            after = Status(state, os.getpid(), socket.gethostname(), before.attempt + 1, started=time.time())
        else:
            after = replace(before, state=state, ended=time.time(), error=error)
        atomic.write_json(self.path / "status.json", asdict(after))
        return after

    def state(self, *, ours: bool = False) -> str:
        """The true state: a result makes a run finished, and a run that nobody holds does not run, whatever status.json says.

        ours: the caller holds the lock, so that nobody else can be at work.
        """
        if self.result() is not None:
            return "finished"
        said = self.status().state
        if not ours and self.is_held():
            return "running"
        return "interrupted" if said in ("running", "finished") else said

    def lock(self) -> Lock:
        """The run's lock, to be taken by `with` or `.acquire()`; raises `Held` when another process has it."""
        return Lock(self.path / "lock")

    def is_held(self) -> bool:
        """Whether a process holds the run now."""
        return is_held(self.path / "lock")

    def owner(self) -> Owner | None:
        """Who holds, or last held, the run."""
        return read_owner(self.path / "lock")

    def set_aside(self) -> None:
        """Move what a failed or finished attempt left into attempts/<n>/ and drop its checkpoints, so that the next one starts clean.

        The result is moved first: without it and without checkpoints, a move that is cut short leaves a run that starts from the beginning.
        """
        status = self.status()
        kept = self.attempts / str(status.attempt)
        kept.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.checkpoints, ignore_errors=True)
        for name in ("result.json", "logs", "metrics.jsonl", "predictions", self.artifact.name, "progress.json"):
            if (self.path / name).exists():
                os.replace(self.path / name, kept / name)
        atomic.write_json(kept / "status.json", asdict(status))
        atomic.write_json(self.path / "status.json", asdict(Status("created", attempt=status.attempt)))
        self.make_folders()

    def drop_checkpoints(self) -> None:
        """Free the room of a finished run's checkpoints, from which nothing will go on; of any other run nothing is dropped."""
        if self.result() is not None:
            shutil.rmtree(self.checkpoints, ignore_errors=True)

    def make_folders(self) -> None:
        """Make the folders a worker writes to."""
        for folder in (self.checkpoints, self.predictions, self.artifact, self.logs):
            folder.mkdir(exist_ok=True)

    # What the worker writes

    def result(self) -> dict[str, Any] | None:
        """result.json, or None as long as the run has not finished."""
        path = self.path / "result.json"
        if not path.exists():
            return None
        found = files.read_json(path)
        return found | {"config": renamed.current(found["config"])} if isinstance(found.get("config"), dict) else found

    def outcome(self) -> RunResult | None:
        """What is read of result.json, typed; None as long as the run has not finished."""
        plain = self.result()
        return None if plain is None else typed(plain)

    def write_result(self, result: dict[str, Any]) -> None:
        """Write result.json, which makes the run finished."""
        atomic.write_json(self.path / "result.json", result)

    def append_metrics(self, values: dict[str, Any]) -> None:
        """Add one line to metrics.jsonl; `values` holds `step` and any metrics."""
        self._metrics.append(values)

    def truncate_metrics(self, step: int) -> None:
        """Drop what was logged after `step`, the step of the checkpoint that training goes on from."""
        self._metrics.truncate(step)

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, without a last line that a crash cut short."""
        return self._metrics.read()

    def last_metrics(self) -> dict[str, Any]:
        """The last whole line of metrics.jsonl; empty before there is one."""
        return self._metrics.last()

    def write_progress(self, **values: Any) -> None:
        """Say where training is (`step`, `steps`, `stage`), for the live table; lost on a crash without harm."""
        files.write_volatile(self.path / "progress.json", values)

    def progress(self) -> dict[str, Any]:
        """What `write_progress` said last; empty before it did."""
        try:
            return files.read_json(self.path / "progress.json")
        except ConfigError:
            return {}


def create(output_dir: Path | str, config: dict[str, Any], record: RunRecord) -> RunDirectory:
    """Make the run's directory, complete or not at all; the one that exists when another command made it first.

    Raises:
        ConfigError: the folder cannot be written, or the disk is full.
    """
    folder = Path(output_dir)
    try:
        with atomic.reported_when_full(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with waited_for(folder / ".lock"):
            return find(folder, record.fingerprint) or _create(folder, config, record)
    except OSError as error:
        raise ConfigError(
            Problem(
                what=f"run directories cannot be made in {folder}: {error.strerror}",
                where="output_dir",
                hint="choose a folder you may write to: output_dir=DIR",
            )
        ) from error


def _create(folder: Path, config: dict[str, Any], record: RunRecord) -> RunDirectory:
    for leftover in folder.glob(".new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = RunDirectory(folder / f".new-{record.fingerprint}-{os.getpid()}")
    final = folder / f"{record.name}-{record.fingerprint}"
    try:
        with atomic.reported_when_full(folder):
            temporary.path.mkdir()
            temporary.make_folders()
        temporary.freeze(config, record)
        atomic.write_json(temporary.path / "status.json", asdict(Status("created")))
        os.rename(temporary.path, final)
    except BaseException:
        shutil.rmtree(temporary.path, ignore_errors=True)
        raise
    atomic.sync_directory(folder)
    return RunDirectory(final)


def find(output_dir: Path | str, fingerprint: str) -> RunDirectory | None:
    """The run with this fingerprint, whatever its name; None when there is none."""
    matches = sorted(Path(output_dir).glob(f"*-{fingerprint}"))
    return RunDirectory(matches[0]) if matches else None
