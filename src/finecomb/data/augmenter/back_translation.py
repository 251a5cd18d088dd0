"""Texts said otherwise by a function from outside: back-translation (Sennrich et al. 2016) or any paraphrase.

The data wing runs no model. Who has one gives `build` a function from texts to texts:

    augmenter.build(config, translate=lambda texts: english_of(german_of(texts)))

or wraps that in a plug-in's choice, whose build returns the same call. What the function computes cannot be seen from here: a plug-in
names its model in the values of its choice, so that another model makes other rows in the cache too. A span survives where its own text
stands in the new text exactly as often as there are spans of it; otherwise the row gets no new one, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.augmenter.marked import Marked, Span
from finecomb.data.augmenter.operation import UNCHANGED, Operation
from finecomb.data.chance import Draws

Translate = Callable[[Sequence[str]], Sequence[str]]
LOST, EMPTY = "a span is not found again", "an empty answer"


class BackTranslation(Operation):
    """Applies the function to all texts at once; nothing is drawn."""

    def __init__(self, translate: Translate | None, where: str) -> None:
        if translate is None:
            hint = "write a plug-in (--config-dir) whose build calls finecomb.data.augmenter.build(config, translate=FUNCTION)"
            raise ConfigError(Problem("back-translation needs a function that translates there and back; none is given", where, hint=hint))
        self._translate = translate

    def apply(self, texts: Sequence[Marked], draws: Sequence[Draws]) -> list[Marked | str]:
        """See Operation.apply. Raises ValueError when the function gives another number of texts than it was given."""
        answers = list(self._translate([marked.text for marked in texts])) if texts else []
        if len(answers) != len(texts):
            raise ValueError(f"the function gave {len(answers)} texts for {len(texts)}")
        return [_placed(marked, answer) for marked, answer in zip(texts, answers, strict=True)]


def _placed(marked: Marked, answer: str) -> Marked | str:
    if not answer.strip():
        return EMPTY
    if answer == marked.text:
        return UNCHANGED
    placed = []
    for span in marked.spans:
        surface = marked.text[span.start : span.end]
        same = sorted({each[:2] for each in marked.spans if marked.text[each.start : each.end] == surface})
        places = _occurrences(answer, surface)
        if not surface or len(places) != len(same):
            return LOST
        start = places[same.index(span[:2])]
        placed.append(Span(start, start + len(surface), span.label))
    return Marked(answer, tuple(placed))


def _occurrences(text: str, part: str) -> list[int]:
    places, at = [], text.find(part)
    while part and at >= 0:
        places.append(at)
        at = text.find(part, at + 1)
    return places
