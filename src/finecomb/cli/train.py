"""`finecomb train`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finecomb.cli.arguments import COMPLETION, complete

if TYPE_CHECKING:
    from finecomb import Config

SUMMARY = "train one model, or many with -m; asked again, a finished run is returned and an interrupted one goes on"


def main(args: list[str]) -> int:
    """Train one model, or many with -m."""
    if any(flag in args for flag in COMPLETION):
        return complete(args)
    from finecomb.config import hydra_app

    given = hydra_app.read(args)
    if given.help:
        from finecomb.cli.screen import train_help

        print(train_help(given.overrides))
        return 0
    if given.only_hydra:
        hydra_app.show(given)
        return 0
    if given.multirun:
        from finecomb.launch.multirun import run_multirun
        from finecomb.launch.outcome import exit_code

        return exit_code(run_multirun(given.overrides, confirmed=given.confirmed))
    from finecomb.api.composing import compose

    return _one(compose(*given.overrides))


def _one(config: Config) -> int:
    from finecomb.api.run import RunFailed
    from finecomb.api.training import train
    from finecomb.cli.screen import show_failure, show_run

    try:
        show_run(train(config))
    except RunFailed as failed:
        show_failure(failed)
        return failed.exit_code
    return 0
