"""Samplers: how often a training row counts, so that labels or groups weigh alike."""

from __future__ import annotations

from dataclasses import dataclass

from finecomb.config.schema.base import option

BY = ("label", "group", "label_group")
METHODS = ("oversample", "undersample", "weights")
TARGETS = ("equal", "independent")


@dataclass
class Sampler:
    """Every row counts once."""

    name: str = option("name of the choice", before="none")


@dataclass
class Balanced(Sampler):
    """Cells of rows (a label, a group, or a label within a group) weigh alike."""

    by: str = option("what is balanced: label, group, or label_group: each label within each group", allowed=BY)
    method: str = option("copies of rows, fewer rows, or a weight in the loss for each row", allowed=METHODS)
    target: str = option(
        "equal: every cell the same; independent (by=label_group): as if label and group had nothing to do with each other",
        allowed=TARGETS,
    )
    strength: float = option("0: nothing; 1: the target; between: geometric (0.5 with equal: by the square root)", low=0.0, high=1.0)
    seed: int = option("seed of which rows are copied or left out; never the seed of training", low=0)


CHOICES = {"none": Sampler, "balanced": Balanced}
