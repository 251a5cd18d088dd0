"""Tags of tokens: columns of tokens and tags, each a list or text separated by white space. The text is the tokens joined by spaces."""

from __future__ import annotations

import json
from typing import Any

from finecomb.data.dataset.broken import LABEL, NO_LABEL, NO_TEXT, SHOWN
from finecomb.data.dataset.kinds.kind import Cells, Fault, Kind, Read


def _read(cells: Cells, fault: Fault) -> Read:
    texts, labels = [], []
    for row, (first, second) in enumerate(zip(cells["tokens" if "tokens" in cells else "text"], cells["tags"], strict=True)):
        tokens, tags = _words(first), _words(second)
        shown = str(first)[:SHOWN]
        if tokens is None:
            fault(row, NO_TEXT, f"the tokens are {type(first).__name__}, not a list of texts", shown)
        elif tags is None:
            fault(row, NO_LABEL if second is None else LABEL, f"the tags are {type(second).__name__}, not a list of names", shown)
        elif len(tokens) != len(tags):
            fault(row, LABEL, f"{len(tokens)} tokens and {len(tags)} tags", shown)
        elif wrong := next((token for token in tokens if not token or token.split() != [token]), None):
            fault(row, NO_TEXT, f"the token {wrong!r} holds white space", shown)
        elif any(not tag for tag in tags) or "" in tokens:
            fault(row, LABEL, "an empty token or tag", shown)
        texts.append(" ".join(tokens or ()))
        labels.append(tags or [])
    return Read(texts, labels)


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


# Files of CoNLL have the tokens of a sentence as its text.
TAGS = Kind((("tokens", "tags"), ("text", "tags")), _read)
