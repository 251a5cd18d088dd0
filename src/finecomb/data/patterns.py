"""Regular expressions of users, by RE2: the time of a search is linear in the text, whatever the pattern."""

from __future__ import annotations

from typing import Any

from finecomb.core.errors import ConfigError, Problem

_MEMORY = 256 << 20  # bytes that a compiled pattern may take: a list of words is one pattern


def compiled(pattern: str, where: str, *, any_case: bool = False, longest: bool = False) -> Any:
    """Compile a pattern of RE2.

    Args:
        pattern: the pattern.
        where: the key or option that it comes from.
        any_case: capitals and small letters are the same.
        longest: of all matches at a place the longest, not that of the first alternative.

    Raises:
        ConfigError: RE2 does not support the pattern.
    """
    import re2

    options = re2.Options()
    options.log_errors, options.max_mem = False, _MEMORY
    options.case_sensitive, options.longest_match = not any_case, longest
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        hint = "patterns are those of RE2: no look-around and no back references, so that no text can make them slow"
        raise ConfigError(Problem(f"the pattern {pattern[:200]!r} cannot be used: {detail}", where, hint=hint)) from error
