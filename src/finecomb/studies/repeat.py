"""`finecomb reproduce`: a run once more from its record, and what came out differently."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from finecomb.config import plugins
from finecomb.config.compose import Composition
from finecomb.config.plain import from_plain
from finecomb.core import files
from finecomb.core.errors import ConfigError, Problem
from finecomb.launch.freeze import check, place
from finecomb.launch.launcher import launch
from finecomb.launch.outcome import Outcome
from finecomb.runs import provenance
from finecomb.runs.directory import RunDirectory
from finecomb.studies.analysis.changed import changed_answers

FOLDER = "reproduced"


def repeat(run: RunDirectory, output_dir: Path | None = None) -> tuple[Outcome, list[str]]:
    """Run it again in another folder (default: reproduced/ beside the run's own), with the same config, seed and threads.

    Returns the outcome, and a line for each difference: in what went in, and in what came out.

    Raises:
        ConfigError: the run has not finished, or its data or model cannot be had any more.
    """
    if run.result() is None:
        raise ConfigError(Problem(f"{run.path.name} is {run.state()}", str(run.path), hint="only a finished run can be reproduced"))
    record = run.record
    plugins.load(record.plugins)
    folder = output_dir or run.path.parent / FOLDER
    if folder.resolve() == run.path.parent.resolve():
        raise ConfigError(Problem("a run cannot be reproduced into its own folder", str(folder), hint="name another --output-dir"))
    config = dataclasses.replace(from_plain(run.config), output_dir=str(folder), rerun="failed")
    composition = Composition(config, {}, record.choices, record.overrides, record.plugins)
    frozen = place(check(composition), group=FOLDER)
    if record.pieces is not None:
        # Split as the first run was, in the end: with dropout, another split draws other masks.
        frozen = dataclasses.replace(frozen, record=dataclasses.replace(frozen.record, pieces=record.pieces))
    (outcome,) = launch([frozen], progress=config.callbacks.progress.enabled)
    return outcome, [*_inputs(run, frozen.run), *(_outputs(run, frozen.run) if outcome.state == "finished" else [])]


def _inputs(first: RunDirectory, second: RunDirectory) -> Iterator[str]:
    before, after = first.record.inputs, second.record.inputs
    if before.data.content_hash != after.data.content_hash:
        yield f"data: {before.data.content_hash[:12]} -> {after.data.content_hash[:12]}"
    if before.model.sha256 != after.model.sha256:
        yield f"weights: {before.model.sha256[:12]} -> {after.model.sha256[:12]}"
    if first.fingerprint != second.fingerprint:
        yield f"fingerprint: {first.fingerprint} -> {second.fingerprint} (config, data, weights, or a version of the code that computes)"
    records = [files.read_json(run.path / "provenance.json") for run in (first, second) if (run.path / "provenance.json").exists()]
    if len(records) == 2:
        yield from provenance.differences(*records)


def _outputs(first: RunDirectory, second: RunDirectory) -> Iterator[str]:
    was, now = (outcome.metrics if (outcome := run.outcome()) else {} for run in (first, second))
    yield from (f"{name}: {was.get(name)} -> {now.get(name)}" for name in dict.fromkeys([*was, *now]) if was.get(name) != now.get(name))
    yield from (line for line in changed_answers(first, second) if ": 0 of" not in line)
