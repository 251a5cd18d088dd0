"""annotator=run: a finished run labels the rows; who calls says how it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from finecomb.config.schema import annotator as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.annotator.answers import Annotate, Annotated, Score, decide
from finecomb.runs.directory import RunDirectory


def build(config: schema.Run, score: Score | None) -> Annotate:
    """The annotator. Raises ConfigError when there is no such run, it has not finished, or nobody says how to ask it."""
    run = finished(config.run)
    if score is None:
        raise ConfigError(Problem("a run cannot be asked from here", "annotator=run", hint="use finecomb prepare or finecomb train"))
    ask = score

    def annotate(texts: Sequence[str], *, pairs: Sequence[str] | None = None, given: Sequence[str | None] | None = None) -> Annotated:
        scores = ask(run.path, texts, pairs, timeout=config.timeout)
        source = f"run:{run.fingerprint}"
        record = {"model": run.path.name, "run": run.fingerprint}
        record["caveat"] = "validation and test rows that were carved from these have labels by a model, not by people"
        return decide(
            scores.classes, scores.probabilities, [source] * len(texts), unsure=np.zeros(len(texts), dtype=bool), given=given,
            min_confidence=config.min_confidence, keep=config.given_labels == "keep", soft=config.soft, record=record, silent="no answer",
        )  # fmt: skip

    return annotate


def finished(path: str) -> RunDirectory:
    """The run of a directory. Raises ConfigError when there is none, or it has not finished."""
    folder = Path(path).expanduser()
    if not (folder / "config.yaml").is_file():
        raise ConfigError(Problem(f"{folder} is no run directory", "annotator.run", "a folder that finecomb train printed"))
    run = RunDirectory(folder)
    if (state := run.state()) != "finished":
        raise ConfigError(Problem(f"the run {folder.name} is {state}", "annotator.run", "a finished run", "let it finish first"))
    return run
