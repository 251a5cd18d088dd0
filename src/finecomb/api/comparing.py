"""`finecomb.compare`: a table of runs."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from finecomb.config import plugins, renamed
from finecomb.config.plain import flatten
from finecomb.core.errors import ConfigError, Problem
from finecomb.studies.analysis.arms import ComparedRun, shown
from finecomb.studies.report import comparison as table
from finecomb.studies.report.comparison import Comparison
from finecomb.studies.report.latex import Spread
from finecomb.studies.wandb_sweep import mirrored

_WILDCARDS = frozenset("*?[")


def compare(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    by: str | None = None,
    baseline: str = "best",
    references: Sequence[str] = (),
    metrics: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
    state: str | None = None,
    group: str | None = None,
    trials: bool = False,
    output: str | os.PathLike[str] | None = None,
    spread: Spread = "interval",
    command: str | None = None,
    config_dirs: Sequence[str | os.PathLike[str]] = (),
) -> Comparison:
    """Compare runs: scores with intervals over seeds and examples, differences to a baseline, and costs.

    Args:
        paths: Runs, run directories, folders of them, sweep records, or patterns such as `runs/*`; one or several.
        by: A key of the config whose values are the rows, over the same other settings and seeds. None: everything but the seed.
        baseline: `best` (of each metric), or the label of the row that all are compared with.
        references: Rows to add: `majority`, `tfidf_logistic`; of tags `most_frequent_tag`.
        metrics: Names without the split; None: the task's usual two.
        where: Only runs whose config has these values, such as `{"tuning": "lora", "optimizer.lr": 0.001}`.
        state: Only runs in this state.
        group: Only runs of this W&B group or study; of a study without its trials.
        trials: With `group`: the trials of the study too.
        output: A .md, .tex or .csv file to write as well.
        spread: What follows ± in a .tex file: `interval`, half of the 95 % interval, or `std`, the standard deviation over seeds.
        command: What the report names as the command that made the table.
        config_dirs: Folders of plug-ins whose metrics are computed.

    Raises:
        ConfigError: Nothing to compare, runs of different tasks or test examples, an unknown metric, reference or row.

    Example:
        >>> words = ["debug=tiny", "dataset=files", "dataset.files.train=reviews.csv", "callbacks.progress.enabled=false"]
        >>> runs = finecomb.multirun([*words, "seed=0,1"])
        >>> table = finecomb.compare(runs, metrics=["accuracy"])
        >>> table.rows[0].label, table.rows[0].seeds
        ('full', [0, 1])
        >>> list(table.to_frame())[:3]
        ['kind', 'seeds', 'accuracy']
    """
    plugins.load(Path(folder) for folder in config_dirs)
    for key in where or {}:
        renamed.require_current(key, f"where: {key}")
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    words = [each for path in given for each in _expanded(os.fspath(path))]
    if any(mirrored.is_mirror(word) for word in words):
        hint = "finecomb compare prints their table"
        raise ConfigError(Problem("runs of W&B have no answers by example and no intervals", ", ".join(words), hint=hint))
    accept = _Filter(where or {}, state, group, trials)
    comparison = table.compare(
        words,
        references=references,
        metrics=metrics,
        baseline=baseline,
        output=None if output is None else Path(output),
        spread=spread,
        accept=accept,
        by=by,
        command=command or shlex.join(["finecomb", "compare", *words, *(["--by", by] if by else [])]),
    )
    if accept.hidden:
        comparison.remarks.append(mirrored.hidden_text(len(accept.hidden), group))
    return comparison


@dataclass
class _Filter:
    """Which runs to take; trials that were left out are kept in `hidden`."""

    where: Mapping[str, object]
    state: str | None
    group: str | None
    trials: bool
    hidden: list[ComparedRun] = field(default_factory=list)

    def __call__(self, run: ComparedRun) -> bool:
        flat = flatten(run.config)
        if self.state is not None and run.state != self.state:
            return False
        if self.group is not None and run.record.group != self.group:
            return False
        if any(shown(flat.get(key, flat.get(f"{key}.name"))) != shown(value) for key, value in self.where.items()):
            return False
        if self.group is not None and not self.trials and run.record.role == mirrored.TRIAL:
            self.hidden.append(run)
            return False
        return True


def _expanded(word: str) -> list[str]:
    """The run directories and sweep records that a pattern matches; anything else as it is."""
    if not _WILDCARDS & set(word) or Path(word).exists():
        return [word]
    paths = sorted(path for path in glob.glob(os.path.expanduser(word)) if path.endswith(".json") or (Path(path) / "run.json").is_file())
    if not paths:
        raise ConfigError(Problem(f"no run directory matches {word}", "paths", hint="finecomb runs lists the runs there are"))
    return paths
