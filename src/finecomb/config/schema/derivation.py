"""Where the values of a config come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Origin:
    """What set a value last: a YAML file with its line, or an override."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Derivation:
    """How a config was composed. It travels with the config through `dataclasses.replace`, and is no part of its identity.

    choices: the option of each group and bundle. overrides: as Hydra takes them. origins: for each dotted key the file and line, or the
    override, that set it. plugin_dirs: folders of the plug-ins that were loaded. values: the composed values by dotted key, so that a
    value that was changed later is recognized.
    """

    choices: Mapping[str, str | None] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    plugin_dirs: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
