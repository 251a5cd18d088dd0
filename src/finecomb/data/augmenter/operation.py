"""What an operation is: marked texts in; for each another one out, or the reason why there is none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from finecomb.data.augmenter.marked import Edit, Marked
from finecomb.data.chance import Draws

UNCHANGED = "nothing to change"


class Operation(ABC):
    """VERSION goes up when the same values and draws give other texts. speaks: the lists it uses are of one language."""

    VERSION: ClassVar[int] = 1
    speaks: bool = False

    @abstractmethod
    def apply(self, texts: Sequence[Marked], draws: Sequence[Draws]) -> list[Marked | str]:
        """Each text altered with its own draws, or why it is not."""

    def inputs(self) -> list[str]:
        """What else decides the result: the lines of lists."""
        return []


class EditOperation(Operation):
    """An operation that edits each text by itself, outside its spans."""

    @abstractmethod
    def edits(self, marked: Marked, draws: Draws) -> list[Edit] | str:
        """The edits of one text (none: nothing to change), or why it is refused."""

    def apply(self, texts: Sequence[Marked], draws: Sequence[Draws]) -> list[Marked | str]:
        """See Operation.apply."""
        found: list[Marked | str] = []
        for marked, mine in zip(texts, draws, strict=True):
            edits = self.edits(marked, mine)
            if isinstance(edits, str):
                found.append(edits)
                continue
            after = marked.edited(edits)
            found.append(after if after.text != marked.text else UNCHANGED)
        return found


def how_many(strength: float, of: int) -> int:
    """A share of so many things, at least one of them."""
    return min(of, max(1, round(strength * of)))
