"""Labeling functions: rules that give a text a label or abstain (Ratner et al. 2017, arXiv:1711.10160), and how they agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.assets import hash_file
from finecomb.config import plugins
from finecomb.core.errors import ConfigError, Problem, nearest
from finecomb.data.annotator.dependence import REPEATS
from finecomb.data.annotator.label_model import ABSTAIN, Fitted, Votes
from finecomb.data.annotator.terms import Terms, read_terms
from finecomb.data.patterns import compiled

CONDITIONS = ("words", "gazetteer", "pattern", "function", "min_words", "max_words", "min_characters", "max_characters")
KEYS = ("label", *CONDITIONS)
_BOUNDS = ("min_words", "max_words", "min_characters", "max_characters")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Rule:
    """A label for the texts in which all conditions hold.

    label: None where the function gives it. search: an RE2 pattern or a list of terms. function: of a plug-in; with a label of the rule's
    own a condition, else it returns a label or None. bounds: of words (separated by white space) and of characters, both inclusive.
    """

    name: str
    label: str | None
    search: Any
    function: Callable[[str], Any] | None
    bounds: Mapping[str, int]

    def vote(self, text: str) -> str | None:
        """The label it gives this text; None: it abstains. Raises ConfigError for a function that fails."""
        if self.search is not None and self.search.search(text) is None:
            return None
        if self.bounds and not self._within(text):
            return None
        if self.function is None:
            return self.label
        try:
            said = self.function(text)
        except Exception as error:  # the function is the user's own: whatever it raises is theirs to fix
            what = f"the function raised {type(error).__name__}: {error}"
            raise ConfigError(Problem(what, f"annotator.functions.{self.name}, on the text {text[:60]!r}", hint="correct it")) from error
        if self.label is not None:
            return self.label if said else None
        if said is None or (isinstance(said, str) and said):
            return said
        what = f"the function returned {said!r}"
        where, hint = (
            f"annotator.functions.{self.name}, on the text {text[:60]!r}",
            "give the rule a label if the function only says yes or no",
        )
        raise ConfigError(Problem(what, where, "a label, or None to abstain", hint))

    def _within(self, text: str) -> bool:
        sizes = {"characters": len(text)}
        if "min_words" in self.bounds or "max_words" in self.bounds:
            sizes["words"] = len(_WORD.findall(text))
        low = all(size >= self.bounds.get(f"min_{unit}", size) for unit, size in sizes.items())
        return low and all(size <= self.bounds.get(f"max_{unit}", size) for unit, size in sizes.items())


def build(functions: Mapping[str, Any]) -> list[Rule]:
    """Rules of a config. Raises ConfigError with every rule that cannot be used."""
    if not functions:
        example = "annotator.functions.praise='{label: positive, words: [good, wonderful]}'"
        raise ConfigError(Problem("there is no labeling function", "annotator.functions", hint=example))
    problems: list[Problem] = []
    rules = []
    for name, values in functions.items():
        try:
            rules.append(_rule(name, values))
        except ConfigError as error:
            problems += error.problems
    if not problems and len({rule.label for rule in rules}) < 2 and all(rule.label is not None for rule in rules):
        problems.append(
            Problem(f"all functions give the label {rules[0].label!r}", "annotator.functions", hint="add one for another label")
        )
    if problems:
        raise ConfigError(problems)
    return rules


def _rule(name: str, values: Any) -> Rule:
    where = f"annotator.functions.{name}"
    if not isinstance(values, Mapping) or not {"label", "function"} & values.keys():
        raise ConfigError(Problem("a labeling function has a label and a condition, or a function that gives both", where, ", ".join(KEYS)))
    unknown = [key for key in values if key not in KEYS]
    if unknown:
        near = nearest(unknown[0], KEYS)
        raise ConfigError(Problem(f"unknown key {unknown[0]!r}", where, ", ".join(KEYS), f"did you mean {near}?" if near else ""))
    if not set(values) & set(CONDITIONS):
        raise ConfigError(Problem("without a condition it would label every text", where, ", ".join(CONDITIONS)))
    bounds = {key: values[key] for key in _BOUNDS if values.get(key) is not None}
    for key, value in bounds.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(Problem(f"{key}={value} is no whole number", f"{where}.{key}", "a whole number"))
    searching = [key for key in ("words", "gazetteer", "pattern") if values.get(key) is not None]
    if len(searching) > 1:
        what = f"{searching[0]} and a {searching[1]} in one function"
        raise ConfigError(Problem(what, where, hint="write two functions, or the words into the pattern or file"))
    search = _search(searching[0], values[searching[0]], f"{where}.{searching[0]}") if searching else None
    function = None if values.get("function") is None else _function(values["function"], f"{where}.function")
    label = None if values.get("label") is None else str(values["label"])
    return Rule(name, label, search, function, bounds)


def _search(key: str, value: Any, where: str) -> Any:
    if key == "words":
        if not isinstance(value, list) or not value or not all(isinstance(word, str) and word.strip() for word in value):
            raise ConfigError(Problem("words is a list of words", where, "[good, wonderful]"))
        return Terms(value, where)
    if not isinstance(value, str):
        allowed = "a file with one term in each line" if key == "gazetteer" else "a regular expression"
        raise ConfigError(Problem(f"{key}={value} is no text", where, allowed, "put it in quotes"))
    return Terms(read_terms(value, where), where) if key == "gazetteer" else compiled(value, where)


def _function(name: Any, where: str) -> Callable[[str], Any]:
    known = plugins.labeling_functions()
    if name in known:
        return known[name].function
    near = nearest(str(name), known)
    hint = f"did you mean {near}?" if near else 'write it into finecomb_plugin.py of --config-dir: LABELING_FUNCTIONS = {"name": function}'
    raise ConfigError(Problem(f"no plug-in brings a labeling function named {name}", where, ", ".join(known), hint))


def identity(functions: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the votes: the rules, with the content of files and of plug-ins in place of their names."""
    known, rules = plugins.labeling_functions(), {}
    for name, values in functions.items():
        rules[name] = dict(values)
        if values.get("gazetteer") is not None:
            rules[name]["gazetteer"] = hash_file(Path(values["gazetteer"]).expanduser())
        if values.get("function") is not None:
            rules[name]["function"] = [values["function"], known[values["function"]].digest]
    return rules


