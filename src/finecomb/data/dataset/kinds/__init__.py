"""Kinds of labels that are read from columns of their own: which columns, and what rows are made of their cells.

Every kind ends in the same columns, a text, perhaps a second text, and a label, so that cleaning, splitting and storing need not know it.
"""

from __future__ import annotations

from collections.abc import Mapping

from finecomb.data.dataset.kinds.answers import ANSWERS
from finecomb.data.dataset.kinds.kind import Cells, Fault, Kind, Read
from finecomb.data.dataset.kinds.messages import MESSAGES
from finecomb.data.dataset.kinds.plain import COMPLETION, TARGET
from finecomb.data.dataset.kinds.tags import TAGS

__all__ = ["KINDS", "Cells", "Fault", "Kind", "Read"]

KINDS: Mapping[str, Kind] = {"target": TARGET, "completion": COMPLETION, "tags": TAGS, "messages": MESSAGES, "answers": ANSWERS}
