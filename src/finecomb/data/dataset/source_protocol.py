"""What every dataset gives: what it would read, by content, and then the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from finecomb.data.dataset.rows import Rows


@dataclass(frozen=True)
class Raw:
    """A dataset as it was read, before cleaning and splitting.

    splits: train, and validation and test where the source has them, each as chunks in order, read once; a chunk is at most what fits in
    memory easily (some 10 MB of text). Labels are names, lists of names, floats or texts (see `kinds`).
    label_names: the classes in order, where the source knows them.
    funnel: rows that reading left out, counted. unmapped: rows whose label belongs to no class of the target.
    rejected: rows that could not be read: {"split", "file", "line", "reason", "text"}, text cut at 2,000 characters.
    A source that streams fills `funnel` and `rejected` while its chunks are read.
    """

    splits: Mapping[str, Iterable[Rows]]
    source: str
    license: str
    label_names: list[str] | None = None
    funnel: list[dict[str, Any]] = field(default_factory=list)
    unmapped: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)


class Source(Protocol):
    """One dataset, found but not yet read."""

    def inputs(self) -> dict[str, str]:
        """Name -> sha256 of everything the rows depend on beside the config. Raises ConfigError where something is missing."""

    def read(self, kind: str) -> Raw:
        """Read the rows with labels of that kind (one of `LABEL_KINDS`; "none": without). Raises ConfigError for bad input."""
