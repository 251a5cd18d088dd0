"""Weights & Biases as a mirror of a run: online with an account, offline without, and never the reason why a training ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import finecomb
from finecomb.config.plain import flatten
from finecomb.config.schema.logger import Wandb
from finecomb.config.schema.train import GROUPS
from finecomb.runs.directory import RunDirectory
from finecomb.runs.wandb_account import mode, settings
from finecomb.training import tables
from finecomb.training.mirrors import Mirror

log = logging.getLogger(__name__)
STEP = "trainer/global_step"
# Choices that say nothing of what was trained.
_NO_TAGS = ("logger", "callbacks", "trainer")
# Parts of result.json whose numbers are in the summary.
_COSTS = ("parameters", "time", "memory", "tokens")


class WandbMirror(Mirror):
    """One W&B run for one run directory, whatever the number of attempts."""

    word = "wandb"

    def __init__(self, run: RunDirectory, config: Wandb) -> None:
        super().__init__(run)
        self._config = config
        self._run: Any = None

    def start(self, step: int) -> None:
        """Begin the W&B run. Offline when the server cannot be reached."""
        # Tables are staged here; W&B's own place for them lies outside the run directory and is lost when it is moved.
        os.environ.setdefault("WANDB_DATA_DIR", str(self.run.path.resolve() / "wandb" / "data"))
        chosen = mode(self._config.mode, os.environ)
        try:
            self._run = self._init(chosen)
        except Exception as error:
            if chosen != "online":
                raise
            log.warning("wandb: the server cannot be used (%s); this run is mirrored offline in %s", error, self.run.path / "wandb")
            self._run = self._init("offline")
        self._run.define_metric(STEP)
        self._run.define_metric("*", step_metric=STEP, step_sync=True)
        if self._config.code:
            for folder in [Path(finecomb.__file__).parent, *map(Path, self.run.record.plugins)]:
                self._run.log_code(root=str(folder), name=f"source-{folder.name}")

    def _init(self, chosen: Any) -> Any:
        import wandb

        config = self._config
        chosen_settings = settings(system_metrics=config.system_metrics, console=config.console)
        return wandb.init(mode=chosen, dir=str(self.run.path), reinit="create_new", settings=chosen_settings, **arguments(self.run, config))

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Repeat metrics, with the optimizer step as their x-axis."""
        self._run.log({**metrics, STEP: step})

    def write_table(self, key: str, columns: list[str], data: list[list[Any]], step: int) -> None:
        """Repeat a table."""
        import wandb

        self._run.log({key: wandb.Table(columns=columns, data=data), STEP: step})

    def close(self, exit_code: int) -> None:
        """Add costs and tables of a finished run and end the W&B run with the worker's exit code; on the disk when this returns."""
        import wandb

        try:
            if exit_code == 0:
                self._run.summary.update(costs(self.run.result() or {}))
                self._log_tables()
        finally:
            self._run.finish(exit_code=exit_code)
            # `finish` alone returns before W&B's own process has written the last records of an offline run.
            wandb.teardown(exit_code)

    def _log_tables(self) -> None:
        import wandb

        found = tables.read(self.run, limit=self._config.sample_errors)
        if found:
            self._run.log({name: wandb.Table(columns=columns, data=rows) for name, (columns, rows) in found.items() if rows})


def costs(result: Mapping[str, Any]) -> dict[str, int | float]:
    """The numbers of result.json that a comparison of methods needs besides the metrics: `parameters.trainable` is `parameters/trainable`.

    All of `parameters`, `time`, `memory` and `tokens`, and the number of examples in each split (`counts/rows/train`).
    """
    parts = {name: result.get(name, {}) for name in _COSTS} | {"counts": {"rows": result.get("counts", {}).get("rows", {})}}
    found = {key.replace(".", "/"): value for key, value in flatten(parts).items()}
    return {key: value for key, value in found.items() if isinstance(value, int | float)}


def arguments(run: RunDirectory, config: Wandb) -> dict[str, Any]:
    """What W&B is told of a run: identity, place among others, and the config with one dotted key for each value.

    Tags are the choices that decide what is trained, `trial` or `confirm` for the runs of a study, and logger.tags.
    """
    record = run.record
    tags = [f"{group}={record.choices[group]}" for group in GROUPS if group not in _NO_TAGS and record.choices.get(group)]
    if record.role:
        tags.append(record.role)
    # Under a W&B agent the run must have the id that the agent gave it, which W&B reads from the environment; its sweep is its group.
    under_agent = bool(os.environ.get("WANDB_SWEEP_ID"))
    identity = {} if under_agent else {"id": run_id(run), "resume": "allow"}
    return {
        **identity,
        "project": config.project,
        "entity": config.entity,
        "name": record.name,
        "group": config.group or (None if under_agent else record.group),
        "job_type": config.job_type or record.job_type,
        "tags": [tag[:64] for tag in dict.fromkeys([*tags, *config.tags])],
        "notes": config.notes,
        "config": flatten(run.config) | {"fingerprint": run.fingerprint},
    }


def run_id(run: RunDirectory) -> str:
    """The same for every attempt that goes on from the one before; another one after a clean start and for a directory made anew.

    W&B refuses the id of a run that was deleted there, so the fingerprint alone would not do.
    """
    clean_starts = len(list(run.attempts.iterdir())) if run.attempts.is_dir() else 0
    return f"{run.fingerprint}-{int(run.record.created):x}" + (f"-{clean_starts}" if clean_starts else "")
