"""The shipped cleaning steps: their kinds and options, read from `data/cleaner/steps/*.py` without importing those files.

A step is one file: a dataclass of options, the class of the step, and `CLEANING_STEPS = {"kind": (Options, Class)}`, as in a plug-in. Help,
validation and completion need the options alone, and need them on every start, while the files import NumPy and belong to `data`, which
`config` does not import. So the source of the option classes is cut out of the file's text and executed by itself; it may refer to nothing
but `option`, `Any`, `Optional` and built-in types. tests/data/test_cleaner_steps.py compares the result with the imported classes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from finecomb.config.schema.base import option

FOLDER = Path(__file__).resolve().parents[1] / "data" / "cleaner" / "steps"
_TABLE = re.compile(r"^CLEANING_STEPS = \{(.*?)\}$", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r'"(\w+)": \((\w+), \w+\)')
_CLASS = re.compile(r"^@dataclass\nclass (\w+):\n(?:(?:[ \t].*)?\n)+", re.MULTILINE)


@dataclass(frozen=True)
class StepFile:
    """Where a kind of step is defined. module: the name of its file in the folder. options: the dataclass of its options."""

    module: str
    options: type


@functools.cache
def shipped() -> Mapping[str, StepFile]:
    """The shipped steps by kind, in alphabetical order."""
    steps = {kind: StepFile(path.stem, cls) for path in FOLDER.glob("*.py") for kind, cls in _options(path).items()}
    return dict(sorted(steps.items()))


def _options(path: Path) -> dict[str, type]:
    """The option classes of a file by kind of step."""
    text = path.read_text(encoding="utf-8")
    table = _TABLE.search(text)
    classes = {match[1]: match[0] for match in _CLASS.finditer(text)}
    namespace: dict[str, Any] = {"__name__": __name__, "dataclass": dataclass, "option": option, "Any": Any, "Optional": Optional}
    found = {}
    for kind, name in _ENTRY.findall(table[1]) if table else ():
        exec(compile(classes[name], str(path), "exec", dont_inherit=True), namespace)
        found[kind] = namespace[name]
    return found
