"""6,500 questions with spans of a paragraph as answers, many of which take resolving coreference.

P. Dasigi et al., "Quoref: A Reading Comprehension Dataset with Questions Requiring Coreferential Reasoning", EMNLP 2019; in the form of
Natural Instructions (S. Mishra et al., ACL 2022), which keeps the answers and not where they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.fetched import FetchedSource, read_entry
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.text_file import read_text

LICENSE = "CC BY 4.0 (Quoref); of the package that holds it unstated"
_INPUT = re.compile(r"Passage: (?P<context>.*?)\s*\nQuestion: (?P<question>.*)", re.DOTALL)


class QuorefSource(FetchedSource):
    """Reads a task of BIG-bench: examples with an input, "Passage: ... Question: ...", and answers that all end in a period."""

    def read(self, kind: str) -> Raw:
        """All questions as train; the group is the paragraph.

        An answer is where it first occurs in the paragraph. A question without an answer there is left out, one that loses some of its
        answers is changed; both are counted.
        """
        local = self.local()
        where = local.path.name
        ids: list[str] = []
        questions: list[str] = []
        contexts: list[str] = []
        labels: list[str] = []
        items: list[int] = []
        examples = _examples(read_text(local.path, "utf-8"), where)
        shortened = 0
        for number, example in enumerate(examples, start=1):
            parts = _INPUT.fullmatch(example["input"].strip()) if isinstance(example.get("input"), str) else None
            answers = example.get("target")
            if parts is None or not isinstance(answers, list):
                raise ConfigError(
                    Problem('expected an input "Passage: ... Question: ..." and a list of targets', f"{where}, item {number}")
                )
            context, texts = parts["context"], list(dict.fromkeys(str(answer).strip().removesuffix(".").rstrip() for answer in answers))
            present = [text for text in texts if text and text in context]
            if not present:
                continue
            shortened += len(present) < len(texts)
            ids.append(str(number))
            questions.append(parts["question"].strip())
            contexts.append(context)
            labels.append(json.dumps({"text": present, "answer_start": [context.index(text) for text in present]}, ensure_ascii=False))
            items.append(number)
        groups = [hashlib.sha256(context.encode()).hexdigest()[:16] for context in contexts]
        rows = Rows(ids, questions, contexts, labels, groups, items, where, "item")
        funnel = read_entry(len(examples), len(ids), {"no answer in the context": len(examples) - len(ids)}, changed=shortened)
        return Raw({"train": [rows]}, local.source, LICENSE, funnel=funnel)


def _examples(text: str, where: str) -> list[dict[str, Any]]:
    try:
        examples = json.loads(text)["examples"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(Problem('expected a JSON object with "examples"', where)) from error
    return list(examples)
