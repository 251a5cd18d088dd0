"""reproduce.md: the command behind every number."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from finecomb.config import renamed
from finecomb.studies.analysis.facts import ArmFacts, ColumnFacts
from finecomb.studies.analysis.frames import CONFIRM, TRIAL, Frames
from finecomb.studies.report.formatting import pipes

if TYPE_CHECKING:
    import pandas as pd


def reproduce(frames: Frames) -> str:
    """The command of the whole study, then for each cell the command of its runs, and the directory of each run."""
    facts = frames.facts
    if facts.is_comparison:
        command_lines = [f"The tables, figures and tests, from the run directories: `{facts.command}`"]
    else:
        command_lines = [
            f"All of it, going on where it was left: `{facts.command}`",
            "",
            f"The tables, figures and tests from the files beside this one: `{facts.command} --report`",
        ]
    lines = [f"# How to make {facts.name} again", "", *command_lines]
    for column in facts.columns:
        for arm in facts.arms:
            lines += _cell(frames, column, arm)
    codes = sorted(set(frames.results[frames.results["role"] != "reference"]["code"].dropna()))
    lines += ["", "## Code and machine", "", *(f"* code {code}" for code in codes)]
    lines += [f"* {machine}" for machine in sorted(set(frames.results["machine"].dropna()))]
    return "\n".join(lines) + "\n"


def _cell(frames: Frames, column: ColumnFacts, arm: ArmFacts) -> list[str]:
    results = frames.results[(frames.results["column"] == column.name) & (frames.results["arm"] == arm.name)]
    runs = results[results["role"] == CONFIRM]
    recorded = [*frames.facts.base, *column.overrides, *arm.overrides, *arm.chosen[column.name]]
    words = renamed.current_overrides(recorded)
    seeds = ",".join(str(int(seed)) for seed in sorted(runs["seed"]))
    title = f"{column.name}, {arm.name}" if column.name else arm.name
    lines = ["", f"## {title}", ""]
    if not len(runs):
        return [*lines, "No run has finished."]
    if arm.by_run:
        return [*lines, *_by_run(runs)]
    command = f"finecomb train {'-m ' if ',' in seeds else ''}{' '.join(shlex.quote(word) for word in words)} seed={seeds}"
    lines += ["```", command, "```", ""]
    metric = f"test/{column.metric}" if f"test/{column.metric}" in runs else f"validation/{column.metric}"
    rows = [[str(int(run["seed"])), f"{run[metric]:.6f}", str(run["run"])] for _, run in runs.sort_values("seed").iterrows()]
    lines += pipes([["seed", metric, "run directory"], ["---:", "---:", "---"], *rows])
    trials = results[results["role"] == TRIAL].sort_values("trial")
    if len(trials):
        name = f"validation/{column.metric}"
        tried = [[str(int(run["trial"])), str(run["setting"]), f"{run[name]:.4f}", str(run["run"])] for _, run in trials.iterrows()]
        lines += ["", "Chosen from:", "", *pipes([["trial", "setting", name, "run directory"], ["---:", "---", "---:", "---"], *tried])]
    return lines


def _by_run(runs: pd.DataFrame) -> list[str]:
    """A command for each run of an arm that goes over several settings."""
    rows = [[str(run["run"]), f"`finecomb train {run['overrides']}`"] for _, run in runs.sort_values("seed").iterrows()]
    return pipes([["run directory", "command"], ["---", "---"], *rows])
