"""The same text about another person: every term of a list gives way to its counterpart (counterfactual data augmentation: Lu et al. 2018,
arXiv:1807.11714; Zhao et al. 2018, arXiv:1804.06876).

The list is tab-separated, one rule on a line, `term<TAB>counterpart<TAB>way`:

    way          what it means
    (none)       both are swapped for each other
    one          the term gives way to the counterpart, not the other way round
    before_noun  like one, where a word follows directly that is not among the `function` words: her book -> his book
    otherwise    like one, where before_noun does not hold: saw her -> saw him
    function     (no counterpart) a word before which a term of `before_noun` is no determiner
    keep         (no counterpart) left as it is, though a term may be part of it: s/he
    refuse       (no counterpart) a text with this word gets no counterfactual: its counterpart cannot be told from the word alone

A term in small letters is found in any case and its counterpart takes that case; one with a capital (a name) is found only with a capital.
Terms end at letters, digits, marks and hyphens, so `he` is not found in `the` or `he-man`, but in `he's`; in scripts without spaces they
are found wherever they stand, the longest first. before_noun is a rule of thumb: "I gave her flowers" is taken for a determiner.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from finecomb.core.errors import ConfigError, Problem
from finecomb.data.augmenter.operation import Edit, EditOperation, Refusal
from finecomb.data.augmenter.rewording import in_case_of
from finecomb.data.augmenter.word_spans import lines_of, marks, shipped, words
from finecomb.data.chance import Draws
from finecomb.data.scripts import UNSPACED

WAYS = ("", "one", "before_noun", "otherwise", "function", "keep", "refuse")
AMBIGUOUS = Refusal("a term with no certain counterpart")


class Terms:
    """The rules of a list, and where their terms stand in a text."""

    def __init__(self, lines: Sequence[str], where: str) -> None:
        self.lines = list(lines)
        self.swap: dict[str, str] = {}
        self.before_noun: dict[str, str] = {}
        self.function: set[str] = set()
        self.kept: set[str] = set()
        self.refused: set[str] = set()
        problems = [problem for number, line in enumerate(lines, 1) if (problem := self._read(line, number, where))]
        if not problems and not self.swap and not self.before_noun:
            problems = [Problem("the list has no terms", where, "term<TAB>counterpart on each line")]
        if problems:
            raise ConfigError(problems[:5])
        self._pattern = self._compiled()

    def _read(self, line: str, number: int, where: str) -> Problem | None:
        term, counterpart, way, *_ = [cell.strip() for cell in line.split("\t")] + ["", ""]
        place = f"{where}, rule {number}"
        if way not in WAYS:
            return Problem(f"the way {way!r} is not known", place, ", ".join(filter(None, WAYS)))
        if way in ("function", "keep", "refuse"):
            {"function": self.function, "keep": self.kept, "refuse": self.refused}[way].add(term)
            return None
        if not term or not counterpart:
            return Problem(f"{line!r} has no counterpart", place, "term<TAB>counterpart<TAB>way, with tabs")
        if way == "before_noun":
            self.before_noun[term] = counterpart
            return None
        for one, other in ((term, counterpart), (counterpart, term))[: 1 if way else 2]:
            if self.swap.setdefault(one, other) != other:
                what = f"{one!r} has two counterparts, {self.swap[one]!r} and {other!r}"
                return Problem(what, place, hint="keep one, mark one line `one`, or tell them apart by before_noun and otherwise")
        return None

    def _compiled(self) -> re.Pattern[str]:
        # One table for any case: names are told from other words by their capital when they are found.
        terms = sorted({*self.swap, *self.before_noun, *self.kept, *self.refused}, key=lambda term: (-len(term), term))
        letter = rf"[^\W{UNSPACED}]|[{marks()}\-]"
        unspaced = [re.escape(term) for term in terms if re.match(f"[{UNSPACED}]", term)]
        spaced = [re.escape(term).replace("'", "['’]") for term in terms if not re.match(f"[{UNSPACED}]", term)]
        parts = [rf"(?<!{letter.replace('|', ')(?<!')})(?:{'|'.join(spaced)})(?!{letter})"] if spaced else []
        return re.compile("|".join([*parts, *unspaced]), re.IGNORECASE)

    def find(self, text: str) -> list[re.Match[str]]:
        """Where terms stand that are to be swapped or refused."""
        return [match for match in self._pattern.finditer(text) if self.listed(match[0]) is not None]

    def listed(self, term: str) -> str | None:
        """A term of a text as the list has it; None for a name without its capital."""
        plain = term.replace("’", "'")
        named = plain[:1].upper() + plain[1:].lower() if plain[:1].isupper() else plain
        candidates = (plain, named, plain.lower())
        known = (self.swap, self.before_noun, self.refused)
        return next((each for each in candidates if any(each in terms for terms in known)), None)

    def counterpart(self, text: str, match: re.Match[str]) -> str | None:
        """What a term gives way to, in its case; None where that cannot be told."""
        listed = self.listed(match[0])
        assert listed is not None
        if listed in self.refused:
            return None
        chosen = self.before_noun.get(listed) if listed in self.before_noun and self._noun_follows(text, match.end()) else None
        chosen = chosen or self.swap.get(listed)
        return None if chosen is None else in_case_of(match[0], chosen)

    def _noun_follows(self, text: str, end: int) -> bool:
        following = re.compile(r"[ \t\n]+(?=\w)").match(text, end)
        if following is None:
            return False
        word = words(text[following.end() : following.end() + 60])
        return bool(word) and word[0].start == 0 and word[0].text.casefold() not in self.function


class Counterfactual(EditOperation):
    """Swaps every term of a text, or none."""

    speaks = True

    def __init__(self, terms: Terms) -> None:
        self._terms = terms

    def edits(self, text: str, draws: Draws) -> list[Edit] | Refusal:
        """See EditOperation. Nothing is drawn: every term is swapped."""
        edits = []
        for match in self._terms.find(text):
            counterpart = self._terms.counterpart(text, match)
            if counterpart is None:
                return AMBIGUOUS
            edits.append(Edit(*match.span(), counterpart))
        return edits

    def inputs(self) -> list[str]:
        """See Operation."""
        return self._terms.lines


def terms(file: str | None, language: str, where: str) -> Terms:
    """The rules of a file, or the shipped ones of a language. Raises ConfigError for rules that cannot be used."""
    if file is None:
        return Terms(shipped("counterfactual", language, where, f"name a file of your own: {where}.terms=FILE"), f"{language} terms")
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(Problem(f"there is no file {path}", f"{where}.terms"))
    return Terms(lines_of(path), str(path))
