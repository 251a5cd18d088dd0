"""Questions in the nested layout of SQuAD's files: articles in `data`, their `paragraphs`, and the questions (`qas`) on each paragraph.

https://rajpurkar.github.io/SQuAD-explorer/ (Rajpurkar et al. 2016 and 2018). `is_impossible` and `plausible_answers` are ignored: a
question without an answer has no `answers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# `data` is the first key that holds more than a text or a number.
_BEGINNING = re.compile(r'\{\s*(?:"[^"]*"\s*:\s*(?:"[^"]*"|[\w.+-]+)\s*,\s*)*"data"\s*:\s*\[\s*\{[\s\S]{0,2000}?"paragraphs"\s*:\s*\[')


def is_squad(beginning: str) -> bool:
    """Whether a JSON file that begins so is laid out as SQuAD's. beginning: without white space before it."""
    return _BEGINNING.match(beginning) is not None


def questions(content: Any) -> Iterator[Any]:
    """Every question as an object with id, title, question, context and answers; what is no object stays as it is, to be counted."""
    for article in content["data"]:
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        for paragraph in paragraphs if isinstance(paragraphs, list) else [article]:
            listed = paragraph.get("qas") if isinstance(paragraph, dict) else None
            for question in listed if isinstance(listed, list) else [paragraph]:
                yield _row(article, paragraph, question) if isinstance(listed, list) and isinstance(question, dict) else None


def _row(article: dict[str, Any], paragraph: dict[str, Any], question: dict[str, Any]) -> dict[str, Any]:
    row = {"question": question.get("question"), "context": paragraph.get("context"), "answers": question.get("answers")}
    return {"id": question.get("id"), "title": article.get("title") or paragraph.get("context"), **row}
