"""From a composed config to a run directory: whatever can go wrong for the user's reasons goes wrong here, before anything trains."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.config import plugins
from finecomb.config.compose import Composition
from finecomb.config.computing import versions_of_run
from finecomb.config.fingerprint import difference_name, fingerprint, settings
from finecomb.config.plain import to_plain
from finecomb.config.resolve import with_trainer
from finecomb.config.schema.logger import Wandb
from finecomb.config.schema.train import GROUPS, Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.machine import this_machine
from finecomb.launch.grouping import question
from finecomb.runs import directory, wandb_account
from finecomb.runs.directory import RunDirectory
from finecomb.runs.record import Inputs, ModelInput, PreparedInput, RunRecord
from finecomb.training.inputs import find, forget

__all__ = ["Checked", "Frozen", "check", "check_all", "check_logger", "code_of", "forget", "freeze", "place"]

# Groups whose code is seen in the data's content, or changes no number.
_NO_TRAINING_CODE = ("dataset", "cleaner", "annotator", "augmenter", "sampler", "logger", "callbacks")


@dataclass(frozen=True)
class Checked:
    """One job whose config, data and model are known to be right; nothing of it is on the disk but cache.

    config: resolved. settings: dotted keys and values of what can change the result, as composed (`auto` where it was written).
    """

    config: Config
    settings: dict[str, Any]
    overrides: list[str]
    choices: dict[str, str | None]
    fingerprint: str
    name: str
    inputs: Inputs
    plugin_dirs: list[str]

    @property
    def output_dir(self) -> Path:
        """Where its run directory belongs."""
        return Path(self.config.output_dir)


@dataclass(frozen=True)
class Frozen:
    """One job with its run directory.

    config, record: what this command would write there, should the run be started. rerun: failed: run it again if it has failed;
    all: if it has finished, too.
    label: what tables call it.
    """

    run: RunDirectory
    config: Config
    record: RunRecord
    overrides: list[str]
    rerun: str | None
    processes: int
    threads: int
    gpu: bool
    label: str


def freeze(composition: Composition, *, group: str | None = None, slots: int = 1) -> Frozen:
    """Check one job and make, or find, its run directory.

    group: see `place`. slots: how many jobs will run at once, which share the machine's cores.

    Raises:
        ConfigError: anything wrong with config, data or model; no run directory is made then.
    """
    check_logger(composition)
    return place(check(composition, slots=slots), group=group)


def check_all(compositions: Sequence[Composition], *, slots: int = 1) -> list[Checked]:
    """`check` each job; raises one ConfigError with the problems of all of them, each naming the jobs that have it."""
    checked: list[Checked] = []
    problems: dict[Problem, list[str]] = {}
    for composition in compositions:
        try:
            check_logger(composition)
            checked.append(check(composition, slots=slots))
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(" ".join(composition.overrides))
    if problems:
        raise ConfigError(_of_jobs(problem, jobs, len(compositions)) for problem, jobs in problems.items())
    return checked


def check_logger(composition: Composition) -> None:
    """Raise ConfigError for what was explicitly requested of the logger and cannot be had; may ask W&B's server."""
    if isinstance(composition.config.logger, Wandb):
        wandb_account.check(composition.config.logger, composition.origins, os.environ)


def check(composition: Composition, *, slots: int = 1) -> Checked:
    """Resolve the config, prepare the data, look at the model and compute the fingerprint."""
    from finecomb.launch.scoring import score

    machine = this_machine()
    if machine.shared:
        machine = dataclasses.replace(machine, cores=max(1, machine.cores // slots))
    resolved = find(composition.config, composition.origins, machine=machine, score=score)
    config, prepared, source = resolved.config, resolved.prepared, resolved.source
    _check_installed(config)
    inputs = Inputs(
        PreparedInput(str(prepared.directory), prepared.key, prepared.content_hash),
        ModelInput(str(source.directory) if source.directory else None, source.sha256, source.model_type, source.hub_id),
    )
    identity = fingerprint(config, {"data": prepared.content_hash, "model": source.sha256, **code_of(config)})
    # The choice that trainer=auto is on this machine counts as if it had been written.
    by_machine = {"trainer": config.trainer.name} if composition.choices.get("trainer") == "auto" else {}
    choices = {**composition.choices, **by_machine}
    name = difference_name(config, choices)
    return Checked(
        config=config,
        settings=settings(with_trainer(composition.config, machine)),
        overrides=list(composition.overrides),
        choices=choices,
        fingerprint=identity,
        name=name,
        inputs=inputs,
        plugin_dirs=composition.plugin_dirs,
    )


def place(checked: Checked, *, group: str | None = None) -> Frozen:
    """Make or find the run directory of a checked job.

    group: the study, search or question of several jobs that it belongs to; None: its own question (`grouping.question`). logger.group
    comes before both. A run that has finished keeps the group it had.
    """
    config = checked.config
    record = RunRecord(
        fingerprint=checked.fingerprint,
        name=checked.name,
        inputs=checked.inputs,
        choices=checked.choices,
        overrides=checked.overrides,
        group=getattr(config.logger, "group", None) or group or question([checked]),
        job_type=config.tuning.name,
        seed=config.seed,
        plugins=checked.plugin_dirs,
    )
    run = directory.create(checked.output_dir, to_plain(config), record)
    return Frozen(
        run=run,
        config=config,
        record=record,
        overrides=checked.overrides,
        rerun=config.rerun,
        processes=int(config.trainer.devices),
        threads=int(config.trainer.threads),
        gpu=config.trainer.accelerator == "gpu",
        label=run.path.name,
    )


def code_of(config: Config) -> dict[str, str]:
    """What identifies the code that this run computes with: raised versions of our modules, and the code of plug-ins whose choices it uses.

    What made the data is not among it: their content says it.
    """
    codes = {f"version:{name}": version for name, version in versions_of_run(config.task.name, config.tuning.name).items()}
    for group in (group for group in GROUPS if group not in _NO_TRAINING_CODE):
        name = getattr(config, group).name
        codes |= {f"code:{group}={name}": code for code in plugins.code(group, name)}
    callbacks = [name for name in plugins.callback_names() if getattr(config.callbacks, name, None) is not None]
    codes |= {f"code:callbacks.{name}": code for name in callbacks for code in plugins.code("callbacks", name)}
    return codes | {f"code:monitor.metric={name}": code for name in [config.monitor.metric] for code in plugins.metric_code(name)}


def _check_installed(config: Config) -> None:
    if config.logger.name == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            Problem(
                what="logger=tensorboard needs the package tensorboard, which is not installed",
                where="logger",
                hint="pip install 'finecomb[tensorboard]', or choose another logger",
            )
        )


def _of_jobs(problem: Problem, jobs: list[str], of: int) -> Problem:
    if len(jobs) == of:
        return problem
    which = f"job: {jobs[0]}" if len(jobs) == 1 else f"{len(jobs)} of {of} jobs, the first: {jobs[0]}"
    return dataclasses.replace(problem, where=f"{problem.where} ({which})" if problem.where else which)
