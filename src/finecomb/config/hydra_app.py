"""How the command line meets Hydra: its flags read first, overrides put in order, many jobs checked at once, completion behind a verb."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, NoReturn

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from finecomb.config import plugins
from finecomb.config.collect import PRIMARY, is_choice, normal, parse, without_null
from finecomb.config.compose import check, hydra_problem, register
from finecomb.config.errors import Problem, UserError
from finecomb.config.locate import conf_dir
from finecomb.config.sources import is_offered

# Flags that would put another config in the place of ours, or read a pickle.
CONFIRM = "--yes"
_REFUSED = {"config_path": "--config-path", "config_name": "--config-name", "experimental_rerun": "--experimental-rerun"}


@dataclass
class Arguments:
    """A command line after its verb: overrides as Hydra takes them, and Hydra's flags.

    only_hydra: the flags ask Hydra to print something (--cfg, --info, --hydra-help) and to run nothing.
    confirmed: --yes was given, which permits a multirun that sweeps nothing.
    """

    overrides: list[str] = field(default_factory=list)
    help: bool = False
    multirun: bool = False
    confirmed: bool = False
    only_hydra: list[str] = field(default_factory=list)


class _Parser:
    """Hydra's own argument parser, told to raise instead of leaving."""

    def __init__(self) -> None:
        self.parser = get_args_parser()
        self.parser.error = self._error  # type: ignore[method-assign]

    def _error(self, message: str) -> NoReturn:
        mend = "write overrides as key=value; `finecomb train --help` lists the flags"
        raise UserError(Problem(message, "command line", mend=mend))

    def read(self, args: Sequence[str]) -> argparse.Namespace:
        """Parse; `--a.b=c` that is no flag of Hydra's counts as the override `a.b=c`."""
        known = self.parser._option_string_actions
        words = [word[2:] if word.startswith("--") and "=" in word and word.split("=")[0] not in known else word for word in args]
        return self.parser.parse_intermixed_args(words)


