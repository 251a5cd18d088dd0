"""Spans (names, places, opinions) from rules: each rule says where its label stands, a label model weighs the rules token by token.

A rule votes on the tokens it marks and abstains on all others, since a list never holds everything; a token that no rule marks is outside
every span. The classes are the tags of BIO, and of all sequences of tags the most probable legal one is chosen (I-X only behind B-X or
I-X; Viterbi 1967, IEEE Transactions on Information Theory 13). Lison, Barnes & Hubin (2021, arXiv:2104.09683) do likewise with an HMM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml
from numpy.typing import NDArray

from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.annotator import label_model
from finecomb.data.annotator.label_model import ABSTAIN
from finecomb.data.annotator.terms import Terms, read_terms
from finecomb.data.patterns import compiled
from finecomb.data.spans import Span
from finecomb.labeling.tokens import tokeniser

Floats: TypeAlias = NDArray[np.float64]
OUTSIDE = "O"
KEYS = ("label", "words", "gazetteer", "pattern")


@dataclass(frozen=True)
class Found:
    """A span (code points, end exclusive), the probability of its least probable tag, and the rules that marked any of it."""

    span: Span
    confidence: float
    origin: str


@dataclass(frozen=True)
class SpanRule:
    """A label for every place that a list or a pattern finds."""

    name: str
    label: str
    finder: Any

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Places, from left to right; empty matches are none."""
        if isinstance(self.finder, Terms):
            return self.finder.spans(text)
        return [match.span() for match in self.finder.finditer(text) if match.end() > match.start()]


def read_rules(path: Path) -> dict[str, Any]:
    """Rules by name from a YAML file. Raises ConfigError when it cannot be read or holds no mapping."""
    try:
        rules = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        what = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(Problem(f"{path} cannot be read: {what}", "--rules", hint="a YAML file of rules by name")) from error
    if not isinstance(rules, dict):
        raise ConfigError(Problem(f"{path} holds no rules", "--rules", "NAME: {label: LABEL, words: [...]}"))
    return {str(name): values for name, values in rules.items()}


def build(rules: Mapping[str, Any]) -> list[SpanRule]:
    """Rules by name: {label: X} and one of words (a list), gazetteer (a file with one term in each line), pattern (RE2).

    Raises ConfigError with every rule that cannot be used.
    """
    problems: list[Problem] = []
    parsed = []
    for name, values in rules.items():
        try:
            parsed.append(_rule(name, values, f"spans.{name}"))
        except ConfigError as error:
            problems += error.problems
    if not rules:
        problems.append(Problem("there is no rule", "spans", hint="spans.cities={label: PLACE, gazetteer: cities.txt}"))
    if problems:
        raise ConfigError(problems)
    return parsed


def _rule(name: str, values: Any, where: str) -> SpanRule:
    finders = [key for key in KEYS[1:] if isinstance(values, Mapping) and values.get(key) is not None]
    if not isinstance(values, Mapping) or not values.get("label") or len(finders) != 1:
        raise ConfigError(Problem("a rule for spans has a label and one of words, gazetteer and pattern", where, ", ".join(KEYS)))
    if unknown := [key for key in values if key not in KEYS]:
        near = nearest(unknown[0], KEYS)
        raise ConfigError(Problem(f"unknown key {unknown[0]!r}", where, ", ".join(KEYS), f"did you mean {near}?" if near else ""))
    key, value = finders[0], values[finders[0]]
    if key == "words":
        if not isinstance(value, list) or not value or not all(isinstance(word, str) and word.strip() for word in value):
            raise ConfigError(Problem("words is a list of words", f"{where}.words", "[Paris, New York]"))
        return SpanRule(name, str(values["label"]), Terms(value, f"{where}.words"))
    if not isinstance(value, str):
        raise ConfigError(
            Problem(f"{key}={value} is no text", f"{where}.{key}", "a file's name, or a regular expression", "put it in quotes")
        )
    finder = (
        Terms(read_terms(value, f"{where}.gazetteer"), f"{where}.gazetteer") if key == "gazetteer" else compiled(value, f"{where}.pattern")
    )
    return SpanRule(name, str(values["label"]), finder)


