"""What the verbs share: a parser, and lists separated by commas."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from finecomb.core.errors import ConfigError, Problem

# Flags of Hydra that complete a command line, and the verbs whose arguments it completes.
COMPLETION = ("-sc", "--shell-completion")
COMPOSING = ("train", "explain")


def complete(words: Sequence[str], verbs: Sequence[str] = ()) -> int:
    """Answer a shell that completes a command line."""
    from finecomb.config.hydra_app import complete as answer

    answer(words, verbs=verbs, composing=COMPOSING)
    return 0


def parser_of(verb: str, summary: str, examples: str) -> argparse.ArgumentParser:
    """A parser whose complaint about the command line is the user's error, one screen like any other."""
    parser = argparse.ArgumentParser(
        prog=f"finecomb {verb}",
        description=summary[:1].upper() + summary[1:] + ".",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def error(message: str) -> NoReturn:
        raise ConfigError(Problem(message, f"command line: finecomb {verb}", hint=f"finecomb {verb} --help shows what it takes"))

    parser.error = error  # type: ignore[method-assign]
    return parser


def add_config_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--config-dir`, for verbs that compute the metrics of a plug-in; `load_plugins` reads it."""
    parser.add_argument("--config-dir", metavar="DIR", action="append", default=[], help="folder of a plug-in with metrics")


def load_plugins(given: argparse.Namespace) -> None:
    """Load installed plug-ins and those of `--config-dir`."""
    from finecomb.config import plugins

    plugins.load(given.config_dir)


def listed(text: str | None) -> list[str] | None:
    """The items of a comma-separated argument; None when it was not given."""
    return [item.strip() for item in text.split(",") if item.strip()] if text else None
