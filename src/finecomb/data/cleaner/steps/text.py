"""Steps that look at one text at a time."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal, cast

from finecomb.config.schema.base import option
from finecomb.data.cleaner.step import TextFilter, TextRewrite


@dataclass
class UnicodeOptions:
    """One Unicode normal form for every text."""

    form: str = option("Unicode normal form", allowed=("NFC", "NFKC"))


class Unicode(TextRewrite):
    """Brings texts into one Unicode normal form, so that what looks the same is the same (UAX #15)."""

    def __init__(self, config: UnicodeOptions) -> None:
        self._form = cast("Literal['NFC', 'NFKC']", config.form)

    def rewrite(self, text: str) -> str:
        """The text in normal form."""
        return text if text.isascii() else unicodedata.normalize(self._form, text)


@dataclass
class WhitespaceOptions:
    """White space at the ends goes; runs become one space."""

    collapse: bool = option("runs of white space become one space")


class Whitespace(TextRewrite):
    """Removes white space at both ends and, with `collapse`, makes one space of every run of it."""

    def __init__(self, config: WhitespaceOptions) -> None:
        self._collapse = config.collapse

    def rewrite(self, text: str) -> str:
        """The text without superfluous white space (Unicode's, so no-break spaces and line ends count)."""
        return " ".join(text.split()) if self._collapse else text.strip()


@dataclass
class EmptyOptions:
    """Texts with nothing in them go."""

    min_characters: int = option("drop texts with fewer characters than this that are not white space", low=1)


class Empty(TextFilter):
    """Drops rows with hardly any text."""

    def __init__(self, config: EmptyOptions) -> None:
        self._least = config.min_characters

    def reason(self, text: str) -> str | None:
        """Counts characters that are not white space."""
        # The beginning of most texts has enough.
        enough = any(sum(map(len, part.split())) >= self._least for part in (text[: 64 * self._least], text))
        return None if enough else f"fewer than {self._least} characters"


CLEANING_STEPS = {
    "unicode": (UnicodeOptions, Unicode),
    "whitespace": (WhitespaceOptions, Whitespace),
    "empty": (EmptyOptions, Empty),
}
