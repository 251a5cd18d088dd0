"""The command line: each verb reads its arguments and calls one function. Nothing heavy is imported before a verb needs it.

Exit codes: 0 done, 1 the run failed, 2 the user's error (one clear screen, no traceback); 130 and 143 when stopped by a signal.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from finecomb import __version__
from finecomb.config.errors import Problem, UserError, nearest

if TYPE_CHECKING:
    from finecomb.config.compose import Composition
    from finecomb.studies.launch import Outcome

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

        print(overview({name: summary for name, (_, summary) in VERBS.items()}))
        return 0
    if verb == "--version":
        print(f"finecomb {__version__}")
        return 0
    if verb in _COMPLETION:
        return _complete(words)
    if verb not in VERBS:
        raise UserError(_unknown_verb(verb))
    return VERBS[verb][0](rest)


def _unknown_verb(verb: str) -> Problem:
    if "=" in verb:
        return Problem(f"{verb} is an override, and a verb comes first", "command line", ", ".join(VERBS), f"finecomb train {verb}")
    guess = nearest(verb, VERBS)
    return Problem(
        f"there is no verb {verb}", "command line", ", ".join(VERBS), f"did you mean finecomb {guess}?" if guess else "finecomb --help"
    )


def _complete(words: Sequence[str]) -> int:
    from finecomb.config.hydra_app import complete

    complete(words, verbs=list(VERBS), composing=["train", "explain"])
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
        if "--hydra-help" not in given.only_hydra and not given.multirun:
            _compose(given.overrides)
        hydra_app.enter([*given.only_hydra, *given.overrides], lambda: None)
        return 0
    if given.multirun:
        return _train_many(given.overrides)
    return _train_one(_compose(given.overrides, validated=True), given.overrides)


def _compose(overrides: Sequence[str], *, validated: bool = False) -> Composition:
    from finecomb.config.compose import compose
    from finecomb.config.validate import validate

    composition = compose(overrides)
    if validated:
        validate(composition.config, composition.origins)
    return composition


def _train_one(composition: Composition, words: Sequence[str]) -> int:
    from finecomb.config.hydra_app import enter

    outcomes: list[Outcome] = []
    stopped: list[BaseException] = []

    def task() -> None:
        from finecomb.studies.account import tell_data
        from finecomb.studies.freeze import freeze
        from finecomb.studies.launch import launch

        progress = composition.config.callbacks.progress
        try:
            frozen = freeze(composition)
            if progress:
                tell_data([frozen])
            outcomes.extend(launch([frozen], progress=progress))
        except BaseException as error:  # raised again below, because Hydra would print a line of its own about it
            stopped.append(error)

    enter(words, task)
    if stopped:
        raise stopped[0]
    from finecomb.screen import show_outcome
    from finecomb.studies.launch import exit_code

    show_outcome(outcomes[0])
    return exit_code(outcomes)


def _train_many(overrides: Sequence[str]) -> int:
    from finecomb.config.hydra_app import check_jobs, enter

    words = check_jobs(overrides)
    try:
        enter(["-m", *words], lambda: None)
    except SystemExit as ended:
        # The sweeper's word for a job that did not finish.
        return int(ended.code or 0)
    return 0


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


# Verbs that read


def _parser(verb: str, examples: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"finecomb {verb}",
        description=VERBS[verb][1][:1].upper() + VERBS[verb][1][1:] + ".",
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def error(message: str) -> NoReturn:
        raise UserError(Problem(message, f"command line: finecomb {verb}", mend=f"finecomb {verb} --help shows what it takes"))

    parser.error = error  # type: ignore[method-assign]
    return parser


def doctor(args: list[str]) -> int:
    """Look at the machine."""
    _parser("doctor", "  finecomb doctor").parse_args(args)
    from finecomb.config.doctor import show

    show()
    return 0


def runs(args: list[str]) -> int:
    """List runs, show one, find the best, tell two apart."""
    examples = """  finecomb runs                                  list the runs in runs/
  finecomb runs list --state failed              only those that failed
  finecomb runs list tuning=lora                 only those with this choice
  finecomb runs show 3f2a9c                      one run, by the beginning of its name or fingerprint
  finecomb runs best --metric test/accuracy      the best finished run
  finecomb runs diff 3f2a9c 81bc04               what differs between two"""
    from finecomb.runs.directory import STATES
    from finecomb.runs.index import DAMAGED

    parser = _parser("runs", examples)
    parser.add_argument("action", nargs="?", default="list", choices=("list", "show", "best", "diff"))
    parser.add_argument("words", nargs="*", help="show, diff: runs; list, best: choices, such as tuning=lora")
    parser.add_argument("--output-dir", default="runs", help="where the runs are (default: runs)")
    parser.add_argument("--metric", help="such as validation/accuracy; without it what the runs monitored")
    parser.add_argument("--state", choices=(*STATES, DAMAGED), help="list: only runs in this state")
    parser.add_argument("--group", help="list, best: only runs of this sweep")
    return _runs(parser.parse_args(args))


def _runs(given: argparse.Namespace) -> int:
    from rich.console import Console

    from finecomb.config.schema.train import BUNDLES, GROUPS
    from finecomb.runs import index, show

    console = Console(highlight=False)
    wanted = {"show": 1, "diff": 2}.get(given.action)
    if wanted is not None:
        if len(given.words) != wanted:
            raise UserError(Problem(f"runs {given.action} takes {wanted} run(s), and got {len(given.words)}", "command line"))
        found = [index.locate(given.output_dir, word) for word in given.words]
        if given.action == "show":
            show.show_run(console, found[0], index.entry(found[0].path))
        else:
            show.show_difference(console, (found[0].path.name, found[1].path.name), index.difference(found[0], found[1]))
        return 0
    unclear = [word for word in given.words if "=" not in word]
    if unclear:
        raise UserError(
            Problem(f"{unclear[0]} is no choice", "command line", mend=f"write GROUP=CHOICE, or finecomb runs show {unclear[0]}")
        )
    choices = dict(word.split("=", 1) for word in given.words)
    groups = (*GROUPS, *BUNDLES)
    if unknown := [name for name in choices if name not in groups]:
        guess = nearest(unknown[0], groups)
        mend = f"did you mean {guess}?" if guess else ""
        raise UserError(Problem(f"{unknown[0]} is no config group", "command line", ", ".join(groups), mend))
    listed = index.select(index.entries(given.output_dir), state=given.state, group=given.group, choices=choices)
    if given.action == "best":
        best = index.best(listed, given.metric)
        show.show_run(console, index.locate(given.output_dir, str(best.path)), best)
    elif listed:
        show.list_runs(console, listed, given.metric)
    else:
        print(f"no runs in {Path(given.output_dir).resolve()}" + (" are like that" if given.words or given.state or given.group else ""))
    return 0


def compare(args: list[str]) -> int:
    """Print a table of runs."""
    examples = """  finecomb compare runs                                        all runs in a folder
  finecomb compare runs/a-3f2a9c01b2d4 runs/b-81bc04d2e3f5     two runs
  finecomb compare runs/sweeps/latest.json --references majority,tfidf_logistic --output table.md"""
    parser = _parser("compare", examples)
    parser.add_argument("runs", nargs="+", help="run directories, folders of them, or a sweep's record")
    parser.add_argument("--references", default="", help="rows to add, separated by commas: majority, tfidf_logistic")
    parser.add_argument("--metrics", help="names without the split, separated by commas (default: the task's usual two)")
    parser.add_argument("--baseline", default="best", help="label of the row that all are compared with (default: the best of each metric)")
    parser.add_argument("--output", type=Path, help="also write a .md or .csv file")
    given = parser.parse_args(args)
    from finecomb.studies.render import render
    from finecomb.studies.table import compare as table

    found = table(
        given.runs,
        references=_listed(given.references) or (),
        metrics=_listed(given.metrics),
        baseline=given.baseline,
        output=given.output,
    )
    print(render(found))
    return 0


def predict(args: list[str]) -> int:
    """Answer texts with a finished run."""
    examples = """  finecomb predict 3f2a9c "a film to see twice" "a film to sleep through"
  finecomb predict runs/movie_reviews-full-3f2a9c01b2d4 --file reviews.csv --text-column review
  cat texts.txt | finecomb predict 3f2a9c --format tsv"""
    parser = _parser("predict", examples)
    parser.add_argument("run", help="a run directory, or a run's name or fingerprint, or the beginning of either")
    parser.add_argument("texts", nargs="*", help="texts; without them and without --file: lines of standard input")
    parser.add_argument("--pair", action="append", default=[], dest="pairs", help="the second text, once for each text, for a run on pairs")
    parser.add_argument("--file", help="CSV, TSV, JSON lines, Parquet, Arrow or text; - is standard input")
    parser.add_argument("--text-column", help="column of the text in the file (default: as the run had it)")
    parser.add_argument("--pair-column", help="column of the second text in the file")
    parser.add_argument("--format", choices=("jsonl", "tsv"), default="jsonl", help="form of the answers (default: jsonl)")
    parser.add_argument("--output-dir", default="runs", help="where the runs are (default: runs)")
    parser.add_argument("--device", help="such as cpu or cuda:0 (default: a GPU where there is one)")
    given = parser.parse_args(args)
    from finecomb.serving.predict import predict_command

    predict_command(
        given.run,
        given.texts,
        pairs=given.pairs,
        file=given.file,
        text_column=given.text_column,
        pair_column=given.pair_column,
        output=given.format,
        output_dir=given.output_dir,
        device=given.device,
    )
    return 0


def _listed(text: Any) -> list[str] | None:
    return [item.strip() for item in str(text).split(",") if item.strip()] if text else None


VERBS: dict[str, tuple[Callable[[list[str]], int], str]] = {
    "train": (train, "train one model, or many with -m; asked again, a finished run is returned and an interrupted one goes on"),
    "compare": (compare, "a table of runs: scores with intervals, seeds, cost"),
    "predict": (predict, "answer texts, files or standard input with a finished run"),
    "runs": (runs, "list runs, show one, find the best, tell two apart"),
    "explain": (explain, "the composed config: what set each value, problems, parameters, memory and time; trains nothing"),
    "doctor": (doctor, "what this machine has, and what that means for a run"),
}
