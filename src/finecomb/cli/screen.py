"""What the command line shows: help, the user's errors, the end of a run. Rich on a terminal, plain text when piped."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from finecomb import __version__
from finecomb.core.errors import ConfigError, Problem, problems_text

if TYPE_CHECKING:
    from finecomb.api.run import Run, RunFailed

TRAIN_USAGE = """\
usage: finecomb train [-m] [GROUP=CHOICE ...] [KEY=VALUE ...]

examples:
  finecomb train                                              the defaults below
  finecomb train tuning=lora tuning.r=4 seed=1
  finecomb train dataset=files dataset.files.train=mine.csv dataset.columns.text=review dataset.columns.label=stars
  finecomb train experiment=sst2_all_minilm dataset.path=DIR
  finecomb train -m tuning=full,head,lora seed=0,1,2          nine runs, one process each; seed=range(3) works too
  finecomb train -m hydra.launcher.slots=4 seed=0,1,2,3       four at once

flags, as Hydra has them:
  -m, --multirun           a job for each combination of the values given; --yes permits -m where no key has several values
  --config-dir DIR         a folder with choices of your own (groups of YAML files, finecomb_plugin.py)
  -c, --cfg job|hydra|all  print the composed config instead of running; --package KEY for a part of it
  -i, --info [WHAT]        defaults, defaults-tree, config, plugins or searchpath
  --hydra-help             Hydra's own help
  -sc install=bash         completion: eval "$(finecomb train -sc install=bash)"

`--a.b=c` is the same as `a.b=c`. Metrics and, on the last line, the run directory are printed on standard output."""


def overview(verbs: Mapping[str, str]) -> str:
    """The text of `finecomb --help`."""
    from finecomb.config import plugins
    from finecomb.config.catalogue import catalogue_text

    plugins.load()
    lines = [f"  {name:<10} {summary}" for name, summary in verbs.items()]
    return "\n".join(
        [
            f"finecomb {__version__}: prepare text data, fine-tune language models on it, find out which way of tuning is really better",
            "",
            "usage: finecomb VERB ...          finecomb VERB --help shows examples",
            "",
            *lines,
            "",
            "choices, as in `finecomb train tuning=lora` (* the default):",
            "",
            catalogue_text(),
        ]
    )


def train_help(overrides: Sequence[str]) -> str:
    """The text of `finecomb train --help`: flags, choices, and the config that the overrides compose."""
    import yaml

    from finecomb.config.catalogue import catalogue_text
    from finecomb.config.compose import compose
    from finecomb.config.plain import to_plain

    config = yaml.safe_dump(to_plain(compose(overrides).config), sort_keys=False, allow_unicode=True, width=1000)
    shown = "with these overrides" if overrides else "by default"
    choices = f"choices (* the default):\n\n{catalogue_text()}"
    return f"{TRAIN_USAGE}\n\n{choices}\n\nthe config {shown} (any of it is set by key.below=value):\n\n{config}"


def show_problems(error: ConfigError) -> None:
    """The one clear screen of a user's error, on standard error."""
    count = len(error.problems)
    title = "finecomb: one problem" if count == 1 else f"finecomb: {count} problems"
    if not sys.stderr.isatty():
        print(f"{title}\n{problems_text(error.problems)}", file=sys.stderr)
        return
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    console = Console(stderr=True)
    text = Text(problems_text(error.problems, console.width - 4))
    console.print(Panel(text, title=title, title_align="left", border_style="red", expand=False))


def show_run(run: Run) -> None:
    """The metrics of a finished run; its directory is the last line of standard output."""
    from rich.console import Console

    from finecomb.runs.directory import RunDirectory
    from finecomb.runs.metrics import concise
    from finecomb.runs.show import table
    from finecomb.studies.summary import truncation_line

    console = Console(highlight=False)
    _show_notes(run)
    if run.reused:
        console.print("finished before; nothing was trained", markup=False)
    table(console, *_metrics(concise(run.metrics)))
    if line := _groups_line(run.metrics):
        print(line, file=sys.stderr)
    if (outcome := RunDirectory(run.path).outcome()) and (cut := truncation_line(outcome)):
        print(cut, file=sys.stderr)
    print(run.path)


def show_failure(failed: RunFailed) -> None:
    """Why a run has not finished; its directory is the last line of standard output."""
    from finecomb.runs.index import short_error

    _show_notes(failed.run)
    # The user's error is a whole screen, which its worker wrote; of a traceback the last line says what happened.
    error = failed.error if failed.user_error else short_error(failed.error)
    problem = Problem(
        f"the run {'has failed' if failed.status == 'failed' else f'is {failed.status}'}: {error}",
        where="" if failed.user_error else f"the whole traceback: {failed.log}",
        hint="once the cause is fixed, run it again with rerun=failed" if failed.status == "failed" else "",
    )
    show_problems(ConfigError(problem))
    print(failed.run.path)


def _show_notes(run: Run) -> None:
    for note in run.notes:
        print(f"note: {note}", file=sys.stderr)


def _metrics(metrics: Mapping[str, float | None]) -> tuple[list[str], list[list[str | float | None]]]:
    """A row for each metric, a column for each split; what a split has not is left empty, what is undefined is None."""
    splits = list(dict.fromkeys(name.partition("/")[0] for name in metrics))
    names = dict.fromkeys(name.partition("/")[2] for name in metrics)
    return ["", *splits], [[name, *(metrics.get(f"{split}/{name}", "") for split in splits)] for name in names]


def _groups_line(metrics: Mapping[str, float | None]) -> str | None:
    """How many groups the rows have, and where their metrics are; None without groups."""
    from finecomb.runs.metrics import OF_GROUP

    groups = {name.partition(OF_GROUP)[2] for name in metrics if OF_GROUP in name}
    return f"{len(groups)} groups: the metrics of each are in result.json, as test/accuracy{OF_GROUP}NAME" if groups else None
