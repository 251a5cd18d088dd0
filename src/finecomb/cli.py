"""The command line: each verb reads its arguments and calls one function. Nothing heavy is imported before a verb needs it.

Exit codes: 0 done, 1 the run failed, 2 the user's error (one clear screen, no traceback); 130 and 143 when stopped by a signal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from finecomb import __version__
from finecomb.config.errors import Problem, UserError, nearest
from finecomb.verbs import annotate, cache, compare, doctor, predict, prepare, reproduce, runs, study, sweep

if TYPE_CHECKING:
    from finecomb.config.compose import Composition

_COMPLETION = ("-sc", "--shell-completion")


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _dispatch(words)
    except UserError as error:
        from finecomb.screen import show_problems

        show_problems(error)
        return 2
    except KeyboardInterrupt as stop:
        print("finecomb: stopped; the same command goes on where it was", file=sys.stderr)
        return int(getattr(stop, "exit_code", 130))
    except BrokenPipeError:
        # The reader of our output has gone, as with `finecomb runs | head`.
        sys.stderr.close()
        return 0


def _dispatch(words: list[str]) -> int:
    verb, *rest = words or ["--help"]
    if verb in ("-h", "--help", "help"):
        from finecomb.screen import overview

        print(overview(VERBS))
        return 0
    if verb == "--version":
        print(f"finecomb {__version__}")
        return 0
    if verb in _COMPLETION:
        return _complete(words)
    if verb not in VERBS:
        raise UserError(_unknown_verb(verb))
    return _COMPOSING[verb](rest) if verb in _COMPOSING else _OTHERS[verb].main(rest)


def _unknown_verb(verb: str) -> Problem:
    if "=" in verb:
        return Problem(f"{verb} is an override, and a verb comes first", "command line", ", ".join(VERBS), f"finecomb train {verb}")
    guess = nearest(verb, VERBS)
    return Problem(
        f"there is no verb {verb}", "command line", ", ".join(VERBS), f"did you mean finecomb {guess}?" if guess else "finecomb --help"
    )


def _complete(words: Sequence[str]) -> int:
    from finecomb.config.hydra_app import complete

    complete(words, verbs=list(VERBS), composing=list(_COMPOSING))
    return 0


# Verbs that take a config


def train(args: list[str]) -> int:
    """Train one model, or many with -m."""
    if any(flag in args for flag in _COMPLETION):
        return _complete(args)
    from finecomb.config import hydra_app

    given = hydra_app.read(args)
    if given.help:
        from finecomb.screen import train_help

        print(train_help(given.overrides))
        return 0
    if given.only_hydra:
        hydra_app.show(given)
        return 0
    if given.multirun:
        from finecomb.studies.multirun import run_multirun
        from finecomb.studies.outcome import exit_code

        return exit_code(run_multirun(given.overrides, confirmed=given.confirmed))
    return _train_one(_compose(given.overrides, validated=True))


def _compose(overrides: Sequence[str], *, validated: bool = False) -> Composition:
    from finecomb.config.compose import compose
    from finecomb.config.validate import validate

    composition = compose(overrides)
    if validated:
        validate(composition.config, composition.origins)
    return composition


def _train_one(composition: Composition) -> int:
    from finecomb.screen import show_outcome
    from finecomb.studies.account import tell_data
    from finecomb.studies.freeze import freeze
    from finecomb.studies.launch import exit_code, launch

    progress = composition.config.callbacks.progress
    frozen = freeze(composition)
    if progress:
        tell_data([frozen])
    (outcome,) = launch([frozen], progress=progress)
    show_outcome(outcome)
    return exit_code([outcome])


def explain(args: list[str]) -> int:
    """Show the composed config and where each value comes from."""
    from finecomb.config import hydra_app

    given = hydra_app.read(args)
    if given.help:
        from finecomb.screen import EXPLAIN_HELP

        print(EXPLAIN_HELP)
        return 0
    if given.multirun or given.only_hydra:
        raise UserError(Problem("explain takes the overrides of one job", "command line", mend="leave Hydra's flags out"))
    from finecomb.config.explain import show

    return 0 if show(_compose(given.overrides)) else 2


VERBS = {
    "train": "train one model, or many with -m; asked again, a finished run is returned and an interrupted one goes on",
    "prepare": prepare.SUMMARY,
    "annotate": annotate.SUMMARY,
    "study": study.SUMMARY,
    "sweep": sweep.SUMMARY,
    "compare": compare.SUMMARY,
    "predict": predict.SUMMARY,
    "runs": runs.SUMMARY,
    "reproduce": reproduce.SUMMARY,
    "explain": "the composed config: what set each value, problems, parameters, memory and time; trains nothing",
    "doctor": doctor.SUMMARY,
    "cache": cache.SUMMARY,
}
_COMPOSING: dict[str, Callable[[list[str]], int]] = {"train": train, "explain": explain}
_OTHERS = {
    "prepare": prepare,
    "annotate": annotate,
    "study": study,
    "sweep": sweep,
    "compare": compare,
    "predict": predict,
    "runs": runs,
    "reproduce": reproduce,
    "doctor": doctor,
    "cache": cache,
}
