"""Texts said otherwise by a function from outside: back-translation (Sennrich et al. 2016) or any paraphrase.

The data wing runs no model. Who has one gives `build` a function from texts to texts:

    augmenter.build(config, translate=lambda texts: english_of(german_of(texts)))

or wraps that in a plug-in's choice, whose build returns the same call. What the function computes cannot be seen from here: a plug-in
names its model in the values of its choice, so that another model makes other rows in the cache too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.augmenter.operation import UNCHANGED, Operation, Refusal
from finecomb.data.chance import Draws

Translate = Callable[[Sequence[str]], Sequence[str]]
EMPTY = Refusal("an empty answer")


class BackTranslation(Operation):
    """Applies the function to all texts at once; nothing is drawn."""

    def __init__(self, translate: Translate | None, where: str) -> None:
        if translate is None:
            hint = "write a plug-in (--config-dir) whose build calls finecomb.data.augmenter.build(config, translate=FUNCTION)"
            raise ConfigError(Problem("back-translation needs a function that translates there and back; none is given", where, hint=hint))
        self._translate = translate

    def apply(self, texts: Sequence[str], draws: Sequence[Draws]) -> list[str | Refusal]:
        """See Operation.apply. Raises ValueError when the function gives another number of texts than it was given."""
        answers = list(self._translate(texts)) if texts else []
        if len(answers) != len(texts):
            raise ValueError(f"the function gave {len(answers)} texts for {len(texts)}")
        return [_answered(text, answer) for text, answer in zip(texts, answers, strict=True)]


def _answered(text: str, answer: str) -> str | Refusal:
    if not answer.strip():
        return EMPTY
    return UNCHANGED if answer == text else answer
