"""`finecomb train`."""

from __future__ import annotations

from collections.abc import Sequence

from finecomb.cli.arguments import COMPLETION, complete

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
        if "--hydra-help" not in given.only_hydra and not given.multirun:
            from finecomb.config.compose import compose

            compose(given.overrides)
        hydra_app.enter([*given.only_hydra, *given.overrides], lambda: None)
        return 0
    if given.multirun:
        return _many(given.overrides, confirmed=given.confirmed)
    return _one(given.overrides)


def _one(overrides: Sequence[str]) -> int:
    from finecomb.api.composing import compose
    from finecomb.config import hydra_app

    config = compose(*overrides)
    if settings := [word for word in overrides if word.startswith("hydra")]:
        # Settings of Hydra itself change nothing here; a wrong one is the user's error all the same.
        hydra_app.enter(settings, lambda: None)
    from finecomb.api.run import RunFailed
    from finecomb.api.training import train
    from finecomb.cli.screen import show_failure, show_run

    try:
        show_run(train(config))
    except RunFailed as failed:
        show_failure(failed)
        return failed.exit_code
    return 0


def _many(overrides: Sequence[str], *, confirmed: bool) -> int:
    from finecomb.config.hydra_app import check_jobs, enter

    words = check_jobs(overrides, confirmed=confirmed)
    try:
        enter(["-m", *words], lambda: None)
    except SystemExit as ended:
        # The sweeper's word for a job that did not finish.
        return int(ended.code or 0)
    return 0
