"""Tags of tokens: columns of tokens and tags, each a list or text separated by white space; or a text with labeled spans.

The text of a row is its tokens joined by spaces. A text with spans (`{"start", "end", "label"}` in code points, as `finecomb annotate`
writes them) is divided into words and punctuation, and a Chinese, Japanese or Korean character is a token; the tags are BIO.
"""

from __future__ import annotations

import json
from typing import Any

from finecomb.data.dataset.broken import LABEL, NO_LABEL, NO_TEXT, SHOWN
from finecomb.data.dataset.kinds.kind import Cells, Fault, Kind, Read
from finecomb.data.spans import Span, overlapping, to_tags, token_places, unaligned


class _Misfit(ValueError):
    """Cells that are no tokens with tags: the reason of `broken`, and what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def _read(cells: Cells, fault: Fault) -> Read:
    of_row = _of_spans if "spans" in cells else _of_tags
    texts, labels = [], []
    columns = cells["tokens" if "tokens" in cells else "text"], cells["spans" if "spans" in cells else "tags"]
    for row, (first, second) in enumerate(zip(*columns, strict=True)):
        try:
            tokens, tags = of_row(first, second)
        except _Misfit as misfit:
            fault(row, misfit.reason, str(misfit), str(first)[:SHOWN])
            tokens, tags = [], []
        texts.append(" ".join(tokens))
        labels.append(tags)
    return Read(texts, labels)


def _of_tags(first: Any, second: Any) -> tuple[list[str], list[str]]:
    """Tokens and tags of cells with either. Raises _Misfit."""
    tokens, tags = _words(first), _words(second)
    if tokens is None:
        raise _Misfit(NO_TEXT, f"the tokens are {type(first).__name__}, not a list of texts")
    if tags is None:
        raise _Misfit(NO_LABEL if second is None else LABEL, f"the tags are {type(second).__name__}, not a list of names")
    if len(tokens) != len(tags):
        raise _Misfit(LABEL, f"{len(tokens)} tokens and {len(tags)} tags")
    if not tokens:
        raise _Misfit(NO_TEXT, "there is no token")
    if "" in tokens or "" in tags:
        raise _Misfit(LABEL, "an empty token or tag")
    if wrong := next((token for token in tokens if token.split() != [token]), None):
        raise _Misfit(NO_TEXT, f"the token {wrong!r} holds white space")
    return tokens, tags


def _words(cell: Any) -> list[str] | None:
    """A list of texts (tags may be numbers), a JSON list in text, or text separated by white space."""
    if isinstance(cell, str):
        if not cell.lstrip().startswith("["):
            return cell.split()
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            return cell.split()
    if not isinstance(cell, list) or not all(isinstance(each, str | int) and not isinstance(each, bool) for each in cell):
        return None
    return [str(each) for each in cell]


def _of_spans(text: Any, cell: Any) -> tuple[list[str], list[str]]:
    """Tokens and tags of a text and its spans. Raises _Misfit for spans that no tags can express."""
    if not isinstance(text, str):
        raise _Misfit(NO_TEXT, "the text is missing" if text is None else f"the text is {type(text).__name__}, not text")
    places = token_places(text, alone=True)
    if not places:
        raise _Misfit(NO_TEXT, "there is no token")
    spans = _spans(text, cell)
    if wrong := unaligned(spans, places, text) + overlapping(spans, text):
        raise _Misfit(LABEL, "; ".join(wrong))
    return [text[start:end] for start, end in places], to_tags(spans, places, "iob2")


def _spans(text: str, cell: Any) -> list[Span]:
    if cell is None or cell == "":
        raise _Misfit(NO_LABEL, "the spans are missing; a text without any has an empty list")
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise _Misfit(LABEL, f"the spans {cell[:100]!r} are not JSON") from None
    if not isinstance(cell, list):
        raise _Misfit(LABEL, f"the spans are {type(cell).__name__}, not a list")
    return [_span(text, each) for each in cell]


def _span(text: str, value: Any) -> Span:
    start, end, label = (value.get(name) if isinstance(value, dict) else None for name in ("start", "end", "label"))
    if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label.strip():
        raise _Misfit(LABEL, f'the span {str(value)[:100]} is not {{"start": ..., "end": ..., "label": ...}}')
    if not 0 <= start < end <= len(text):
        raise _Misfit(LABEL, f"the span {start}..{end} ({label}) is not inside the text, which has {len(text)} characters")
    if value.get("text") not in (None, text[start:end]):
        raise _Misfit(LABEL, f"the span {start}..{end} ({label}) is {text[start:end]!r}, not {value['text']!r}: offsets count code points")
    return Span(start, end, label)


# Files of CoNLL have the tokens of a sentence as its text.
TAGS = Kind((("tokens", "tags"), ("text", "spans"), ("text", "tags")), _read)
