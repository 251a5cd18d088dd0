"""Cleaners: a recipe is an ordered mapping of named steps; the kinds and their options are in data/cleaner/steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finecomb.config.schema.base import option


@dataclass
class Cleaner:
    """A recipe."""

    name: str = option("name of the choice")
    # Values are the options of the step and, where the key is not the kind, `step: KIND`. null removes a step.
    steps: dict[str, Any] = option("named steps, in order")
    # No part of a run's identity: the hash of the rows says what this changed.
    keep_given_test: bool = option(
        "a test set that comes with the data loses no row: duplicates leave train and validation; false: it is cleaned like the others",
        identity=False,
        before=False,
    )


CHOICES = {name: Cleaner for name in ("none", "basic", "web", "gopher", "c4", "fineweb", "classification", "code", "spelling")}
