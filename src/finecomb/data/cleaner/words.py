"""What a word is, one rule for all steps: a run of letters, digits and underscores; in scripts without spaces each character by itself.

Scripts without spaces between words: Chinese, Japanese, Thai, Lao, Khmer, Burmese. Taking their runs for words would make a paragraph one
word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from finecomb.config.errors import Problem, UserError
from finecomb.data.scripts import UNSPACED

_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_UNSPACED = re.compile(f"[{UNSPACED}]")
SAMPLE = 200  # texts whose language is asked before rules for one language are applied
ENOUGH = 0.5


def words(text: str) -> list[str]:
    """The words of a text."""
    return (_ASCII_WORD if text.isascii() else _WORD).findall(text)


def spaced(text: str) -> str:
    """The words of a text with one space between each."""
    return " ".join(words(text))


def unspaced_share(text: str) -> float:
    """Share of the characters that belong to scripts without spaces."""
    return 0.0 if text.isascii() or not text else len(_UNSPACED.findall(text)) / len(text)


def require_language(texts: Sequence[str], language: str, step: str, where: str = "") -> None:
    """Raise UserError when most of a sample of the texts are in another language than a step's rules were written for.

    where: the key that asks for the rules, if it is not the step's. The sample is spread evenly; texts too short to tell are passed over.
    """
    from finecomb.data.cleaner.language import identify

    long = [text for text in texts if len(text) >= 60 or unspaced_share(text) > 0.3]
    sample = long[:: max(1, len(long) // SAMPLE)][:SAMPLE]
    if not sample:
        return
    found = [identify(text)[0] for text in sample]
    if found.count(language) < ENOUGH * len(sample):
        most = max(set(found), key=found.count)
        what = f"the rules of {step} were written for {language!r}; {found.count(most):,} of a sample of {len(sample):,} texts are {most!r}"
        mend = "leave the step out, or say which language its rules are to be applied to by its key `language`"
        raise UserError(Problem(what, where or f"cleaner.steps.{step}", mend=mend))
