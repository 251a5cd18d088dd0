"""Values written as Hydra's overrides, so that Hydra reads back the very value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Text that Hydra takes for itself. What reads as a number, a boolean or null must be quoted to stay text.
_PLAIN = re.compile(r"[A-Za-z_./:@-][\w./:@ +-]*(?<! )")
_WORDS = re.compile(r"(?i:true|false|null|nan|inf|on|off|yes|no)|[-+.]?(inf|nan|\d[\d_.e+-]*)", re.IGNORECASE)


def override(key: str, value: Any) -> str:
    """`key=value`. Raises TypeError for a value that no config holds."""
    return f"{key}={value_text(value)}"


def value_text(value: Any) -> str:
    """The value alone: null, true, 0.0003, text (in quotes where Hydra would read something else), [a,b], {k:v}."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value) else _quoted(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{value_text(item)}" for name, item in value.items()) + "}"
    raise TypeError(f"{value!r} cannot be an override")


def _quoted(text: str) -> str:
    """Single quotes; a backslash counts as one only before a quote or at the end, as Hydra's grammar has it."""
    escaped = re.sub(r"(\\*)(')", lambda found: found[1] * 2 + "\\'", text)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{chr(92) * trailing}'"
