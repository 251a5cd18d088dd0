"""Answers that are parts of a context: where each begins, in characters (code points) of the context, and what it says.

A cell holds `{"text": [...], "answer_start": [...]}`, a list of `{"text": ..., "answer_start": ...}`, the same as JSON, or answers as texts
alone, of which the first occurrence in the context is taken. Empty lists are a question without an answer.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from finecomb.data.dataset.broken import ANSWER, LABEL, NO_LABEL, NO_TEXT, SHOWN
from finecomb.data.dataset.kinds.kind import Cells, Fault, Kind, Read

_EXPECTED = 'is not {"text": [...], "answer_start": [...]}, nor a text or a list of texts'


def _read(cells: Cells, fault: Fault) -> Read:
    """Question, context, and canonical JSON of the answers; questions on one context are one group, so that no split divides them."""
    questions, contexts, labels = [], [], []
    for row, (question, context, cell) in enumerate(zip(cells["question"], cells["context"], cells["answers"], strict=True)):
        shown = str(question or "")[:SHOWN]
        wrong = next((name for name, text in (("question", question), ("context", context)) if not isinstance(text, str)), None)
        questions.append(question if isinstance(question, str) else "")
        contexts.append(context if isinstance(context, str) else "")
        labels.append("")
        if wrong is not None:
            held = type(question if wrong == "question" else context).__name__
            fault(row, NO_TEXT, f"the {wrong} is missing" if held == "NoneType" else f"the {wrong} is {held}, not text", shown)
        elif cell is None or cell == "":
            fault(row, NO_LABEL, 'the answers are missing; a question without an answer has {"text": [], "answer_start": []}', shown)
        else:
            try:
                labels[-1] = canonical(context, cell)
            except _Misfit as misfit:
                fault(row, misfit.reason, str(misfit), shown)
    return Read(questions, labels, contexts, [hashlib.sha256(context.encode(errors="replace")).hexdigest()[:16] for context in contexts])


class _Misfit(ValueError):
    """A cell that holds no answers, or one that is not in the context."""

    def __init__(self, message: str, reason: str = LABEL) -> None:
        super().__init__(message)
        self.reason = reason


def canonical(context: str, cell: Any) -> str:
    """JSON of `text` and `answer_start`, lists of equal length. Raises ValueError for answers that are not in the context."""
    texts, starts = _lists(cell)
    placed = [_start(context, text, start) for text, start in zip(texts, starts, strict=True)]
    return json.dumps({"text": texts, "answer_start": placed}, ensure_ascii=False)


def _lists(cell: Any) -> tuple[list[str], list[int | None]]:
    """Texts of a cell and where each begins; None: not stated."""
    value = _parsed(cell)
    if isinstance(value, str):
        value = [value]
    if isinstance(value, dict) and "text" in value:
        texts, starts = value["text"], value.get("answer_start")
        texts = [texts] if isinstance(texts, str) else texts
        starts = [None] * len(texts) if starts is None and isinstance(texts, list) else [starts] if isinstance(starts, int) else starts
    elif isinstance(value, list) and all(isinstance(each, dict) for each in value):
        texts, starts = [each.get("text") for each in value], [each.get("answer_start") for each in value]
    else:
        texts, starts = value, [None] * len(value) if isinstance(value, list) else None
    if not isinstance(texts, list) or not isinstance(starts, list) or not all(isinstance(text, str) for text in texts):
        raise _Misfit(f"{str(cell)[:100]!r} {_EXPECTED}")
    if len(texts) != len(starts):
        raise _Misfit(f"{len(texts)} answers and {len(starts)} offsets")
    if any(start is not None and (not isinstance(start, int) or isinstance(start, bool)) for start in starts):
        raise _Misfit(f"answer_start holds {starts[:5]}, not whole numbers")
    return texts, starts


def _parsed(cell: Any) -> Any:
    """What JSON in a text says, where it is a dictionary, or a list of texts or dictionaries; any other text is an answer."""
    if not isinstance(cell, str) or cell.lstrip()[:1] not in ("{", "["):
        return cell
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return cell
    listed = isinstance(value, list) and all(isinstance(each, str | dict) for each in value)
    return value if listed or (isinstance(value, dict) and "text" in value) else cell


def _start(context: str, text: str, start: int | None) -> int:
    """Where an answer begins. Raises ValueError where the context does not hold it there."""
    if not text.strip():
        raise _Misfit("an answer is empty")
    if start is None:
        start = context.find(text)
        if start < 0:
            raise _Misfit(f"the answer {text[:100]!r} is not in the context", ANSWER)
    elif start < 0 or context[start : start + len(text)] != text:
        there = context[max(start, 0) : max(start, 0) + len(text)][:100]
        elsewhere = context.find(text)
        at = f"it is at character {elsewhere:,}" if elsewhere >= 0 else "and it is nowhere in the context"
        raise _Misfit(f"the answer {text[:100]!r} is not at character {start:,} of the context, where {there!r} is; {at}", ANSWER)
    return start


ANSWERS = Kind((("question", "context", "answers"),), _read, defaults={"id": "id", "group": "title"})