def annotate(
    texts: Sequence[str], rules: Sequence[SpanRule], *, model: str = "dawid_skene", min_confidence: float = 0.0
) -> list[list[Found]]:
    """The spans of each text that are as certain as asked for, from left to right; none overlaps another.

    model: one of label_model.MODELS. A Chinese, Japanese or Korean character is a token.
    """
    tokens_of = tokeniser("characters")
    labels = sorted({rule.label for rule in rules})
    tags = [OUTSIDE, *(f"{part}-{label}" for label in labels for part in "BI")]
    tokens = [tokens_of(text) for text in texts]
    votes = [_votes(text, places, rules, tags) for text, places in zip(texts, tokens, strict=True)]
    probabilities = _weighed(votes, tags, model)
    marked = [_spans(*each, rules, tags) for each in zip(tokens, votes, probabilities, strict=True)]
    return [[each for each in row if each.confidence >= min_confidence] for row in marked]


def _votes(text: str, tokens: Sequence[tuple[int, int]], rules: Sequence[SpanRule], tags: Sequence[str]) -> NDArray[np.int64]:
    """The tag that each rule gives each token, [tokens, rules]. A token that other rules alone mark is outside for a rule."""
    votes = np.full((len(tokens), len(rules)), ABSTAIN, dtype=np.int64)
    for column, rule in enumerate(rules):
        for start, end in rule.spans(text):
            touched = [at for at, (first, last) in enumerate(tokens) if first < end and last > start]
            for place, at in enumerate(touched):
                votes[at, column] = tags.index(f"{'I' if place else 'B'}-{rule.label}")
    return votes


def _weighed(votes: Sequence[NDArray[np.int64]], tags: Sequence[str], model: str) -> list[Floats]:
    """Probabilities of the tags of each token; tokens that nobody marks are outside."""
    every = np.concatenate([*votes, np.empty((0, votes[0].shape[1] if votes else 0), dtype=np.int64)])
    marked = (every != ABSTAIN).any(axis=1)
    probabilities = np.zeros((len(every), len(tags)))
    probabilities[:, 0] = 1.0
    if marked.any():
        probabilities[marked] = label_model.fit(every[marked], len(tags), model, silence=False).probabilities
    ends = np.cumsum([len(each) for each in votes])
    return np.split(probabilities, ends[:-1]) if votes else []


def legal(tags: Sequence[str]) -> NDArray[np.bool_]:
    """[k, k]: whether the second tag may follow the first: I-X only behind B-X or I-X."""
    return np.array([[not after.startswith("I-") or before[2:] == after[2:] for after in tags] for before in tags])


def best_path(probabilities: Floats, tags: Sequence[str]) -> list[int]:
    """The most probable legal sequence of tags for the tokens of one text, [tokens, k]."""
    if not len(probabilities):
        return []
    logs = np.log(np.maximum(probabilities, 1e-12))
    forbidden = np.where(legal(tags), 0.0, -np.inf)
    score = logs[0] + np.array([-np.inf if tag.startswith("I-") else 0.0 for tag in tags])
    back = []
    for token in logs[1:]:
        reached = score[:, None] + forbidden
        back.append(reached.argmax(axis=0))
        score = reached.max(axis=0) + token
    path = [int(score.argmax())]
    for step in reversed(back):
        path.append(int(step[path[-1]]))
    return path[::-1]


def _spans(
    tokens: Sequence[tuple[int, int]], votes: NDArray[np.int64], probabilities: Floats, rules: Sequence[SpanRule], tags: Sequence[str]
) -> list[Found]:
    path = best_path(probabilities, tags)
    marked: list[Found] = []
    at = 0
    while at < len(path):
        end = at + 1
        if path[at]:
            while end < len(path) and tags[path[end]].startswith("I-"):
                end += 1
            sure = min(float(probabilities[row, path[row]]) for row in range(at, end))
            spoke = (votes[at:end] != ABSTAIN).any(axis=0)
            origin = ", ".join(rule.name for rule, said in zip(rules, spoke, strict=True) if said)
            marked.append(Found(Span(tokens[at][0], tokens[end - 1][1], tags[path[at]][2:]), round(sure, 6), origin))
        at = end
    return marked
