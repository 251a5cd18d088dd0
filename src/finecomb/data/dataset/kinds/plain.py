"""Kinds whose label is a text: a source text's `target`, and a prompt's `completion`."""

from __future__ import annotations

from finecomb.data.dataset.broken import LABEL, NO_LABEL, NO_TEXT, SHOWN
from finecomb.data.dataset.kinds.kind import Cells, Fault, Kind, Read


def _of_two(source: str, target: str) -> Kind:
    def read(cells: Cells, fault: Fault) -> Read:
        texts, labels = [], []
        for row, (given, wanted) in enumerate(zip(cells[source], cells[target], strict=True)):
            if given is not None and not isinstance(given, str):
                fault(row, NO_TEXT, f"the {source} is {type(given).__name__}, not text", str(given)[:SHOWN])
            elif wanted is None or wanted == "":
                fault(row, NO_LABEL, f"the {target} is empty", str(given or "")[:SHOWN])
            elif not isinstance(wanted, str):
                fault(row, LABEL, f"the {target} is {type(wanted).__name__}, not text", str(wanted)[:SHOWN])
            texts.append(given if isinstance(given, str) else "")
            labels.append(wanted)
        return Read(texts, labels)

    return Kind(((source, target),), read)


TARGET = _of_two("source", "target")
COMPLETION = _of_two("prompt", "completion")
