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

from finecomb.config.errors import Problem, UserError
from finecomb.data.augmenter.marked import Marked
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
    found = [*(code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("M"))]
    runs: list[list[int]] = []
    for code in found:
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in runs)


@functools.cache
def _pattern() -> re.Pattern[str]:
    letter = rf"[^\W{UNSPACED}]"
    run = rf"(?:{letter}[{marks()}]*)+"
    return re.compile(rf"[{UNSPACED}][{marks()}]*|{run}(?:[{_INNER}]{run})*")


def words(text: str) -> list[Word]:
    """The words of a text in order."""
    return [Word(match.start(), match.end(), match[0]) for match in _pattern().finditer(text)]


class Protection:
    """Words that are left alone, in any case; a word that ends in n't is a negation too where those of English are."""

    def __init__(self, words: Sequence[str], *, contractions: bool = False) -> None:
        self.words = {word.casefold() for word in words}
        self._contractions = contractions

    def __contains__(self, word: str) -> bool:
        plain = word.casefold().replace("’", "'")
        return plain in self.words or (self._contractions and plain.endswith("n't"))

    def touchable(self, marked: Marked) -> list[Word]:
        """The words of a text that may be touched: in no span, and not protected."""
        found = [word for word in words(marked.text) if marked.free(word.start, word.end)]
        return [word for word in found if word.text not in self and not self._beside(marked.text, word)]

    def _beside(self, text: str, word: Word) -> bool:
        """Whether a character of a script without spaces is part of a protected word of several."""
        if re.fullmatch(f"[{UNSPACED}].*", word.text) is None:
            return False
        longest = max(map(len, self.words), default=0)
        window = text[max(0, word.start - longest + 1) : word.end + longest - 1]
        offset = word.start - max(0, word.start - longest + 1)
        return any(
            window.startswith(each, at) for each in self.words for at in range(max(0, offset - len(each) + 1), offset + 1) if len(each) > 1
        )


def negations(language: str, others: Sequence[str] = ()) -> Protection:
    """The negation words of a language and some others. Raises UserError where none are shipped."""
    lines = shipped("negations", language, "augmenter.protect", "name the words themselves, or protect nothing: augmenter.protect=[]")
    return Protection([*lines, *others], contractions=language == "en")


def shipped(kind: str, language: str, where: str, mend: str) -> list[str]:
    """The lines of a list that comes with finecomb, without comments. Raises UserError for a language that has none."""
    path = LISTS / f"{kind}.{language}.tsv"
    if not path.is_file():
        known = ", ".join(sorted(other.name.split(".")[1] for other in LISTS.glob(f"{kind}.*.tsv")))
        raise UserError(Problem(f"there is no list of {kind} for language {language!r}", where, f"augmenter.language: {known}", mend))
    return lines_of(path)


def lines_of(path: Path) -> list[str]:
    """The lines of a list: what stands behind # and empty lines are left out."""
    text = path.read_text(encoding="utf-8-sig")
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
