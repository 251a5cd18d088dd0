"""Annotators: where labels come from when the data have none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option

MODELS = ("dawid_skene", "majority", "weighted")
GIVEN = ("replace", "keep")
UNITS = ("auto", "words", "characters")


@dataclass
class Annotator:
    """Labels are those of the data."""

    name: str = option("name of the choice", before="none")


@dataclass
class Labeling(Annotator):
    """What every annotator that gives labels has."""

    min_confidence: float = option("rows whose label is less probable than this are dropped", low=0.0, high=1.0)
    soft: bool = option("train on the probabilities of the classes instead of the most probable one", before=False)


@dataclass
class LabelingFunctions(Labeling):
    """Rules vote, a label model weighs the votes."""

    # Values: label, and one or several of words (a list), gazetteer (a file with one term in each line), pattern (RE2), function (of a
    # plug-in), min_words, max_words, min_characters, max_characters; where several are given, all must hold.
    functions: dict[str, Any] = option(
        "named rules: {label: X, words: [...]}, {label: X, pattern: REGEX}, {label: X, gazetteer: FILE}, ..."
    )
    model: str = option("how votes become one label", allowed=MODELS)
    class_balance: Optional[dict[str, Any]] = option("share of each label where it is known; null: estimated", before=None)
    given_labels: str = option(
        "what becomes of labels that rows have: replaced (they only measure), or kept", allowed=GIVEN, before="replace"
    )


@dataclass
class Propagation(Labeling):
    """Rows without a label take that of the most similar rows that have one (cosine of TF-IDF)."""

    neighbours: int = option("how many of the most similar labeled rows vote, each by its similarity", low=1)
    min_similarity: float = option("cosine below which a labeled row has no vote", low=0.0, high=1.0)
    units: str = option("what texts are compared by; auto: characters where most text is in a script without spaces", allowed=UNITS)


@dataclass
class Run(Labeling):
    """A finished run labels the rows."""

    # Its fingerprint and what it says are part of what the rows are; where it lies is not.
    run: str = option("the run directory", identity=False)
    given_labels: str = option("what becomes of labels that rows have: replaced (they only measure), or kept", allowed=GIVEN)
    timeout: float = option("seconds to wait for the run to load, and for its answers to 256 texts", low=1.0, identity=False)


CHOICES = {
    "none": Annotator,
    "labeling_functions": LabelingFunctions,
    "sentiment": LabelingFunctions,
    "propagation": Propagation,
    "run": Run,
}
