"""What annotators give, and how probabilities become labels: the same for rules, neighbours and runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
GIVEN = "given"


@dataclass(frozen=True)
class Annotated:
    """For each text a label (None: none could be given), its probability and where it comes from; and what the report says of all.

    silent: the reason of rows without an origin. classes, soft [n, k]: the probabilities of the classes, where they are to be trained on.
    """

    labels: list[str | None]
    confidence: list[float]
    origin: list[str]
    record: dict[str, Any] = field(default_factory=dict)
    silent: str = "no function votes"
    classes: list[str] = field(default_factory=list)
    soft: Floats | None = None


class Annotate(Protocol):
    """An annotator at work."""

    def __call__(self, texts: Sequence[str], *, pairs: Sequence[str] | None = None, given: Sequence[str | None] | None = None) -> Annotated:
        """Labels of texts. pairs: the second text of each. given: the labels that rows have already, None where there is none."""


@dataclass(frozen=True)
class Scores:
    """What a finished run says of texts: the names of its classes and their probabilities, [n, k]."""

    classes: list[str]
    probabilities: Floats


class Score(Protocol):
    """How a finished run is asked: given by the caller, because this wing imports no learning."""

    def __call__(self, run: Path, texts: Sequence[str], pairs: Sequence[str] | None, *, timeout: float) -> Scores:
        """Scores of texts. timeout: seconds without an answer after which it gives up. Raises ConfigError when the run cannot answer."""


def joined(texts: Sequence[str], pairs: Sequence[str] | None) -> Sequence[str]:
    """Both texts of each row as one, for annotators that look for words."""
    return texts if pairs is None else [f"{first}\n{second}" for first, second in zip(texts, pairs, strict=True)]


def truth_of(given: Sequence[str | None] | None, classes: Sequence[str], rows: int) -> NDArray[np.int64]:
    """The class of each given label, -1 where there is none (or it is none of the classes)."""
    index: dict[str | None, int] = {name: number for number, name in enumerate(classes)}
    return np.array([index.get(label, -1) for label in given] if given is not None else [-1] * rows, dtype=np.int64)


def decide(
    classes: list[str],
    probabilities: Floats,
    origin: Sequence[str],
    *,
    unsure: NDArray[np.bool_],
    min_confidence: float,
    given: Sequence[str | None] | None,
    keep: bool,
    soft: bool,
    record: dict[str, Any],
    silent: str,
) -> Annotated:
    """Labels where the most probable class reaches min_confidence.

    origin: "" where nothing speaks for any label. unsure: rows that get none whatever their probabilities. keep: given labels stay.
    Adds to the record how many rows stay without a label, how many got which, and how often the labels are those that were given.
    """
    best, top = probabilities.argmax(axis=1), probabilities.max(axis=1)
    spoken = np.array([bool(each) for each in origin], dtype=bool)
    sure = spoken & ~unsure & (top >= min_confidence)
    labels: list[str | None] = [classes[int(at)] if good else None for at, good in zip(best, sure, strict=True)]
    confidence = np.where(spoken, top, 0.0).tolist()
    sources, every = list(origin), list(classes)
    known = [] if given is None else [row for row, label in enumerate(given) if label is not None]
    judged = [row for row in known if labels[row] is not None]
    record["abstained"] = int((~spoken).sum())
    if judged and given is not None:
        right = sum(labels[row] == given[row] for row in judged)
        record["accuracy_on_given_labels"] = {"rows": len(judged), "right": right, "share": round(right / len(judged), 4)}
    if keep and given is not None:
        every = sorted({*classes, *(given[row] for row in known if given[row] is not None)}, key=str)  # type: ignore[arg-type]
        for row in known:
            labels[row], confidence[row], sources[row] = given[row], 1.0, GIVEN
    record["given_labels"] = {"rows": len(known), "kept": len(known) if keep else 0}
    record["label_counts"] = {name: labels.count(name) for name in every}
    return Annotated(
        labels, confidence, sources, record, silent, every, _soft(every, classes, probabilities, labels, sources) if soft else None
    )


def _soft(every: list[str], classes: list[str], probabilities: Floats, labels: Sequence[str | None], origin: Sequence[str]) -> Floats:
    """Probabilities of all classes; a given label is certain."""
    soft = np.zeros((len(probabilities), len(every)))
    soft[:, [every.index(name) for name in classes]] = probabilities
    for row, (label, source) in enumerate(zip(labels, origin, strict=True)):
        if source == GIVEN and label is not None:
            soft[row] = 0.0
            soft[row, every.index(label)] = 1.0
    return soft
