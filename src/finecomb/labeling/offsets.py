"""Offsets in code points and in UTF-16 units, which JavaScript counts: they part ways behind the first character beyond U+FFFF."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from finecomb.data.spans import Span
from finecomb.labeling.documents import Document, Malformed

CODE_POINTS, UTF_16 = "code-points", "utf-16"
COUNTS = (CODE_POINTS, UTF_16)


class Offsets:
    """The offsets of one text as a tool counts them. count: "code-points" or "utf-16"."""

    def __init__(self, text: str, count: str) -> None:
        self.text = text
        astral = count == UTF_16 and beyond(text)
        # Units before each code point, and before the end of the text; None where both counts are the same.
        self._units = list(accumulate((1 + (character > "\uffff") for character in text), initial=0)) if astral else None
        self._points = {unit: point for point, unit in enumerate(self._units)} if self._units else None

    def outward(self, point: int) -> int:
        """The tool's offset of a code point."""
        return self._units[point] if self._units else point

    def inward(self, unit: int) -> int:
        """The code point at a tool's offset. Raises Malformed inside a surrogate pair; beyond the text the offset stays beyond it."""
        if self._units is None or self._points is None:
            return unit
        if not 0 <= unit <= self._units[-1]:
            return unit if unit < 0 else len(self.text) + unit - self._units[-1]
        if unit not in self._points:
            raise Malformed(f"the offset {unit} is inside a character of two UTF-16 units")
        return self._points[unit]


def beyond(text: str) -> bool:
    """Whether a text has characters beyond U+FFFF, which are two UTF-16 units."""
    return not text.isascii() and max(text) > "\uffff"


def span_of(offsets: Offsets, start: int, end: int, label: str, said: str | None = None) -> Span:
    """A tool's span in code points. said: the text that the tool says it covers.

    Raises:
        Malformed: it covers another text; the message says so when the other way of counting would fit.
    """
    try:
        span, wrong = Span(offsets.inward(start), offsets.inward(end), label), None
    except Malformed as error:
        if said is None:
            raise
        span, wrong = Span(start, end, label), str(error)
    text = offsets.text
    covered = text[max(0, span.start) : max(0, span.end)]
    if said is None or (wrong is None and covered == said):
        return span
    why = wrong or f"the span {start}..{end} ({label}) covers {_short(covered)}, and the file says {_short(said)}"
    for count in COUNTS:
        if _covers(Offsets(text, count), start, end) == said:
            raise Malformed(f"{why}; it fits when offsets are counted in {count}: --offsets {count}")
    raise Malformed(why)


def _covers(offsets: Offsets, start: int, end: int) -> str | None:
    try:
        first, last = offsets.inward(start), offsets.inward(end)
    except Malformed:
        return None
    return offsets.text[first:last] if 0 <= first <= last <= len(offsets.text) else None


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


def unsure(documents: Iterable[Document], count: str, tool: str) -> list[str]:
    """A note on the rows whose offsets could be counted in two ways and whose form carries nothing to check them by."""
    rows = sum(bool(each.spans) and beyond(each.text) for each in documents)
    if not rows:
        return []
    other = next(each for each in COUNTS if each != count)
    what = "row has spans and characters" if rows == 1 else "rows have spans and characters"
    return [f"{rows:,} {what} beyond U+FFFF; offsets are counted in {count}, as {tool} does; otherwise give --offsets {other}"]
