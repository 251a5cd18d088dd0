"""A table of runs known from W&B alone. There are no answers by example in a mirror, so it is a table by seeds and says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.runs import wandb_folder, wandb_project
from finecomb.runs.wandb_folder import WandbRun
from finecomb.studies.analysis import arms
from finecomb.studies.analysis.statistics.seeds import summary, t_interval
from finecomb.studies.report.formatting import NONE, interval_text, pipes, writer_of

TRIAL = "trial"  # tag, and role in run.json, of a run by which a study chooses a setting
# Keys of a mirrored config that are no setting.
_NO_SETTING = ("fingerprint", "seed", "name", "output_dir", "rerun")


def is_mirror(text: str) -> bool:
    """Whether a word names W&B runs: a project, an offline folder, or a folder of such without run directories."""
    if text.startswith(wandb_project.PREFIX):
        return True
    path = Path(text)
    return path.is_dir() and not (path / "run.json").exists() and not any(path.glob("*/run.json")) and bool(wandb_folder.find(path))


def read(words: Sequence[str]) -> list[WandbRun]:
    """Every run named, one for each W&B id: of the pieces of a run that was resumed offline, the one that ended."""
    found: dict[str, WandbRun] = {}
    for word in words:
        runs = wandb_project.read(word) if word.startswith(wandb_project.PREFIX) else wandb_folder.runs(Path(word))
        for run in runs:
            known = found.get(run.id)
            if known is None or known.exit_code is None or run.exit_code is not None:
                found[run.id] = run
    return list(found.values())


def compare(
    words: Sequence[str],
    *,
    metrics: Sequence[str] | None,
    where: Mapping[str, str],
    group: str | None,
    state: str | None,
    trials: bool = False,
) -> str:
    """A Markdown table for each metric: arms (runs that differ in the seed alone) with mean, deviation and interval over seeds.

    metrics: as W&B has them (`test/accuracy`) or without the split; None: what is monitored. where: dotted keys and their values.
    trials: with a group, show the trials of the study too.
    """
    runs = [run for run in read(words) if _wanted(run, where, group, state)]
    hidden = [run for run in runs if group is not None and not trials and TRIAL in run.tags]
    runs = [run for run in runs if run not in hidden]
    finished = [run for run in runs if run.state == "finished"]
    if not finished:
        states = ", ".join(sorted({run.state for run in runs})) or "none is like that"
        raise ConfigError(
            Problem(
                f"there is nothing to compare: no W&B run has finished ({states})", ", ".join(words), hint=hidden_text(len(hidden), group)
            )
        )
    logged = sorted({name for run in finished for name, value in run.last().items() if "/" in name and isinstance(value, int | float)})
    parts = [_table(finished, metric) for metric in _metrics(finished, metrics, logged)]
    notes = [
        f"Source: {', '.join(words)}; {len(finished)} finished W&B runs"
        + (f", {len(runs) - len(finished)} others left out" if len(runs) > len(finished) else "")
        + ".",
        "A mirror holds no answers by example: intervals are over seeds alone (Student's t), and nothing is tested.",
    ]
    if hidden:
        notes.append(f"{hidden_text(len(hidden), group)}.")
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def hidden_text(count: int, group: str | None) -> str:
    """That trials are hidden, and how to see them; empty for none."""
    if not count:
        return ""
    if count == 1:
        return f"1 trial of {group} is hidden; --trials shows it"
    return f"{count} trials of {group} are hidden; --trials shows them"


def _wanted(run: WandbRun, where: Mapping[str, str], group: str | None, state: str | None) -> bool:
    if (group is not None and run.group != group) or (state is not None and run.state != state):
        return False
    return all(arms.shown(run.config.get(key, run.config.get(f"{key}.name"))) == value for key, value in where.items())


def _metrics(runs: Sequence[WandbRun], asked: Sequence[str] | None, logged: Sequence[str]) -> list[str]:
    if asked is None:
        monitored = {str(run.config.get("monitor.metric")) for run in runs}
        asked = sorted(monitored) if len(monitored) == 1 else ["loss"]
    found = []
    for name in asked:
        known = next((each for each in (name, f"test/{name}", f"validation/{name}") if each in logged), None)
        if known is None:
            guess = nearest(name, logged)
            raise ConfigError(
                Problem(f"no W&B run has the metric {name}", allowed=", ".join(logged), hint=f"did you mean {guess}?" if guess else "")
            )
        found.append(known)
    return found


def _table(runs: Sequence[WandbRun], metric: str) -> str:
    hidden = {*arms.not_identity(), *_NO_SETTING}
    grouped: dict[str, list[WandbRun]] = {}
    identities: dict[str, dict[str, Any]] = {}
    for run in runs:
        identity = {key: value for key, value in run.config.items() if key not in hidden}
        key = json.dumps(identity, sort_keys=True, default=str)
        grouped.setdefault(key, []).append(run)
        identities[key] = identity
    show = writer_of(metric.split("/")[-1])
    rows = []
    for label, members in zip(arms.labels(list(identities.values())), grouped.values(), strict=True):
        values = [float(run.last()[metric]) for run in members if metric in run.last()]
        if not values:
            rows.append([label, "not logged", NONE, NONE, "0"])
            continue
        described, interval = summary(values), t_interval(values)
        deviation = "not measured" if described.deviation is None else show(described.deviation, False)
        rows.append(
            [
                label,
                show(described.mean, False),
                NONE if interval is None else interval_text(interval, show, False),
                deviation,
                str(len(values)),
            ]
        )
    rows.sort(key=lambda row: row[1], reverse=True)
    header = [["", metric, "95 % interval over seeds", "seed deviation", "seeds"], ["---"] + ["---:"] * 4]
    return f"**{metric}**\n\n" + "\n".join(pipes([*header, *rows]))
