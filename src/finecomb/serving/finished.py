"""A finished run that is to predict: found, its config read, and what it is given checked, before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from finecomb.config import plugins
from finecomb.config.plain import from_plain
from finecomb.config.schema.task import variant
from finecomb.config.schema.train import Config
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.manifest import MANIFEST, Manifest
from finecomb.runs.directory import RunDirectory
from finecomb.runs.index import locate


def finished_run(run: str | os.PathLike[str] | RunDirectory, output_dir: str | os.PathLike[str]) -> RunDirectory:
    """The run that is meant, which must have finished. Raises ConfigError when there is none, or it has not."""
    run_directory = run if isinstance(run, RunDirectory) else locate(Path(output_dir), os.fspath(run))
    state = run_directory.state()
    if state != "finished":
        hints = {"running": "wait until it has finished", "failed": "run it again with rerun=failed"}
        hint = hints.get(state, "run the same command again: it resumes")
        raise ConfigError(
            Problem(
                f"the run {run_directory.path.name} is {state}: it has nothing to predict with", where=str(run_directory.path), hint=hint
            )
        )
    return run_directory


def config_of(run: RunDirectory) -> Config:
    """The run's config, typed, with the plug-ins it was made with."""
    plugins.load(run.record.plugins)
    return from_plain(run.config)


def takes_pairs(config: Config) -> bool:
    """Whether a run was trained on pairs of texts."""
    facts = plugins.task_facts(variant(config.task))
    if config.dataset.columns.text_pair is not None or (facts is not None and facts.kind == "answers"):
        return True
    folder = Path(config.dataset.path or "")
    return config.dataset.name == "prepared" and (folder / MANIFEST).exists() and "text_pair" in Manifest.read(folder).columns


def check(name: str, pairs_wanted: bool, texts: Sequence[str], text_pairs: Sequence[str] | None) -> None:
    """Raise ConfigError unless the run gets what it was trained on: single texts, or as many second texts as first ones."""
    if pairs_wanted and text_pairs is None:
        hint = 'give the second text too: --pair "second text" (of a question: --context "text"), or a file with both columns'
        raise ConfigError(Problem(f"the run {name} judges pairs of texts, and got single ones", hint=hint))
    if not pairs_wanted and text_pairs is not None:
        raise ConfigError(Problem(f"the run {name} judges single texts, and got pairs", hint="leave the second text out"))
    if text_pairs is not None and len(text_pairs) != len(texts):
        raise ConfigError(
            Problem(f"{len(texts)} first texts and {len(text_pairs)} second ones", hint="give one second text for each first")
        )
    # Bytes that are no text come from the command line and from standard input as halves of surrogate pairs.
    broken = next((number for number, text in enumerate([*texts, *(text_pairs or ())], start=1) if not _encodable(text)), None)
    if broken is not None:
        raise ConfigError(not_text(f"text {broken}"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def not_text(where: str) -> Problem:
    """The problem of bytes that are no text."""
    return Problem("bytes that are not UTF-8", where, hint="convert them first: iconv -f latin1 -t utf-8")
