"""Annotators: unlabelled rows in; label, confidence and origin out, and a record of how they came about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finecomb.config.plugins import find_build
from finecomb.config.schema import annotator as schema
from finecomb.data.annotator import functions, label_model


@dataclass(frozen=True)
class Annotated:
    """For each text a label (None: none could be given), its probability and the rules it came from; and what the report says of all."""

    labels: list[str | None]
    confidence: list[float]
    origin: list[str]
    record: dict[str, Any]


Annotate = Callable[[Sequence[str]], Annotated]


def build(config: schema.Annotator) -> Annotate | None:
    """The annotator of a config, None where labels are those of the data. Raises UserError for rules that cannot be used."""
    if own := find_build("annotator", config.name):
        found: Annotate = own(config)
        return found
    if not isinstance(config, schema.LabellingFunctions):
        return None
    rules = functions.build(config.functions)
    return lambda texts: _annotate(texts, rules, config)


def _annotate(texts: Sequence[str], rules: Sequence[functions.Rule], config: schema.LabellingFunctions) -> Annotated:
    names = sorted({rule.label for rule in rules})
    votes = functions.votes(texts, rules, names)
    found = label_model.fit(votes, len(names), config.model)
    best, top = found.probabilities.argmax(axis=1), found.probabilities.max(axis=1)
    voted = np.any(votes >= 0, axis=1)
    labels: list[str | None] = []
    for row in range(len(texts)):
        sure = voted[row] and top[row] >= config.min_confidence and not found.tied[row]
        labels.append(names[int(best[row])] if sure else None)
    origin = [", ".join(rule.name for rule, vote in zip(rules, votes[row], strict=True) if vote >= 0) for row in range(len(texts))]
    report = functions.report(votes, rules, names, found)
    record = {
        "model": config.model,
        "functions": report,
        "abstained": int((~voted).sum()),
        "label_counts": {name: labels.count(name) for name in names},
        "caveat": "validation and test rows that were carved from these have labels by rules, not by people",
        "class_balance": dict(zip(names, [round(float(share), 4) for share in found.balance], strict=True)),
    }
    return Annotated(labels, [float(each) if voted[row] else 0.0 for row, each in enumerate(top)], origin, record)


__all__ = ["Annotate", "Annotated", "build"]
