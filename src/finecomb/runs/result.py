"""What tables, searches and lists read of result.json, typed: the one place that knows where its values stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class RunResult:
    """The result of a finished run. What an earlier version did not write is None or empty.

    Attributes:
        metrics: By name, such as `test/accuracy`; None where a metric is undefined.
        monitored: The metric that early stopping and the best checkpoint go by, with its split.
        steps: Optimizer steps.
        rows: Examples of each split.
        label_counts: Examples of each label, by split; of numbers empty.
        encoded: By split: examples, tokens, truncated_tokens, truncated_examples.
        max_length: Tokens at which texts were cut.
        trainable: Parameters that train. total: all of them. stored_bytes: what the artifact newly takes on the disk.
        train_s: Seconds in training steps. total_s: of all attempts.
        peak_bytes: Peak memory of the first rank.
        tokens_per_s: Real tokens trained on in a second.
    """

    metrics: Mapping[str, float | None] = field(default_factory=dict)
    monitored: str | None = None
    steps: int | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    label_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    encoded: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    max_length: int | None = None
    trainable: int | None = None
    total: int | None = None
    stored_bytes: int | None = None
    train_s: float | None = None
    total_s: float | None = None
    peak_bytes: int | None = None
    tokens_per_s: float | None = None

    def metric(self, name: str) -> float | None:
        """A metric as a number; None where it is undefined or was not measured."""
        value = self.metrics.get(name)
        return None if value is None else float(value)


def typed(plain: Mapping[str, Any]) -> RunResult:
    """The result from what result.json holds, of this or an earlier version."""

    def part(name: str, *more: str) -> Any:
        value: Any = plain.get(name)
        for key in more:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    monitored = part("config", "monitor", "metric")
    return RunResult(
        metrics=part("metrics") or {},
        monitored=None if monitored is None else f"validation/{monitored}",
        steps=part("training", "steps"),
        rows=part("counts", "rows") or {},
        label_counts=part("counts", "label_counts") or {},
        encoded=part("counts", "encoded") or {},
        max_length=part("config", "batch", "max_length"),
        trainable=part("parameters", "trainable"),
        total=part("parameters", "total"),
        stored_bytes=part("parameters", "stored_bytes"),
        train_s=part("time", "train_s"),
        total_s=part("time", "total_s"),
        peak_bytes=part("memory", "peak_bytes"),
        tokens_per_s=part("tokens", "real_per_s"),
    )
