"""The command line: one file a verb, which parses its arguments, calls the Python API and prints. Nothing heavy is imported before it is
needed.

Exit codes: 0 done, 1 the run failed, 2 the user's error (one clear screen, no traceback); 130 and 143 when stopped by a signal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from finecomb import __version__
from finecomb.cli import annotate, cache, compare, doctor, explain, predict, prepare, reproduce, runs, study, sweep, train
from finecomb.cli.arguments import COMPLETION, complete
from finecomb.core.errors import ConfigError, Problem, nearest

_MODULES = {
    "train": train,
    "prepare": prepare,
    "annotate": annotate,
    "study": study,
    "sweep": sweep,
    "compare": compare,
    "predict": predict,
    "runs": runs,
    "reproduce": reproduce,
    "explain": explain,
    "doctor": doctor,
    "cache": cache,
}
# Each verb with a line about it.
VERBS = {name: module.SUMMARY for name, module in _MODULES.items()}


def main(args: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    try:
        return _dispatch(words)
    except ConfigError as error:
        from finecomb.cli.screen import show_problems

        show_problems(error)
        return 2
    except KeyboardInterrupt as stop:
        print("finecomb: stopped; the same command resumes", file=sys.stderr)
        return int(getattr(stop, "exit_code", 130))
    except BrokenPipeError:
        # The reader of our output has gone, as with `finecomb runs | head`.
        sys.stderr.close()
        return 0


def _dispatch(words: list[str]) -> int:
    verb, *rest = words or ["--help"]
    if verb in ("-h", "--help", "help"):
        from finecomb.cli.screen import overview

        print(overview(VERBS))
        return 0
    if verb == "--version":
        print(f"finecomb {__version__}")
        return 0
    if verb in COMPLETION:
        return complete(words, list(VERBS))
    if verb not in VERBS:
        raise ConfigError(_unknown_verb(verb))
    return _MODULES[verb].main(rest)


def _unknown_verb(verb: str) -> Problem:
    if "=" in verb:
        return Problem(f"{verb} is an override, and a verb comes first", "command line", ", ".join(VERBS), f"finecomb train {verb}")
    guess = nearest(verb, VERBS)
    return Problem(
        f"there is no verb {verb}", "command line", ", ".join(VERBS), f"did you mean finecomb {guess}?" if guess else "finecomb --help"
    )
