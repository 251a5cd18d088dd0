"""What a word is, one rule for all steps: a run of letters, digits and underscores; in scripts without spaces each character by itself.

Scripts without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese. Taking their runs for words would make a paragraph one
word.
"""

from __future__ import annotations

import re

from finecomb.data.scripts import UNSPACED

_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_UNSPACED = re.compile(f"[{UNSPACED}]")


def words(text: str) -> list[str]:
    """The words of a text."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def spaced(text: str) -> str:
    """The words of a text with one space between each."""
    return " ".join(words(text))


def unspaced_share(text: str) -> float:
    """Share of the characters that belong to scripts without spaces."""
    return 0.0 if text.isascii() or not text else len(_UNSPACED.findall(text)) / len(text)
