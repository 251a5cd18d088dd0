"""`finecomb runs`."""

from __future__ import annotations

import argparse
from pathlib import Path

from finecomb.cli.arguments import add_config_dir, load_plugins, parser_of
from finecomb.core.errors import ConfigError, Problem, nearest

SUMMARY = "list runs, show one, find the best, tell two apart, verify their numbers, upload them to W&B"


def main(args: list[str]) -> int:
    """List runs, show one, find the best, tell two apart."""
    examples = """  finecomb runs                                  list the runs in runs/
  finecomb runs list --state failed              only those that failed
  finecomb runs list tuning=lora                 only those with this choice
  finecomb runs show 3f2a9c                      one run, by the beginning of its name or fingerprint
  finecomb runs best --metric test/accuracy      the best finished run
  finecomb runs diff 3f2a9c 81bc04               what differs between two
  finecomb runs verify                           whether every recorded metric follows from its answers; exit code 1 where not
  finecomb runs verify experiments/losses/results   the same for a study's tables
  finecomb runs sync                             upload to W&B what was mirrored offline"""
    from finecomb.runs.directory import STATES
    from finecomb.runs.index import DAMAGED

    parser = parser_of("runs", SUMMARY, examples)
    parser.add_argument("action", nargs="?", default="list", choices=("list", "show", "best", "diff", "verify", "sync"))
    parser.add_argument("words", nargs="*", help="show, diff: runs; list, best: choices, such as tuning=lora; verify, sync: folders")
    parser.add_argument("--output-dir", default="runs", help="where the runs are (default: runs)")
    parser.add_argument("--metric", help="such as validation/accuracy; without it what the runs monitored")
    parser.add_argument("--state", choices=(*STATES, DAMAGED), help="list: only runs in this state")
    parser.add_argument("--group", help="list, best: only runs of this W&B group, study or search")
    add_config_dir(parser)
    given = parser.parse_args(args)
    load_plugins(given)
    return _runs(given)


def _runs(given: argparse.Namespace) -> int:
    from rich.console import Console

    from finecomb.config.schema.train import BUNDLES, GROUPS
    from finecomb.runs import index, show

    console = Console(highlight=False)
    wanted = {"show": 1, "diff": 2}.get(given.action)
    if wanted is not None:
        if len(given.words) != wanted:
            raise ConfigError(Problem(f"runs {given.action} takes {wanted} run(s), and got {len(given.words)}", "command line"))
        found = [index.locate(given.output_dir, word) for word in given.words]
        if given.action == "show":
            show.show_run(console, found[0], index.entry(found[0].path))
        else:
            show.show_difference(console, (found[0].path.name, found[1].path.name), index.difference(found[0], found[1]))
        return 0
    if given.action == "verify":
        return _verify([Path(word) for word in given.words] or [Path(given.output_dir)])
    if given.action == "sync":
        from finecomb.runs.sync import sync

        return 0 if sync([Path(word) for word in given.words] or [Path(given.output_dir)], print) else 1
    unclear = [word for word in given.words if "=" not in word]
    if unclear:
        raise ConfigError(
            Problem(f"{unclear[0]} is no choice", "command line", hint=f"write GROUP=CHOICE, or finecomb runs show {unclear[0]}")
        )
    choices = dict(word.split("=", 1) for word in given.words)
    groups = (*GROUPS, *BUNDLES)
    if unknown := [name for name in choices if name not in groups]:
        guess = nearest(unknown[0], groups)
        hint = f"did you mean {guess}?" if guess else ""
        raise ConfigError(Problem(f"{unknown[0]} is no config group", "command line", ", ".join(groups), hint))
    listed = index.select(index.entries(given.output_dir), state=given.state, group=given.group, choices=choices)
    if given.action == "best":
        best = index.best(listed, given.metric)
        show.show_run(console, index.locate(given.output_dir, str(best.path)), best)
    elif listed:
        show.list_runs(console, listed, given.metric)
    else:
        print(f"no runs in {Path(given.output_dir).resolve()}" + (" are like that" if given.words or given.state or given.group else ""))
    return 0


def _verify(paths: list[Path]) -> int:
    """Tell what does not follow from the recorded answers; 1 when anything does not."""
    from finecomb.studies.analysis import arms
    from finecomb.studies.report import verify

    studies = [path for path in paths if verify.is_study(path)]
    runs = arms.find([str(path) for path in paths if path not in studies]) if len(studies) < len(paths) else []
    told = [(str(path), verify.verify_study(path)) for path in studies] + list(verify.verify_runs(runs))
    for name, wrong in told:
        for line in wrong:
            print(f"{name}: {line}")
    wrong_ones = sum(bool(wrong) for _, wrong in told)
    print(f"{len(told)} verified, {wrong_ones} with something that does not hold")
    return 1 if wrong_ones else 0
