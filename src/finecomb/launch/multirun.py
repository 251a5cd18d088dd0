"""Many jobs from one list of overrides, by Hydra's sweepers and launchers: what `finecomb train -m` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.errors import InstantiationException
from omegaconf.errors import OmegaConfBaseException

from finecomb.config import plugins
from finecomb.config.collect import parse
from finecomb.config.compose import Composer, hydra_problem, loader
from finecomb.config.hydra_app import jobs_of
from finecomb.config.hydra_settings import HydraSettings, read
from finecomb.core.errors import ConfigError, Problem
from finecomb.launch.outcome import Outcome


def run_multirun(overrides: Sequence[str], *, config_dirs: Sequence[Path] = (), confirmed: bool = False) -> list[Outcome]:
    """Train a job for each combination of the values that the overrides list.

    Hydra's own node is composed without the config of any job, and each job is composed once. Works in a process where Hydra is already
    initialized, and in any thread.

    Args:
        overrides: as `finecomb train -m` takes them, `hydra.launcher.slots=2` and `hydra/sweeper=optuna` included.
        config_dirs: folders of plug-ins, as for `compose`.
        confirmed: permit overrides that list no values, which is one job.

    Returns:
        The outcome of each job in the order of the jobs; of a search, that of each trial of this command.

    Raises:
        ConfigError: the problems of all jobs, before any of them is started.
    """
    plugins.load(config_dirs)
    problems: list[Problem] = []
    parsed = parse(overrides, problems)
    settings = read(parsed)
    problems += settings.problems
    if not (confirmed or settings.params or any(override.is_sweep_override() for override in parsed)):
        problems.append(_sweeps_nothing())
    lines = [override.input_line or "" for override in parsed if not override.is_hydra_override()]
    if problems:
        raise ConfigError(dict.fromkeys([*problems, *_problems_of_jobs(settings, lines)]))
    try:
        hydra = loader()
        sweeper = hydra.sweeper(settings.node(hydra), _never_called)
    except (InstantiationException, OmegaConfBaseException) as error:
        raise ConfigError(hydra_problem(error)) from error
    outcomes: list[Outcome] = sweeper.sweep(lines)
    return outcomes


def _problems_of_jobs(settings: HydraSettings, lines: list[str]) -> list[Problem]:
    """What else is wrong, so that it is reported with the mistakes in the settings of Hydra."""
    try:
        return Composer().problems(jobs_of(settings.params, lines))
    except ConfigError as error:
        return error.problems


def _sweeps_nothing() -> Problem:
    what = "-m without a key that takes several values would train one model with these settings"
    return Problem(what, "command line", hint="list values, as in seed=0,1,2; leave -m out; or confirm with --yes")


def _never_called(config: object) -> None:
    """Hydra's launchers call a task for each job; finecomb's start workers."""
    raise AssertionError("a launcher that is not finecomb's was started")
