"""The shipped cleaning steps, one file for each step or family of steps; CONTRIBUTING.md shows how to add one.

A file defines, for each step, a dataclass of options and a class that extends one of `data/cleaner/step.py`, and names both in
`CLEANING_STEPS`. A file of this form is also a plug-in.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from finecomb.config import plugins
from finecomb.config.cleaning_steps import shipped
from finecomb.data.cleaner.step import Step


def find(kind: str) -> tuple[type, Callable[[Any], Step]]:
    """The options and the class of a kind of step. Raises KeyError for an unknown one."""
    own = plugins.own_steps().get(kind)
    step = own.value if own is not None else import_module(f"{__name__}.{shipped()[kind].module}").CLEANING_STEPS[kind]
    options, make = step
    return options, make
