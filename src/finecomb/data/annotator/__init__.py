"""Annotators: rows in; label, confidence and origin out, and a record of how they came about.

The label model is hand-written, because it was measured to be better: over twelve synthetic problems of five seeds each, its labels are
90.9 % accurate and take 0.09 s, those of crowd-kit 1.4.2's Dawid-Skene 85.3 % and 0.64 s (`python -m benchmarks.label_model`, with
crowd-kit installed). On eight of the problems the two are within 0.5 points; the others have sparse votes, sources that copy each other, or
sources of one class. `tests/data/test_label_model_parity.py` compares it with Snorkel's. Vectors of texts are scikit-learn's.
"""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import Any

from finecomb.config.computing import raised
from finecomb.config.plugins import code, find_build
from finecomb.config.renamed import choice_before
from finecomb.config.schema import annotator as schema
from finecomb.data.annotator import functions, propagation, run, voting
from finecomb.data.annotator.answers import Annotate, Annotated, Score, Scores

# Goes up when the same rows and config get other labels.
VERSION = 3


def build(config: schema.Annotator, *, score: Score | None = None) -> Annotate | None:
    """The annotator of a config, None where labels are those of the data.

    score: how a finished run is asked; needed by annotator=run alone. Raises ConfigError for rules, files or runs that cannot be used.
    """
    if own := find_build("annotator", config.name):
        annotate: Annotate = own(config)
        return annotate
    if isinstance(config, schema.LabelingFunctions):
        return voting.build(config)
    if isinstance(config, schema.Propagation):
        return propagation.build(config)
    if isinstance(config, schema.Run):
        return run.build(config, score)
    return None


def identity(config: schema.Annotator) -> list[Any]:
    """What decides the labels, as plain values: files, plug-ins' functions and runs by their content, not by where they are."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config) if field.metadata.get("identity", True)}
    values["name"] = choice_before("annotator", config.name)
    if isinstance(config, schema.LabelingFunctions):
        values["functions"] = functions.identity(config.functions)
    if isinstance(config, schema.Run):
        values["fingerprint"] = run.finished(config.run).fingerprint
    libraries = [f"scikit-learn {version('scikit-learn')}"] if isinstance(config, schema.Propagation) else []
    return [VERSION, values, *libraries, *code("annotator", config.name), *raised("annotator")]


__all__ = ["Annotate", "Annotated", "Score", "Scores", "build", "identity"]