def read(args: Sequence[str]) -> Arguments:
    """Read what follows the verb, and load the plug-ins it names. Raises UserError for flags that are unknown or not for us."""
    flags = _Parser().read([word for word in args if word != CONFIRM])
    refused = [flag for name, flag in _REFUSED.items() if getattr(flags, name) is not None]
    if refused:
        mend = "choices of your own are added with --config-dir DIR"
        raise UserError(
            [Problem(f"{flag} is not supported: there is one config, conf/train.yaml", "command line", mend=mend) for flag in refused]
        )
    if flags.resolve and not flags.cfg and not flags.help:
        raise UserError(Problem("--resolve needs --cfg", "command line: --resolve", mend="write --cfg job --resolve"))
    plugins.load([flags.config_dir] if flags.config_dir is not None else [])
    only_hydra = ["--hydra-help"] if flags.hydra_help else []
    only_hydra += ["--cfg", flags.cfg] if flags.cfg else []
    only_hydra += ["--info", flags.info] if flags.info else []
    only_hydra += ["--package", flags.package] if flags.package else []
    only_hydra += ["--resolve"] if flags.resolve else []
    overrides = without_null([normal(text) for text in flags.overrides])
    multirun = flags.multirun or "hydra.mode=MULTIRUN" in overrides
    return Arguments(overrides, help=flags.help, multirun=multirun, confirmed=CONFIRM in args, only_hydra=only_hydra)


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a plain multirun: every combination of the values that are listed.

    Raises UserError for what is not an override, for settings of Hydra, and for values that a sweeper would draw.
    """
    problems: list[Problem] = []
    parsed = parse(overrides, problems)
    for override in parsed:
        line = override.input_line or ""
        if override.is_hydra_override():
            problems.append(Problem(f"{line} is a setting of Hydra's command line", "multirun", mend="use the arguments of multirun"))
        elif override.is_sweep_override() and not override.is_discrete_sweep():
            mend = "list the values, or search with `finecomb train -m hydra/sweeper=optuna ...`"
            problems.append(Problem(f"{line} has no list of values", "multirun", mend=mend))
    if problems:
        raise UserError(problems)
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def check_jobs(overrides: Sequence[str], *, confirmed: bool = False) -> list[str]:
    """Check every job of a multirun, before Hydra composes any; returns the overrides for Hydra.

    confirmed: a multirun that sweeps nothing, and so trains one model, is what the user wants.

    Raises UserError with the problems of all jobs, each once.
    """
    problems: list[Problem] = []
    parsed = parse(overrides, problems)
    sweeps = [override for override in parsed if override.is_sweep_override()]
    if not (sweeps or confirmed or any(override.key_or_group.startswith("hydra.sweeper.params") for override in parsed)):
        what = "-m without a key that takes several values would train one model with these settings"
        problems.append(Problem(what, "command line", mend="list values, as in seed=0,1,2; leave -m out; or confirm with --yes"))
    if all(override.is_discrete_sweep() for override in sweeps):
        batches = BasicSweeper.split_arguments([override for override in parsed if not override.is_hydra_override()], None)
        jobs = [job for batch in batches for job in batch]
    else:
        # A sweeper that draws its values checks them when it has drawn them.
        jobs = [[override.input_line or "" for override in parsed if not override.is_sweep_override()]]
    problems += check(jobs)
    if problems:
        raise UserError(dict.fromkeys(problems))
    return _open_swept_groups(parsed)


def _open_swept_groups(parsed: Sequence[Any]) -> list[str]:
    """Hydra composes once without the swept values; a key that only a swept choice has (-m tuning=lora,prompt optimizer.lr=1 tuning.r=4)
    must not stop it there, so it is passed as ++key."""
    swept = {override.key_or_group for override in parsed if override.is_sweep_override() and is_choice(override)}
    lines = []
    for override in parsed:
        line = override.input_line or ""
        plain = not (override.is_add() or override.is_force_add() or override.is_delete() or override.is_sweep_override())
        lines.append(f"++{line}" if plain and override.key_or_group.split(".")[0] in swept else line)
    return lines


def enter(words: Sequence[str], task: Callable[[], None]) -> None:
    """Run Hydra on these words; `task` is called once for a single run, and never with -m (the launcher composes each job).

    Hydra's own errors come out as UserError.
    """
    register()

    def run(config: Any) -> None:
        task()

    app = hydra.main(config_path=str(conf_dir()), config_name=PRIMARY, version_base="1.3")(run)
    with _as_hydra_wants(words):
        try:
            app()
        except SystemExit as left:
            # Hydra leaves with 0 when it has printed what it was asked for.
            if left.code:
                raise
        except (HydraException, OmegaConfBaseException) as error:
            raise UserError(hydra_problem(error)) from error


@contextmanager
def _as_hydra_wants(words: Sequence[str]) -> Iterator[None]:
    """Hydra reads sys.argv, and prints errors and leaves with 1 unless told by the environment to raise them."""
    argv, before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [argv[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = argv
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def complete(args: Sequence[str], verbs: Sequence[str], composing: Sequence[str]) -> None:
    """Shell completion: `-sc install=bash` prints the script, which asks by `-sc query=bash` with the line in COMP_LINE.

    The verb is completed here and taken off the line; what follows one of the `composing` verbs is Hydra's to complete.
    """
    line = os.environ.get("COMP_LINE")
    if line is not None and any(word.startswith("query=") for word in args):
        name, _, rest = line.lstrip().partition(" ")
        verb, space, rest = rest.lstrip().partition(" ")
        if not space:
            print(" ".join(known for known in verbs if known.startswith(verb)))
            return
        if verb not in composing:
            return
        os.environ["COMP_LINE"] = f"{name} {rest.lstrip()}"
        # Hydra offers every file of a group; only choices are printed, with Hydra's separator, which depends on the shell.
        found = io.StringIO()
        with redirect_stdout(found):
            enter(args, lambda: None)
        separator = "\n" if "\n" in found.getvalue().strip() else " "
        print(separator.join(word for word in found.getvalue().split(separator) if is_offered(word.strip())))
        return
    enter(args, lambda: None)
