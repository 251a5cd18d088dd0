"""Labelling functions: rules that give a text a label or abstain (Ratner et al. 2017, arXiv:1711.10160), and how they agree."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import re2

from finecomb.config.errors import Problem, UserError, nearest
from finecomb.data.annotator.label_model import ABSTAIN, Fitted, Votes

KEYS = ("label", "words", "pattern", "min_words", "max_words")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Rule:
    """A label for the texts in which all conditions hold. search: an RE2 pattern, None where there is none."""

    name: str
    label: str
    search: Any
    min_words: int | None
    max_words: int | None

    def holds(self, text: str) -> bool:
        """Whether the rule votes for its label on this text."""
        if self.search is not None and self.search.search(text) is None:
            return False
        if self.min_words is None and self.max_words is None:
            return True
        count = len(_WORD.findall(text))
        return (self.min_words is None or count >= self.min_words) and (self.max_words is None or count <= self.max_words)


def build(functions: Mapping[str, Any]) -> list[Rule]:
    """Rules of a config. Raises UserError with every rule that cannot be used."""
    if not functions:
        example = "annotator.functions.praise='{label: positive, words: [good, wonderful]}'"
        raise UserError(Problem("there is no labelling function", "annotator.functions", mend=example))
    problems: list[Problem] = []
    rules = []
    for name, values in functions.items():
        try:
            rules.append(_rule(name, values))
        except UserError as error:
            problems += error.problems
    if not problems and len({rule.label for rule in rules}) < 2:
        problems.append(
            Problem(f"all functions give the label {rules[0].label!r}", "annotator.functions", mend="add one for another label")
        )
    if problems:
        raise UserError(problems)
    return rules


def _rule(name: str, values: Any) -> Rule:
    where = f"annotator.functions.{name}"
    if not isinstance(values, Mapping) or "label" not in values:
        raise UserError(Problem("a labelling function has a label and a condition", where, ", ".join(KEYS)))
    unknown = [key for key in values if key not in KEYS]
    if unknown:
        near = nearest(unknown[0], KEYS)
        raise UserError(Problem(f"unknown key {unknown[0]!r}", where, ", ".join(KEYS), f"did you mean {near}?" if near else ""))
    if len(values) == 1:
        raise UserError(Problem("without a condition it would label every text", where, ", ".join(KEYS[1:])))
    for key in ("min_words", "max_words"):
        if values.get(key) is not None and (isinstance(values[key], bool) or not isinstance(values[key], int)):
            raise UserError(Problem(f"{key}={values[key]} is no whole number", f"{where}.{key}", "a whole number"))
    if "pattern" in values and not isinstance(values["pattern"], str):
        raise UserError(Problem(f"pattern={values['pattern']} is no text", f"{where}.pattern", "a regular expression", "put it in quotes"))
    if "words" in values and "pattern" in values:
        raise UserError(Problem("words and a pattern in one function", where, mend="write two functions, or the words into the pattern"))
    pattern = values.get("pattern")
    if (listed := values.get("words")) is not None:
        if not isinstance(listed, list) or not listed or not all(isinstance(word, str) and word for word in listed):
            raise UserError(Problem("words is a list of words", f"{where}.words", "[good, wonderful]"))
        # A letter or digit beside it would make it another word, but for scripts that put no space between words.
        escaped = [
            re2.escape(word) if re.search(r"[^\W\d_]", word) is None or not word.isascii() else rf"\b{re2.escape(word)}\b"
            for word in listed
        ]
        pattern = f"(?i){'|'.join(escaped)}"
    return Rule(
        name, str(values["label"]), None if pattern is None else _compiled(pattern, where), values.get("min_words"), values.get("max_words")
    )


def _compiled(pattern: str, where: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        mend = "patterns are those of RE2: no look-around and no back references, so that no text can make them slow"
        raise UserError(Problem(f"the pattern {pattern!r} cannot be used: {error}", f"{where}.pattern", mend=mend)) from error


def votes(texts: Sequence[str], rules: Sequence[Rule], names: Sequence[str]) -> Votes:
    """The class that each rule gives each text, ABSTAIN where it gives none: [texts, rules]."""
    index = {name: number for number, name in enumerate(names)}
    found = np.full((len(texts), len(rules)), ABSTAIN, dtype=np.int8)
    for column, rule in enumerate(rules):
        found[[row for row, text in enumerate(texts) if rule.holds(text)], column] = index[rule.label]
    return found


def report(found: Votes, rules: Sequence[Rule], names: Sequence[str], fitted: Fitted) -> list[dict[str, Any]]:
    """For each rule the share of texts it labels, that another rule labels too, that another labels otherwise; how often it agrees with the
    label model; and the rules it agrees with more often than chance would have it, which the model takes for independent ones."""
    best = fitted.probabilities.argmax(axis=1)
    voted = found >= 0
    lines = []
    for column, rule in enumerate(rules):
        mine = voted[:, column]
        others = np.delete(found, column, axis=1)
        overlaps = mine & (others >= 0).any(axis=1)
        conflicts = mine & ((others >= 0) & (others != found[:, [column]])).any(axis=1)
        agreement = float((best[mine] == found[mine, column]).mean()) if mine.any() else None
        lines.append(
            {
                "name": rule.name,
                "label": rule.label,
                "coverage": round(float(mine.mean()), 4),
                "overlap": round(float(overlaps.mean()), 4),
                "conflict": round(float(conflicts.mean()), 4),
                "agrees_with_model": None if agreement is None else round(agreement, 4),
                "votes_with": [rules[other].name for other in range(len(rules)) if other != column and _together(voted, column, other)],
            }
        )
    return lines


def _together(voted: Any, one: int, other: int) -> bool:
    """Whether two rules speak up together far more often than chance has it: lift above 3, on at least 20 texts."""
    both = int((voted[:, one] & voted[:, other]).sum())
    expected = float(voted[:, one].mean() * voted[:, other].mean()) * len(voted)
    return both >= 20 and expected > 0 and both / expected > 3
