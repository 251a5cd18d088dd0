"""Text with spans, and edits that never cut one.

A span (start, end, label) marks text[start:end], in code points, as an entity or the like. An edit replaces a stretch of text outside all
spans; spans behind it move. So a span's own text is the same before and after, whatever was done around it. Spans may overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Span(NamedTuple):
    """text[start:end] is a `label`."""

    start: int
    end: int
    label: str


class Edit(NamedTuple):
    """text[start:end] gives way to `new`; with start == end, `new` is put in there."""

    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Marked:
    """A text and its spans."""

    text: str
    spans: tuple[Span, ...] = ()

    def free(self, start: int, end: int) -> bool:
        """Whether an edit of text[start:end] (an insertion, where they are equal) leaves every span whole."""
        return not self.spans or all(end <= span.start or start >= span.end for span in self.spans)

    def edited(self, edits: Iterable[Edit]) -> Marked:
        """The text after the edits, and its spans. Raises ValueError for edits that overlap each other or a span."""
        ordered = sorted(edits)
        pieces, at = [], 0
        for edit in ordered:
            if edit.start < at or edit.end < edit.start or edit.end > len(self.text) or not self.free(edit.start, edit.end):
                raise ValueError(f"the edit of {edit.start}:{edit.end} overlaps another or cuts a span")
            pieces += [self.text[at : edit.start], edit.new]
            at = edit.end
        spans = tuple(_moved(span, ordered) for span in self.spans)
        return Marked("".join([*pieces, self.text[at:]]), spans)


def _moved(span: Span, edits: Sequence[Edit]) -> Span:
    # An edit that ends where the span starts, an insertion there included, stands before it; one where it ends stands behind it.
    shift = sum(len(edit.new) - (edit.end - edit.start) for edit in edits if edit.end <= span.start)
    return Span(span.start + shift, span.end + shift, span.label)
