"""Which answers two runs give differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from finecomb.runs.directory import RunDirectory
from finecomb.studies.analysis.scores import Predictions, read_predictions

SAMPLE = 10


def changed_answers(first: RunDirectory, second: RunDirectory) -> Iterator[str]:
    """Lines for each split that both have answered: how many changed, how many for the better, by kind, and a sample of ids."""
    for split in ("validation", "test"):
        paths = [run.predictions / f"{split}.parquet" for run in (first, second)]
        if not all(path.exists() for path in paths):
            continue
        ours, theirs = (read_predictions(path) for path in paths)
        if not ours.same_examples(theirs):
            yield f"{split}: they answered different examples"
            continue
        yield from _lines(split, ours, theirs)


def _lines(split: str, ours: Predictions, theirs: Predictions) -> Iterator[str]:
    if ours.label and isinstance(ours.label[0], float):
        moved = [abs(a - b) for a, b in zip(ours.prediction, theirs.prediction, strict=True)]
        yield f"{split}: predictions moved by {sum(moved) / len(moved):.4g} on average, at most {max(moved):.4g}"
        return
    rows = list(zip(ours.ids, ours.label, ours.prediction, theirs.prediction, strict=True))
    changed = [row for row in rows if row[2] != row[3]]
    better = sum(row[3] == row[1] for row in changed)
    worse = sum(row[2] == row[1] for row in changed)
    yield f"{split}: {len(changed):,} of {len(rows):,} answers changed; {better:,} became right, {worse:,} became wrong"
    kinds = Counter((_name(before), _name(after)) for _, _, before, after in changed)
    for (before, after), count in kinds.most_common(SAMPLE):
        yield f"  {count:,} from {before} to {after}"
    if changed:
        yield f"  for example {', '.join(row[0] for row in changed[:SAMPLE])}"


def _name(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
