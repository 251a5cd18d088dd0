"""Hydra's command line: its flags, the jobs of a multirun, what its flags print, and completion after a verb."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any, NoReturn

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import Container, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from finecomb.config import hydra_settings, plugins
from finecomb.config.collect import PRIMARY, normal, parse, without_null
from finecomb.config.compose import Composer, hydra_problem, loader, register
from finecomb.config.hydra_private import arguments_parser
from finecomb.config.locate import conf_dir
from finecomb.config.sources import is_offered
from finecomb.core.errors import ConfigError, Problem

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
    """Hydra's own argument parser, which raises ConfigError instead of exiting."""

    def __init__(self) -> None:
        self.parser = arguments_parser()
        self.parser.error = self._error  # type: ignore[method-assign]

    def _error(self, message: str) -> NoReturn:
        hint = "write overrides as key=value; `finecomb train --help` lists the flags"
        raise ConfigError(Problem(message, "command line", hint=hint))

    def read(self, args: Sequence[str]) -> argparse.Namespace:
        """Parse; `--a.b=c` that is no flag of Hydra's counts as the override `a.b=c`."""
        known = self.parser._option_string_actions
        words = [word[2:] if word.startswith("--") and "=" in word and word.split("=")[0] not in known else word for word in args]
        return self.parser.parse_intermixed_args(words)


def read_one(args: Sequence[str], verb: str) -> Arguments:
    """`read` for a verb that takes one job. Raises ConfigError when Hydra's flags ask for several, or for Hydra's own output."""
    given = read(args)
    if not given.help and (given.multirun or given.only_hydra):
        raise ConfigError(Problem(f"{verb} takes the overrides of one job", "command line", hint="leave Hydra's flags out"))
    return given


def read(args: Sequence[str]) -> Arguments:
    """Read what follows the verb, and load the plug-ins it names. Raises ConfigError for flags that are unknown or not for us."""
    flags = _Parser().read([word for word in args if word != CONFIRM])
    refused = [flag for name, flag in _REFUSED.items() if getattr(flags, name) is not None]
    if refused:
        hint = "write what your config sets as DIR/experiment/NAME.yaml, and choose it with --config-dir DIR experiment=NAME"
        raise ConfigError(
            [Problem(f"{flag} is not supported: there is one config, conf/train.yaml", "command line", hint=hint) for flag in refused]
        )
    if flags.resolve and not flags.cfg and not flags.help:
        raise ConfigError(Problem("--resolve needs --cfg", "command line: --resolve", hint="write --cfg job --resolve"))
    plugins.load([flags.config_dir] if flags.config_dir is not None else [])
    only_hydra = ["--hydra-help"] if flags.hydra_help else []
    only_hydra += ["--cfg", flags.cfg] if flags.cfg else []
    only_hydra += ["--info", flags.info] if flags.info else []
    only_hydra += ["--package", flags.package] if flags.package else []
    only_hydra += ["--resolve"] if flags.resolve else []
    overrides = without_null([normal(text) for text in flags.overrides])
    multirun = flags.multirun or hydra_settings.read(parse(overrides, [])).multirun
    return Arguments(overrides, help=flags.help, multirun=multirun, confirmed=CONFIRM in args, only_hydra=only_hydra)


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a plain multirun, `hydra.sweeper.params` included. Raises ConfigError."""
    problems: list[Problem] = []
    parsed = parse(overrides, problems)
    settings = hydra_settings.read(parsed)
    if problems or settings.problems:
        raise ConfigError([*problems, *settings.problems])
    if any(each.key == hydra_settings.SWEEPER and each.value == "optuna" for each in settings.given):
        what = "a search draws its jobs one after the other: there is none to show before it has begun"
        raise ConfigError(
            Problem(what, hydra_settings.SWEEPER, hint="--cfg hydra shows the settings of the search; a single value for each key, one job")
        )
    return jobs_of(settings.params, [override.input_line or "" for override in parsed if not override.is_hydra_override()])


def jobs_of(params: Mapping[str, str], lines: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job. params: sweeps of `hydra.sweeper.params`. lines: overrides without those of Hydra."""
    problems = []
    given = [
        *((f"{key}={value}", "hydra.sweeper.params") for key, value in params.items()),
        *((line, f"command line: {line}") for line in lines),
    ]
    for line, where in given:
        try:
            override = OverridesParser.create().parse_override(line)
        except HydraException:
            problems.append(Problem(f"{line!r} is no override", where, hint="write key: VALUES"))
            continue
        if override.is_interval_sweep():
            what = f"{line}: a multirun takes single values, and an interval has no end"
            problems.append(Problem(what, where, hint="list values, or search with hydra/sweeper=optuna"))
    if problems:
        raise ConfigError(problems)
    return loader().grid([line for line, _ in given])


def show(given: Arguments) -> None:
    """Print what --cfg, --info or --hydra-help request. Nothing is run."""
    parsed = parse(given.overrides, [])
    if "--cfg" in given.only_hydra:
        for text in _shown_configs(given, _Parser().read(given.only_hydra)):
            print(text, end="")
        return
    # Hydra's own printers compose one config; what is swept is left at its default there.
    words = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
    _hydra_main([*given.only_hydra, *words])


def _shown_configs(given: Arguments, flags: argparse.Namespace) -> Iterator[str]:
    """The YAML that `--cfg` prints: for `job` and `all` one document for each job of a multirun."""
    settings = hydra_settings.read(parse(given.overrides, []))
    if settings.problems:
        raise ConfigError(settings.problems)
    composer = Composer()
    if flags.cfg == "hydra":
        yield _yaml(_printed(settings.node(composer.loader)), flags)
        return
    jobs = expand(given.overrides) if given.multirun else [given.overrides]
    for job, merged in zip(jobs, composer.merge_all(jobs), strict=True):
        if given.multirun:
            yield f"---\n# {' '.join(job)}\n"
        yield _yaml(OmegaConf.merge(_printed(settings.node(composer.loader)), merged) if flags.cfg == "all" else merged, flags)


def _printed(node: DictConfig) -> DictConfig:
    """Hydra's node without its long texts of help."""
    with open_dict(node.hydra):
        del node.hydra["help"], node.hydra["hydra_help"]
    return node


def _yaml(config: Any, flags: argparse.Namespace) -> str:
    part = config if flags.package in (None, "_global_") else OmegaConf.select(config, flags.package)
    if part is None:
        raise ConfigError(Problem(f"--package {flags.package}: there is no such key", "command line: --package", ", ".join(config)))
    if not isinstance(part, Container):
        return f"{part}\n"
    if flags.resolve:
        OmegaConf.resolve(part)
    return f"# @package {flags.package}\n" * (flags.package is not None) + OmegaConf.to_yaml(part)


def _hydra_main(words: Sequence[str]) -> None:
    """Run Hydra itself with these flags. Its errors are raised as ConfigError."""
    register()
    app = hydra.main(config_path=str(conf_dir()), config_name=PRIMARY, version_base="1.3")(_never_called)
    with _as_hydra_wants(words):
        try:
            app()
        except SystemExit as left:
            # Hydra exits with 0 when it has printed what was requested.
            if left.code:
                raise
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(hydra_problem(error)) from error


def _never_called(config: DictConfig) -> None:
    """The flags that are passed on run nothing."""
    raise AssertionError("Hydra started a job")


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
            _hydra_main(args)
        separator = "\n" if "\n" in found.getvalue().strip() else " "
        print(separator.join(word for word in found.getvalue().split(separator) if is_offered(word.strip())))
        return
    _hydra_main(args)
