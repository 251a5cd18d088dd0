"""The four operations of EDA (Wei & Zou 2019, "EDA: Easy Data Augmentation", EMNLP): words replaced, put in, exchanged, left out.

Unlike the paper's, deletion takes a fixed share of the words instead of tossing for each, and every operation spares protected
words. The paper's advice is strength 0.05 to 0.1, and fewer new rows the more there are already: rate 4 each for 500, 1 each from 5,000 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from finecomb.config.schema import augmenter as schema
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.augmenter.operation import Edit, EditOperation, Refusal, how_many
from finecomb.data.augmenter.word_spans import Protection, Word, lines_of, shipped
from finecomb.data.chance import Draws


class Deletion(EditOperation):
    """Takes words out, each with the white space behind it (before it, at the end of the text)."""

    def __init__(self, config: schema.Deletion, protection: Protection) -> None:
        self._strength, self._protection = config.strength, protection

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        touchable = self._protection.touchable(text)
        gone = draws.some(touchable, min(how_many(self._strength, len(touchable)), len(touchable) - 1)) if len(touchable) > 1 else []
        cuts = sorted(_with_space(text, word) for word in gone)
        joined: list[Edit] = []
        for cut in cuts:  # two words at the end may ask for the same white space
            start = max(cut.start, joined[-1].end) if joined else cut.start
            joined.append(Edit(start, cut.end, ""))
        return joined


def _with_space(text: str, word: Word) -> Edit:
    start, end = word.start, word.end
    while end < len(text) and text[end].isspace():
        end += 1
    if end == word.end and end == len(text):
        while start > 0 and text[start - 1].isspace():
            start -= 1
    return Edit(start, end, "")


class Swap(EditOperation):
    """Exchanges words in pairs."""

    def __init__(self, config: schema.Swap, protection: Protection) -> None:
        self._strength, self._protection = config.strength, protection

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        touchable = self._protection.touchable(text)
        if len(touchable) < 2:
            return []
        pairs = max(1, round(self._strength * len(touchable) / 2))
        chosen = draws.some(touchable, 2 * min(pairs, len(touchable) // 2))
        return [
            Edit(one.start, one.end, other.text)
            for first, second in zip(chosen[::2], chosen[1::2], strict=True)
            for one, other in ((first, second), (second, first))
        ]


class Thesaurus:
    """Words that may stand for each other, in the case of the word they stand for."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self._others: dict[str, list[str]] = {}
        for line in lines:
            words = [word.strip() for word in line.split("\t") if word.strip()]
            for word in words:
                synonyms = self._others.setdefault(word.casefold(), [])
                synonyms += [other for other in words if other != word and other not in synonyms]

    def of(self, word: str) -> list[str]:
        """Synonyms of a word, in its case; none where it is not listed."""
        return [in_case_of(word, other) for other in self._others.get(word.casefold(), ())]


def in_case_of(word: str, other: str) -> str:
    """`other` in capitals or with a capital, as `word` is; otherwise as it is listed."""
    if len(word) > 1 and word.isupper():
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other


def thesaurus(file: str | None, language: str, where: str) -> Thesaurus:
    """The thesaurus of a file, or the shipped one of a language. Raises ConfigError for a file without synonyms."""
    if file is None:
        return Thesaurus(shipped("synonyms", language, where, f"name a file of your own: {where}.file=FILE"))
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(Problem(f"there is no file {path}", f"{where}.file"))
    lines = lines_of(path)
    if not any(line.count("\t") for line in lines):
        what = f"{path} names no synonyms: no line has two words with a tab between them"
        raise ConfigError(Problem(what, f"{where}.file", "big<TAB>large<TAB>huge on a line"))
    return Thesaurus(lines)


class Synonyms(EditOperation):
    """Replaces words by synonyms."""

    speaks = True

    def __init__(self, config: schema.Synonyms, protection: Protection, thesaurus: Thesaurus) -> None:
        self._strength, self._protection, self._thesaurus = config.strength, protection, thesaurus

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        touchable = self._protection.touchable(text)
        known = [(word, others) for word in touchable if (others := self._thesaurus.of(word.text))]
        chosen = draws.some(known, how_many(self._strength, len(touchable))) if known else []
        return [Edit(word.start, word.end, draws.one(others)) for word, others in chosen]

    def inputs(self) -> list[str]:
        """See Operation."""
        return self._thesaurus.lines


class Insertion(EditOperation):
    """Puts synonyms of words of the text before other words of it."""

    speaks = True

    def __init__(self, config: schema.Insertion, protection: Protection, thesaurus: Thesaurus) -> None:
        self._strength, self._protection, self._thesaurus = config.strength, protection, thesaurus

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        touchable = self._protection.touchable(text)
        known = [others for word in touchable if (others := self._thesaurus.of(word.text.lower()))]
        if not known:
            return []
        places = draws.some([word.start for word in touchable], how_many(self._strength, len(touchable)))
        return [Edit(place, place, f"{draws.one(draws.one(known))} ") for place in places]

    def inputs(self) -> list[str]:
        """See Operation."""
        return self._thesaurus.lines
