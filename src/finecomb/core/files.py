"""Reading and writing the small files of a run, with one clear error for a file that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem

# libyaml's loader is ten times faster; it is missing only where PyYAML was built without it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises ConfigError naming the file when it is missing or broken."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _mapping(path, value)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML mapping; raises ConfigError naming the file when it is missing or broken."""
    try:
        value = yaml.load(path.read_bytes(), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise _unreadable(path, error) from error
    return _mapping(path, value)


def write_yaml(path: Path, value: dict[str, Any]) -> None:
    """Write plain values as YAML, keys in the given order."""
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=140)
    atomic.write_text(path, text)


def write_volatile(path: Path, value: dict[str, Any]) -> None:
    """Write JSON that readers see whole but that may be lost on a crash or a full disk: for what is only shown."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(value))
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _mapping(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unreadable(path, ValueError(f"holds {type(value).__name__}, not a mapping"))
    return value


def _unreadable(path: Path, error: Exception) -> ConfigError:
    reason = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {str(error).splitlines()[0]}"
    return ConfigError(
        Problem(
            what=f"{path.name} of the run {path.parent.name} {reason}",
            where=str(path),
            hint=f"this run directory is damaged; delete or move {path.parent} and ask for the run again",
        )
    )
