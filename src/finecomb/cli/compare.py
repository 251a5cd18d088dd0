"""`finecomb compare`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from finecomb.cli.arguments import add_config_dir, listed, load_plugins, parser_of
from finecomb.config import renamed
from finecomb.core.errors import ConfigError, Problem

SUMMARY = "a table of runs: scores with intervals, seeds, cost"


def main(args: list[str]) -> int:
    """Print a table of runs, or what differs between two."""
    examples = """  finecomb compare runs                                        all runs in a folder
  finecomb compare runs --where tuning=lora --where optimizer.lr=0.001
  finecomb compare runs/a-3f2a9c01b2d4 runs/b-81bc04d2e3f5     two runs: config, metrics, code, answers that changed
  finecomb compare runs/sweeps/latest.json --references majority,tfidf_logistic --output table.md
  finecomb compare runs --by tuning                            a row for each method, over the same settings and seeds
  finecomb compare runs --report report/                       tables, figures and a page, as a study has them
  finecomb compare wandb/                                      offline folders of W&B
  finecomb compare wandb:entity/project --group my_study       a project on W&B's server"""
    parser = parser_of("compare", SUMMARY, examples)
    parser.add_argument("runs", nargs="+", help="run directories, folders of them, a sweep's record; W&B folders, wandb:entity/project")
    named = "majority, tfidf_logistic, first_sentence, most_frequent_tag, most_frequent_answer"
    parser.add_argument("--references", default="", help=f"rows to add, separated by commas: {named}")
    parser.add_argument("--metrics", help="names without the split, separated by commas (default: the task's usual two)")
    parser.add_argument("--baseline", default="best", help="label of the row that all are compared with (default: the best of each metric)")
    parser.add_argument("--output", type=Path, help="also write a .md, .tex or .csv file")
    parser.add_argument(
        "--spread",
        choices=("interval", "std"),
        default="interval",
        help="what follows ± in a .tex file: half of the 95 %% interval, or the standard deviation over seeds",
    )
    parser.add_argument("--by", metavar="KEY", help="rows are the values of this key of the config, over the same other settings")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write a study's tables, figures and report.html of these runs to DIR")
    parser.add_argument("--where", action="append", default=[], metavar="KEY=VALUE", help="only runs whose config has this value")
    parser.add_argument("--state", help="only runs in this state")
    parser.add_argument("--group", help="only runs of this W&B group or study, of a study without its trials")
    parser.add_argument("--trials", action="store_true", help="with --group: the trials of the study too")
    add_config_dir(parser)
    given = parser.parse_args(args)
    load_plugins(given)
    where = _where(given.where)
    from finecomb.studies.wandb_sweep import mirrored

    mirrors = [word for word in given.runs if mirrored.is_mirror(word)]
    if mirrors and len(mirrors) < len(given.runs):
        raise ConfigError(Problem("W&B runs and run directories cannot share a table", "command line", hint="compare one kind at a time"))
    if mirrors:
        if given.references or given.output or given.by or given.report:
            what = "--references, --output, --by and --report need run directories"
            raise ConfigError(Problem(what, "command line", hint="leave them out for W&B runs"))
        print(
            mirrored.compare(
                given.runs, metrics=listed(given.metrics), where=where, group=given.group, state=given.state, trials=given.trials
            )
        )
        return 0
    from finecomb.api.comparing import compare
    from finecomb.studies.report.terminal import render

    comparison = compare(
        given.runs,
        by=given.by,
        baseline=given.baseline,
        references=listed(given.references) or (),
        metrics=listed(given.metrics),
        where=where,
        state=given.state,
        group=given.group,
        trials=given.trials,
        output=given.output,
        spread=given.spread,
        command=shlex.join(["finecomb", "compare", *args]),
        config_dirs=given.config_dir,
    )
    print(render(comparison))
    if given.report is not None:
        comparison.save(given.report)
        print(given.report)
    if len(given.runs) == 2 and all((Path(word) / "run.json").is_file() for word in given.runs):
        _two(given.runs)
    return 0


def _where(words: Sequence[str]) -> dict[str, str]:
    if unclear := [word for word in words if "=" not in word]:
        raise ConfigError(Problem(f"--where {unclear[0]} is no KEY=VALUE", "command line", hint="--where tuning=lora"))
    for word in words:
        renamed.require_current(word.partition("=")[0], f"--where {word}")
    return dict(word.split("=", 1) for word in words)


def _two(words: Sequence[str]) -> None:
    """What differs between two runs, their answers included."""
    from rich.console import Console

    from finecomb.runs import index, show
    from finecomb.runs.directory import RunDirectory
    from finecomb.studies.analysis.changed import changed_answers

    console = Console(highlight=False)
    first, second = (RunDirectory(Path(word)) for word in words)
    show.show_difference(console, (first.path.name, second.path.name), index.difference(first, second))
    for line in changed_answers(first, second):
        console.print(line, markup=False, soft_wrap=True)
