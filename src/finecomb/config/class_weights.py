"""The rules for `loss.class_weights`, each checked as soon as what it needs is known: the value alone, the classes, the training rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from finecomb.config.schema.loss import Loss, weights_of
from finecomb.core.errors import Problem

_KEY = "loss.class_weights"


def value_problems(loss: Loss, where: str) -> Iterator[Problem]:
    """What is wrong with the value itself."""
    weights = weights_of(loss)
    if isinstance(weights, list):
        numbers = all(isinstance(weight, int | float) and not isinstance(weight, bool) and weight >= 0 for weight in weights)
        if not weights or not numbers:
            yield Problem(f"{_KEY}={weights} is no list of weights of at least 0", where, "a list of numbers, balanced or null")
        elif not any(weights):
            yield Problem(f"{_KEY}={weights}: every weight is 0", where, hint="give at least one class a weight")
    elif weights not in (None, "balanced"):
        yield Problem(f"{_KEY}={weights} is neither balanced nor a list", where, "null, balanced or a list of numbers")


def class_problems(loss: Loss, classes: Sequence[str] | int, where: str) -> Iterator[Problem]:
    """Whether there is a weight for each class. classes: their names in order, or how many there are."""
    weights = weights_of(loss)
    count = classes if isinstance(classes, int) else len(classes)
    if isinstance(weights, list) and len(weights) != count:
        names = [] if isinstance(classes, int) else list(classes)
        order = f", for {', '.join(names[:20])}{' ...' if len(names) > 20 else ''} in this order" if names else ""
        yield Problem(f"{_KEY} has {len(weights)} weights; there are {count} classes", where, f"{count} weights{order}")


def row_problems(loss: Loss, rows: Mapping[str, int], classes: Sequence[str], where: str) -> Iterator[Problem]:
    """Whether each class has training rows to be balanced by. rows: the number of training rows by class."""
    absent = [name for name in classes if not rows.get(name)]
    if weights_of(loss) == "balanced" and absent:
        yield Problem(f"class {absent[0]} has no training row to be balanced", where, hint="give a list of weights")
