"""What a plug-in may define: choices, callbacks and metrics, and how they are held once loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finecomb.config.schema.tuning import LearningRates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Answers = NDArray[np.int64] | NDArray[np.float64]

Facts = str | Mapping[str, LearningRates]


@dataclass(frozen=True)
class Choice:
    """One choice of a config group.

    Args:
        group: the config group, as in `group=name`; with `callbacks`, the choice is one callback, configured by `callbacks.name`.
            `trainer` takes values alone, in a YAML file.
        name: the choice's name, which is also the `name:` of its YAML.
        schema: a dataclass that extends the group's own; with `callbacks`, `Callback`.
        build: called with the config in place of finecomb's own builder; `plugins.builders` declares its signature.
        facts: what other choices need to know. For an optimizer, the family whose usual learning rates it takes (`adam`, `sgd` or
            `adafactor`); for a tuning method, its usual learning rates by family. Both serve `optimizer.lr=auto` and searches. For a task,
            its `config.schema.task.TaskFacts`.
    """

    group: str
    name: str
    schema: type
    build: Callable[..., Any]
    facts: Facts | None = None


@dataclass(frozen=True)
class Metric:
    """A metric, computed on every evaluation from all examples of a split.

    Args:
        function: `function(targets, predictions) -> float`. For classification both are class indices [N] (int64); for multi-label
            classification, ones and zeros [N, classes] (int64); for regression, values [N] (float64). NaN where the metric is undefined.
            The result must not depend on the order of the examples.
        mode: `max` where more is better, `min` where less is.
        tasks: the variants of tasks (keys of config.schema.task.FACTS) for which the metric is computed.
    """

    function: Callable[[Answers, Answers], float]
    mode: str = "max"
    tasks: tuple[str, ...] = ("sequence_classification",)


@dataclass(frozen=True)
class Labeling:
    """A labeling function of a plug-in, and the hash of the plug-in's code, which is part of the key of cached results."""

    function: Callable[[str], Any]
    digest: str


@dataclass(frozen=True)
class Own:
    """Something of a plug-in with the hash of the plug-in's code."""

    value: Any
    sha256: str


@dataclass(frozen=True)
class Plugin:
    """A loaded plug-in. steps: cleaning steps as (schema, class). code: the hash of the plug-in's code."""

    conf: Path | None
    choices: tuple[Choice, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    labeling: Mapping[str, Labeling] = field(default_factory=dict)
    steps: Mapping[str, Own] = field(default_factory=dict)
    predicates: Mapping[str, Own] = field(default_factory=dict)
    code: str = ""
