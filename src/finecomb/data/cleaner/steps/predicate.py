"""A judgement of the user's own: a function that a plug-in offers by name. No name of a module stands in a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from finecomb.config import plugins
from finecomb.config.schema.base import option
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.cleaner.step import Batch, Decision, Scorer


@dataclass
class PredicateOptions:
    """A function of a plug-in's PREDICATES judges each text."""

    function: str = option("its name there; it takes a text and returns true or false, or a number")
    min_score: Optional[float] = option("least number that is kept, true being 1; null: no bound")
    max_score: Optional[float] = option("greatest number that is kept; null: no bound")


class Predicate(Scorer):
    """Keeps texts whose number, by the function, lies between two bounds; true is 1 and false 0. A model's score comes in this way too."""

    MEASURED_BY = ("function",)

    def __init__(self, config: PredicateOptions) -> None:
        self._config, self._function = config, _found(config.function).value

    def measure(self, batch: Batch) -> dict[str, NDArray[Any]]:
        """The number of each text."""
        name, found = self._config.function, np.empty(len(batch))
        for row, text in enumerate(batch.text):
            value = self._function(text)
            if not isinstance(value, bool | int | float | np.number | np.bool_) or value != value:
                what = f"the function {name} returned {value!r} for the row {batch.id[row]}"
                raise ConfigError(Problem(what, "cleaner.steps.predicate", "true, false or a number"))
            found[row] = float(value)
        return {name: found}

    def judge(self, batch: Batch, measured: Mapping[str, NDArray[Any]]) -> Decision:
        """The reason names the function."""
        name = self._config.function
        (least, most), found = self.thresholds()[name], measured[name]
        out = (found < (-np.inf if least is None else least)) | (found > (np.inf if most is None else most))
        return Decision(dict.fromkeys(np.flatnonzero(out).tolist(), name), scores={name: found.tolist()})

    def thresholds(self) -> dict[str, tuple[float | None, float | None]]:
        """The bounds."""
        return {self._config.function: (self._config.min_score, self._config.max_score)}

    @staticmethod
    def inputs(config: PredicateOptions) -> str:
        """The file that the function stands in."""
        return _found(config.function).sha256


def _found(name: str) -> plugins.Own:
    known = plugins.predicates()
    if name not in known:
        guess = nearest(name, known)
        hint = (
            f"did you mean {guess}?" if guess else "PREDICATES = {name: function} in finecomb_plugin.py of a folder given by --config-dir"
        )
        raise ConfigError(Problem(f"no plug-in offers a function {name}", "cleaner.steps.predicate.function", ", ".join(known), hint))
    return known[name]


CLEANING_STEPS = {"predicate": (PredicateOptions, Predicate)}
