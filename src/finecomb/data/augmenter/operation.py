"""What an operation is: texts in; for each another one out, or the reason why there is none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from finecomb.data.chance import Draws


class Edit(NamedTuple):
    """text[start:end] is replaced by `new`; with start == end, `new` is inserted there."""

    start: int
    end: int
    new: str


class Refusal(NamedTuple):
    """Why a text was not altered."""

    reason: str


UNCHANGED = Refusal("nothing to change")


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text after the edits. Raises ValueError for edits that overlap each other or end outside of the text."""
    pieces, at = [], 0
    for edit in sorted(edits):
        if edit.start < at or edit.end < edit.start or edit.end > len(text):
            raise ValueError(f"the edit of {edit.start}:{edit.end} overlaps another or is outside of the text")
        pieces += [text[at : edit.start], edit.new]
        at = edit.end
    return "".join([*pieces, text[at:]])


class Operation(ABC):
    """VERSION goes up when the same values and draws give other texts. speaks: the lists it uses are of one language."""

    VERSION: ClassVar[int] = 1
    speaks: bool = False

    @abstractmethod
    def apply(self, texts: Sequence[str], draws: Sequence[Draws]) -> list[str | Refusal]:
        """Each text altered with its own draws, or why it is not."""

    def inputs(self) -> list[str]:
        """What else decides the result: the lines of lists."""
        return []


class EditOperation(Operation):
    """An operation that edits each text by itself."""

    @abstractmethod
    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """The edits of one text (none: nothing to change), or why it is refused."""

    def apply(self, texts: Sequence[str], draws: Sequence[Draws]) -> list[str | Refusal]:
        """See Operation.apply."""
        return [self._altered(text, of_text) for text, of_text in zip(texts, draws, strict=True)]

    def _altered(self, text: str, draws: Draws) -> str | Refusal:
        edits = self.edits(text, draws)
        if isinstance(edits, Refusal):
            return edits
        after = edited(text, edits)
        return after if after != text else UNCHANGED


def how_many(strength: float, of: int) -> int:
    """A share of so many things, at least one of them."""
    return min(of, max(1, round(strength * of)))
