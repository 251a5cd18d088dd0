"""A study.yaml as read: its content, the line of each key, and every problem found in it, to be told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from finecomb.core.errors import ConfigError, Problem, nearest


class _Loader(yaml.SafeLoader):
    """A key given twice is an error rather than a loss."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"the key {twice} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _WithNumbers(_Loader):
    """YAML 1.2 numbers: 1e-4 is a number."""


def _text_or_number(loader: yaml.SafeLoader, node: Any) -> Any:
    """PyYAML takes 1e-4 for text, because YAML 1.1 wants a point; OmegaConf, and everyone who writes a rate, means the number."""
    value = str(loader.construct_scalar(node))
    try:
        return float(value) if node.style is None and "e" in value.lower() else value
    except ValueError:
        return value


_WithNumbers.add_constructor("tag:yaml.org,2002:str", _text_or_number)


class StudyFile:
    """One study.yaml. Problems are collected by `problem` and raised together by `raise_problems`."""

    def __init__(self, path: Path, *, yaml_1_1: bool = False) -> None:
        """yaml_1_1: read numbers as PyYAML and W&B do."""
        loader = _Loader if yaml_1_1 else _WithNumbers
        self.path = path
        self.problems: list[Problem] = []
        try:
            text = path.read_text(encoding="utf-8")
            root = yaml.compose(text, Loader=loader)
            content = yaml.load(text, Loader=loader)
        except (OSError, UnicodeError, yaml.YAMLError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{path}, line {mark.line + 1}" if mark else str(path)
            what = f"it cannot be read: {getattr(error, 'problem', None) or error}"
            raise ConfigError(Problem(what, where)) from error
        if not isinstance(content, dict):
            raise ConfigError(Problem("it is no mapping of keys", str(path), "name: ..., one below the other"))
        self.content: dict[str, Any] = content
        self._lines: dict[str, int] = {}
        self._note(root, "")

    def _note(self, node: Any, key: str) -> None:
        self._lines[key] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            for name, value in node.value:
                below = f"{key}.{name.value}".lstrip(".")
                self._note(value, below)
                self._lines[below] = name.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self._note(value, f"{key}.{number}")

    def where(self, key: str) -> str:
        """File, line and key, for messages; the nearest key above where the key itself is not there."""
        above = key
        while above and above not in self._lines:
            above = above.rpartition(".")[0]
        return f"{self.path}, line {self._lines.get(above, 1)}" + (f" ({key})" if key else "")

    def problem(self, key: str, what: str, allowed: str = "", hint: str = "") -> None:
        """Note a problem of a key."""
        found = Problem(what, self.where(key), allowed, hint)
        if found not in self.problems:
            self.problems.append(found)

    def raise_problems(self) -> None:
        """Raise ConfigError when there are any."""
        if self.problems:
            raise ConfigError(self.problems)

    def at(self, key: str) -> Any:
        """The value of a dotted key, None where there is none."""
        value: Any = self.content
        for part in key.split(".") if key else ():
            if isinstance(value, list):
                value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
            else:
                # An arm's own name may hold a dot; such keys are read from their parent.
                value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def mapping(self, key: str) -> dict[Any, Any]:
        """The mapping at a key; empty where there is none."""
        value = self.at(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(key, f"{key} is a mapping of names", hint="name: value, one below the other")
            return {}
        return value

    def only(self, allowed: Sequence[str], key: str = "") -> None:
        """Note keys that mean nothing, with the nearest that does."""
        value = self.at(key) if key else self.content
        self.only_of(value if isinstance(value, Mapping) else {}, allowed, key)

    def unknown(self, key: str, kind: str, given: str, allowed: Sequence[str]) -> None:
        """Note a word that names nothing, with the nearest that does."""
        guess = nearest(given, allowed)
        self.problem(key, f"there is no {kind} {given}", ", ".join(allowed), f"did you mean {guess}?" if guess else "")

    def only_of(self, value: Mapping[Any, Any], allowed: Sequence[str], key: str) -> None:
        """The same for a mapping whose own key may hold dots."""
        for name in value:
            if name not in allowed:
                guess = nearest(str(name), allowed)
                below = f"{key}.{name}".lstrip(".")
                self.problem(below, f"there is no key {below}", ", ".join(allowed), f"did you mean {guess}?" if guess else "")

    def seeds(self, key: str) -> tuple[int, ...]:
        """A list of seeds, or how many there are."""
        value = self.at(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return tuple(range(value))
        if isinstance(value, list) and value and all(isinstance(seed, int) and seed >= 0 for seed in value):
            if len(set(value)) < len(value):
                self.problem(key, "a seed is named twice", hint="a run repeated is no second run")
            return tuple(value)
        self.problem(key, f"{key}: {value} are no seeds", "a list of whole numbers from 0, or how many")
        return ()