def votes(texts: Sequence[str], rules: Sequence[Rule]) -> tuple[Votes, list[str]]:
    """The class that each rule gives each text, ABSTAIN where it gives none, [texts, rules]; and the names of the classes, sorted."""
    said = [[rule.vote(text) for text in texts] for rule in rules]
    names = sorted({rule.label for rule in rules if rule.label is not None} | {label for column in said for label in column if label})
    index: dict[str | None, int] = {None: ABSTAIN} | {name: number for number, name in enumerate(names)}
    matrix = np.array([[index[label] for label in column] for column in said], dtype=np.int32).reshape(len(rules), len(texts)).T
    return matrix, names


def report(votes: Votes, rules: Sequence[Rule], fitted: Fitted, truth: NDArray[np.int64]) -> list[dict[str, Any]]:
    """For each rule the share of texts it labels (coverage), that another labels too (overlap), that another labels otherwise (conflict);
    how often it is right where the label is known, and how often it agrees with the label model; and the rules it speaks up with, or
    repeats, more often than independent ones would, as which the model takes them.

    truth [texts]: the class where it is known, else below 0.
    """
    best = fitted.probabilities.argmax(axis=1)
    voted = votes >= 0
    lines = []
    for column, rule in enumerate(rules):
        labeled = voted[:, column]
        others = np.delete(votes, column, axis=1)
        overlaps = labeled & (others >= 0).any(axis=1)
        conflicts = labeled & ((others >= 0) & (others != votes[:, [column]])).any(axis=1)
        known = labeled & (truth >= 0)
        others_of = [other for other in range(len(rules)) if other != column]
        lines.append(
            {
                "name": rule.name,
                "label": rule.label,
                "coverage": _share(labeled),
                "overlap": _share(overlaps),
                "conflict": _share(conflicts),
                "accuracy": _share((truth == votes[:, column])[known]),
                "known": int(known.sum()),
                "agrees_with_model": _share((best == votes[:, column])[labeled]),
                "votes_with": [rules[other].name for other in others_of if _together(voted, column, other)],
                "repeats": [rules[other].name for other in others_of if fitted.excess[column, other] >= REPEATS],
            }
        )
    return lines


def _share(chosen: NDArray[np.bool_]) -> float | None:
    return round(float(chosen.mean()), 4) if len(chosen) else None


def _together(voted: Any, one: int, other: int) -> bool:
    """Whether two rules speak up together far more often than chance has it: lift above 3, on at least 20 texts."""
    both = int((voted[:, one] & voted[:, other]).sum())
    expected = float(voted[:, one].mean() * voted[:, other].mean()) * len(voted)
    return both >= 20 and expected > 0 and both / expected > 3
