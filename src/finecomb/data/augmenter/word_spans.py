"""Where the words of a text are, and which of them may be touched.

A word is a run of letters, digits and marks, apostrophes and hyphens within it; in scripts without spaces each character by itself. Emoji
and punctuation are no words.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.scripts import UNSPACED

LISTS = Path(__file__).parent / "lists"
_INNER = "'’\\-"


class Word(NamedTuple):
    """text[start:end] is a word."""

    start: int
    end: int
    text: str


@functools.cache
def marks() -> str:
    """Combining marks, as the inside of a character class: they belong to the letter before them."""
    codes = [code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M")]
    runs: list[list[int]] = []
    for code in codes:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in runs)


@functools.cache
def _pattern(*, ascii_only: bool) -> re.Pattern[str]:
    if ascii_only:  # the same words, several times as fast
        return re.compile(rf"\w+(?:[{_INNER}]\w+)*", re.ASCII)
    run = rf"(?:[^\W{UNSPACED}][{marks()}]*)+"
    return re.compile(rf"[{UNSPACED}][{marks()}]*|{run}(?:[{_INNER}]{run})*")


def words(text: str) -> list[Word]:
    """The words of a text in order."""
    return [Word(*match.span(), match[0]) for match in _pattern(ascii_only=text.isascii()).finditer(text)]


class Protection:
    """Words that are left alone, in any case, and phrases of several; what ends in n't is a negation too where those of English are."""

    def __init__(self, listed: Sequence[str], *, contractions: bool = False) -> None:
        self.words = {word.casefold() for word in listed}
        self._contractions = contractions
        phrases = sorted((word for word in self.words if len(words(word)) > 1), key=lambda word: (-len(word), word))
        self._phrases = re.compile("|".join(map(re.escape, phrases)), re.IGNORECASE) if phrases else None

    def __contains__(self, word: str) -> bool:
        plain = word.casefold().replace("’", "'")
        return plain in self.words or (self._contractions and plain.endswith("n't"))

    def touchable(self, text: str) -> list[Word]:
        """The words of a text that may be changed: those that are not protected."""
        taken = [match.span() for match in self._phrases.finditer(text)] if self._phrases is not None else []
        return [
            word for word in words(text) if word.text not in self and all(word.end <= start or word.start >= end for start, end in taken)
        ]


def negations(language: str, others: Sequence[str] = ()) -> Protection:
    """The negation words of a language and some others. Raises ConfigError where none are shipped."""
    lines = shipped("negations", language, "augmenter.protect", "name the words themselves, or protect nothing: augmenter.protect=[]")
    return Protection([*lines, *others], contractions=language == "en")


def shipped(kind: str, language: str, where: str, hint: str) -> list[str]:
    """The lines of a list that comes with finecomb, without comments. Raises ConfigError for a language that has none."""
    path = LISTS / f"{kind}.{language}.tsv"
    if not path.is_file():
        known = ", ".join(sorted(other.name.split(".")[1] for other in LISTS.glob(f"{kind}.*.tsv")))
        raise ConfigError(Problem(f"there is no list of {kind} for language {language!r}", where, f"augmenter.language: {known}", hint))
    return lines_of(path)


def lines_of(path: Path) -> list[str]:
    """The lines of a list: what stands behind # and empty lines are left out."""
    text = path.read_text(encoding="utf-8-sig")
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
