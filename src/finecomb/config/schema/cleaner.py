"""Cleaners: a recipe is an ordered mapping of named steps, each of one kind below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finecomb.config.schema.base import option


@dataclass
class Cleaner:
    """A recipe."""

    name: str = option("name of the choice")
    # Values are the step's own fields (below) and, where the key is not the kind, `step: KIND`. null removes a step.
    steps: dict[str, Any] = option("named steps, in order")


@dataclass
class Unicode:
    """One Unicode normal form for every text."""

    form: str = option("Unicode normal form", allowed=("NFC", "NFKC"))


@dataclass
class Whitespace:
    """White space at the ends goes; runs become one space."""

    collapse: bool = option("runs of white space become one space")


@dataclass
class Empty:
    """Texts with nothing in them go."""

    min_characters: int = option("drop texts with fewer characters than this that are not white space", low=1)


@dataclass
class Duplicates:
    """Exact duplicates go, before any split is carved."""

    across: bool = option("also drop training and validation rows whose text stands in a later split (test wins, then validation)")


STEPS = {"unicode": Unicode, "whitespace": Whitespace, "empty": Empty, "duplicates": Duplicates}
CHOICES = {"none": Cleaner, "basic": Cleaner}
