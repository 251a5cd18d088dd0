"""annotator=labeling_functions: rules vote, a label model weighs the votes, and the majority's vote is shown beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.config.schema import annotator as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.annotator import functions, label_model
from finecomb.data.annotator.answers import Annotate, Annotated, Floats, decide, joined, truth_of


def build(config: schema.LabelingFunctions) -> Annotate:
    """The annotator. Raises ConfigError for rules that cannot be used."""
    rules = functions.build(config.functions)

    def annotate(texts: Sequence[str], *, pairs: Sequence[str] | None = None, given: Sequence[str | None] | None = None) -> Annotated:
        return _annotate(joined(texts, pairs), given, rules, config)

    return annotate


def _annotate(
    texts: Sequence[str], given: Sequence[str | None] | None, rules: Sequence[functions.Rule], config: schema.LabelingFunctions
) -> Annotated:
    votes, names = functions.votes(texts, rules)
    if len(names) < 2:
        only = f"every vote is for {names[0]!r}" if names else "no function votes on any text"
        raise ConfigError(Problem(only, "annotator.functions", hint="add functions that give other labels"))
    balance = None if config.class_balance is None else _balance(config.class_balance, names)
    fitted = label_model.fit(votes, len(names), config.model, balance)
    truth = truth_of(given, names, len(texts))
    record = {
        "model": config.model,
        "functions": functions.report(votes, rules, fitted, truth),
        "models": _beside(votes, names, balance, truth, fitted),
        "class_balance": dict(zip(names, [round(float(share), 4) for share in fitted.balance], strict=True)),
        "caveat": "validation and test rows that were carved from these have labels by rules, not by people",
    }
    origin = [", ".join(rule.name for rule, vote in zip(rules, row, strict=True) if vote >= 0) for row in votes]
    return decide(
        names, fitted.probabilities, origin, unsure=fitted.tied, min_confidence=config.min_confidence, given=given,
        keep=config.given_labels == "keep", soft=config.soft, record=record, silent="no function votes",
    )  # fmt: skip


def _balance(given: Mapping[str, Any], names: Sequence[str]) -> Floats:
    """Shares in the order of the classes. Raises ConfigError unless they are shares of exactly these classes."""
    where, allowed = "annotator.class_balance", f"a share above 0 for each of {', '.join(names)}; together 1"
    shares = {str(name): share for name, share in given.items()}
    if set(shares) != set(names):
        raise ConfigError(
            Problem(f"class_balance names {', '.join(shares) or 'no label'}; the functions give {', '.join(names)}", where, allowed)
        )
    good = all(isinstance(share, int | float) and not isinstance(share, bool) and share > 0 for share in shares.values())
    if not good or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-3):
        raise ConfigError(Problem(f"class_balance={dict(shares)} are no shares", where, allowed))
    balance = np.array([float(shares[name]) for name in names])
    return balance / balance.sum()


def _beside(
    votes: label_model.Votes, names: Sequence[str], balance: Floats | None, truth: NDArray[np.int64], chosen: label_model.Fitted
) -> dict[str, Any]:
    """For each label model how often it says what the chosen one says, and how often it is right on rows whose label is known."""
    voted = (votes >= 0).any(axis=1)
    report = {}
    for model in label_model.MODELS:
        best = label_model.fit(votes, len(names), model, balance).probabilities.argmax(axis=1)
        known = voted & (truth >= 0)
        report[model] = {
            "same_label": round(float((best == chosen.probabilities.argmax(axis=1))[voted].mean()), 4) if voted.any() else None,
            "accuracy": round(float((best == truth)[known].mean()), 4) if known.any() else None,
            "known": int(known.sum()),
        }
    return report
