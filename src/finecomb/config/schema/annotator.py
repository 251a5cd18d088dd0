"""Annotators: where labels come from when the data have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finecomb.config.schema.base import option

MODELS = ("dawid_skene", "majority", "weighted")


@dataclass
class Annotator:
    """Labels are those of the data."""

    name: str = option("name of the choice", before="none")


@dataclass
class LabellingFunctions(Annotator):
    """Rules vote, a label model weighs the votes."""

    # Values: label, and one or several of words (a list), pattern (RE2), min_words, max_words; where several are given, all must hold.
    functions: dict[str, Any] = option("named rules: {label: X, words: [...]} or {label: X, pattern: REGEX}, with min_words, max_words")
    model: str = option("how votes become one label", allowed=MODELS)
    min_confidence: float = option("rows whose label is less probable than this are dropped", low=0.0, high=1.0)


CHOICES = {"none": Annotator, "labelling_functions": LabellingFunctions}
