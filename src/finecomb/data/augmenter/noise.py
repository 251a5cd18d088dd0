"""Errors that people and machines make: neighbouring keys, misread characters, wrong case."""

from __future__ import annotations

import functools
import re

from finecomb.config.schema import augmenter as schema
from finecomb.data.augmenter.operation import Edit, EditOperation, Refusal, how_many
from finecomb.data.augmenter.word_spans import Protection
from finecomb.data.chance import Draws

# Rows of keys; each row stands about half a key to the right of the one above.
_ROWS = {
    "qwerty": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    "azerty": ("azertyuiop", "qsdfghjklm", "wxcvbn"),
}
# What scanners confuse, both ways; those of several letters first.
_CONFUSED = (
    *(("rn", "m"), ("cl", "d"), ("vv", "w"), ("li", "h"), ("ii", "u"), ("nn", "m")),
    *(("O", "0"), ("o", "0"), ("l", "1"), ("I", "l"), ("I", "1"), ("S", "5"), ("B", "8"), ("Z", "2"), ("G", "6"), ("g", "9")),
    *(("e", "c"), ("u", "v"), ("h", "b"), ("t", "f"), ("i", "j"), ("ß", "B"), ("ü", "u"), ("ö", "o"), ("ä", "a"), ("é", "e")),
)


@functools.cache
def neighbours(layout: str) -> dict[str, str]:
    """For each letter of a keyboard the letters beside it, above and below."""
    rows = _ROWS[layout]
    neighbors: dict[str, str] = {}
    for number, row in enumerate(rows):
        for column, key in enumerate(row):
            beside = [row[at] for at in (column - 1, column + 1) if 0 <= at < len(row)]
            above = [rows[number - 1][at] for at in (column, column + 1) if number > 0 and at < len(rows[number - 1])]
            below = [rows[number + 1][at] for at in (column - 1, column) if number + 1 < len(rows) and 0 <= at < len(rows[number + 1])]
            neighbors[key] = "".join([*beside, *above, *below])
    return neighbors


class Keyboard(EditOperation):
    """Mistypes letters; a capital stays one."""

    def __init__(self, config: schema.Keyboard, protection: Protection) -> None:
        self._strength, self._keys, self._protection = config.strength, neighbours(config.layout), protection

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        places = [
            word.start + at
            for word in self._protection.touchable(text)
            for at, letter in enumerate(word.text)
            if letter in self._keys or (letter.isupper() and letter.lower() in self._keys)
        ]
        if not places:
            return []
        edits = []
        for place in draws.some(places, how_many(self._strength, len(places))):
            letter = text[place]
            typed = draws.one(self._keys[letter.lower()])
            edits.append(Edit(place, place + 1, typed.upper() if letter.isupper() else typed))
        return edits


_READINGS: dict[str, list[str]] = {}
for _one, _other in _CONFUSED:
    _READINGS.setdefault(_one, []).append(_other)
    _READINGS.setdefault(_other, []).append(_one)
_CONFUSABLE = re.compile("|".join(sorted(map(re.escape, _READINGS), key=len, reverse=True)))


class Ocr(EditOperation):
    """Misreads characters, one at a time or two as one."""

    def __init__(self, config: schema.Ocr, protection: Protection) -> None:
        self._strength, self._protection = config.strength, protection

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        places = [
            (word.start + match.start(), word.start + match.end(), match[0])
            for word in self._protection.touchable(text)
            for match in _CONFUSABLE.finditer(word.text)
        ]
        chosen = draws.some(places, how_many(self._strength, len(places))) if places else []
        return [Edit(start, end, draws.one(_READINGS[read])) for start, end, read in chosen]


class Case(EditOperation):
    """Changes the case of words."""

    def __init__(self, config: schema.Case, protection: Protection) -> None:
        self._strength, self._protection = config.strength, protection
        self._change = {"flip": str.swapcase, "lower": str.lower, "upper": str.upper}[config.to]

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation."""
        touchable = [word for word in self._protection.touchable(text) if self._change(word.text) != word.text]
        chosen = draws.some(touchable, how_many(self._strength, len(touchable))) if touchable else []
        return [Edit(word.start, word.end, self._change(word.text)) for word in chosen]
