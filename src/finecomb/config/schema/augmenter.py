"""Augmenters: more training rows, made from those there are. Each operation has a name, a kind below, and a rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option

# A word of `protect` that stands for all negations of the language.
NEGATIONS = "negations"
LAYOUTS = ("qwerty", "qwertz", "azerty")
CASES = ("flip", "lower", "upper")


@dataclass
class Augmenter:
    """No rows are added."""

    name: str = option("name of the choice", before="none")


@dataclass
class Operations(Augmenter):
    """Each operation adds altered copies of training rows; the rows themselves stay as they are."""

    seed: int = option("seed of what is altered; never the seed of training", low=0)
    language: str = option("language (ISO 639-1) of the shipped lists of synonyms, terms and negations; mostly other texts are refused")
    protect: list[str] = option(
        "words that no operation but counterfactual and back_translation touches; `negations`: those of the language"
    )
    # Values are the operation's own fields (below) and, where the key is not the kind, `operation: KIND`. null removes an operation.
    operations: dict[str, Any] = option("named operations")


@dataclass
class Operation:
    """What every operation has."""

    rate: float = option("new rows for each training row: 0.5 for every other one, 2 for two of each", low=0.0, high=100.0)


@dataclass
class Deletion(Operation):
    """Words go (random deletion of EDA, Wei & Zou 2019)."""

    strength: float = option("share of the words that go; at least one goes and one stays", low=0.0, high=1.0)


@dataclass
class Swap(Operation):
    """Words change places (random swap of EDA)."""

    strength: float = option("share of the words that change places, at least two", low=0.0, high=1.0)


@dataclass
class Synonyms(Operation):
    """Words give way to words of the same meaning and form (synonym replacement of EDA)."""

    strength: float = option("share of the words that are replaced, at least one", low=0.0, high=1.0)
    file: Optional[str] = option("tab-separated file: each line words that may stand for each other; null: the shipped one")


@dataclass
class Insertion(Operation):
    """Synonyms of words of the text are put in at random places (random insertion of EDA)."""

    strength: float = option("words put in for each word of the text, at least one", low=0.0, high=1.0)
    file: Optional[str] = option("tab-separated file: each line words that may stand for each other; null: the shipped one")


@dataclass
class Keyboard(Operation):
    """Letters give way to their neighbours on a keyboard."""

    strength: float = option("share of the letters that are mistyped, at least one", low=0.0, high=1.0)
    layout: str = option("keyboard", allowed=LAYOUTS)


@dataclass
class Ocr(Operation):
    """Characters give way to those that scanners take them for."""

    strength: float = option("share of the confusable places that are misread, at least one", low=0.0, high=1.0)


@dataclass
class Case(Operation):
    """Words change case."""

    strength: float = option("share of the words with letters that change, at least one", low=0.0, high=1.0)
    to: str = option("upper, lower, or flip: each letter's other case", allowed=CASES)


@dataclass
class Counterfactual(Operation):
    """Every term gives way to its counterpart (gendered words, names): the same text about another person, with the same label."""

    terms: Optional[str] = option("tab-separated file of terms and counterparts; null: the shipped one")


@dataclass
class BackTranslation(Operation):
    """Texts are said otherwise by a function that the caller or a plug-in gives, as a pair of translation models."""


OPERATIONS = {
    "deletion": Deletion,
    "swap": Swap,
    "synonyms": Synonyms,
    "insertion": Insertion,
    "keyboard": Keyboard,
    "ocr": Ocr,
    "case": Case,
    "counterfactual": Counterfactual,
    "back_translation": BackTranslation,
}
CHOICES = {"none": Augmenter, "eda": Operations, "noise": Operations, "counterfactual": Operations}
