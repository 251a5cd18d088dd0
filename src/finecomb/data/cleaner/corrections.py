"""Which words of a corpus are misspellings, and of what: the rule behind the step `spelling`.

An unknown word w is taken for a misspelling of a word r that the corpus knows well where the noisy channel speaks for it (Kernighan, Church
and Gale 1990): the count of r times the likelihood of the slip that makes w of r has to be `min_ratio` times the count of w, and twenty
times that of every other word near w together. Slips are weighed by their kind (two letters exchanged are likelier than one for another),
and those at the end of a word hardly count, since endings make other words. Short words need more, for most strings of three letters mean
something somewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from finecomb.data.cleaner.steps.spelling import SpellingOptions

# Likelihoods of slips relative to one letter too many. Chosen on linux-doc, Python's documentation and film reviews by
# benchmarks/spelling.py, which has newspaper editorials besides.
_EXCHANGED, _DOUBLED, _MISSING, _ADDED, _VOWEL, _NEIGHBOUR, _OTHER, _TWO_SLIPS, _AT_END = 5.0, 3.0, 2.0, 1.0, 1.0, 0.5, 0.3, 0.3, 0.1
# How much more words of 3, 4, 5, 6 letters need.
_SHORT = (100.0, 30.0, 4.0, 2.0)
_RIVALS = 20.0
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýœ")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True)
class Correction:
    """A misspelling, what it stands for, and how often each stands in the corpus."""

    wrong: str
    right: str
    count: int
    count_right: int


def corrections(
    lower: Counter[str], capital: Counter[str], elsewhere: frozenset[str], known: Mapping[str, int], config: SpellingOptions
) -> list[Correction]:
    """The corrections, the most frequent first.

    lower, capital: how often words stand in running text in lower case, and with a capital. elsewhere: words that also stand in code, paths
    and identifiers or in texts of another language, and so mean something there. known: the dictionary.
    """
    from symspellpy import SymSpell, Verbosity

    suspects = [
        word
        for word, count in sorted(lower.items(), key=lambda each: (-each[1], each[0]))
        if word not in known and len(word) >= config.min_length and count <= config.max_count and capital[word] < count
        and word not in elsewhere and _VOWELS & set(word)
    ]  # fmt: skip
    if not suspects:
        return []
    speller = SymSpell(max_dictionary_edit_distance=2, prefix_length=7)
    for word in sorted(lower.keys() & known.keys()):
        speller.create_dictionary_entry(word, lower[word])
    rows = []
    for word in suspects:
        distance = 2 if len(word) >= config.two_edits_from else 1
        # Of two slips only where no word is one slip away. A first letter is seldom wrong, unless it changed places with the second.
        found = speller.lookup(word, Verbosity.CLOSEST, max_edit_distance=distance)
        near = sorted(((likelihood(word, each.term) * lower[each.term], each.term, each.distance) for each in found), reverse=True)
        if not near:
            continue
        weight, right, edits = near[0]
        extra = _SHORT[len(word) - 3] if len(word) - 3 < len(_SHORT) else 1.0
        rivals = sum(other for other, _, _ in near[1:])
        if weight < config.min_ratio * lower[word] * extra or rivals * _RIVALS > weight or _other_word(word, right, known, edits):
            continue
        rows.append(Correction(word, right, lower[word], lower[right]))
    return rows


def likelihood(wrong: str, right: str) -> float:
    """How likely a slip makes `wrong` of `right`, relative to a letter too many. 0 for another first letter."""
    start = 0
    while start < min(len(wrong), len(right)) and wrong[start] == right[start]:
        start += 1
    end = 0
    while end < min(len(wrong), len(right)) - start and wrong[-1 - end] == right[-1 - end]:
        end += 1
    is_, should = wrong[start : len(wrong) - end], right[start : len(right) - end]
    if len(is_) == 2 and is_ == should[::-1]:
        return _EXCHANGED
    if start == 0:
        return 0.0
    longer = right if should else wrong
    return _kind(is_, should, longer[start - 1], longer[start + 1 : start + 2]) * (_AT_END if end == 0 else 1.0)


def _kind(wrong: str, right: str, before: str, after: str) -> float:
    """The likelihood by the letters that differ; before, after: the letters around one that is missing or too many."""
    if not wrong and len(right) == 1:
        return _DOUBLED if right in (before, after) else _MISSING
    if not right and len(wrong) == 1:
        return _DOUBLED if wrong in (before, after) else _ADDED
    if len(wrong) != 1 or len(right) != 1:
        return _TWO_SLIPS
    if wrong in _VOWELS and right in _VOWELS:
        return _VOWEL
    return _NEIGHBOUR if _are_neighbours(wrong, right) else _OTHER


def _are_neighbours(first: str, second: str) -> bool:
    """Whether two keys touch."""
    place = {key: (row, column) for row, keys in enumerate(_KEYS) for column, key in enumerate(keys)}
    if first not in place or second not in place:
        return False
    (row, column), (other_row, other) = sorted((place[first], place[second]))
    return (other_row - row, other - column) in ((0, 1), (1, 0), (1, -1))


def _other_word(word: str, other: str, known: Mapping[str, int], distance: int) -> bool:
    """Whether a word is a dictionary word with an ending or a prefix that the list happens to miss, or two words written together."""
    if word.startswith(other) or other.startswith(word) or word.endswith(other):
        return True
    stems = [word[: -len(end)] for end in ("s", "es", "ed", "er", "ers", "ing", "able", "ness", "ly", "less") if word.endswith(end)]
    stems += [f"{word[: -len(end)]}e" for end in ("ed", "er", "ers", "ing", "able") if word.endswith(end)]
    stems += [word[len(start) :] for start in ("re", "un", "non", "sub", "pre", "de", "multi", "auto", "over") if word.startswith(start)]
    stems += [word[:cut] for cut in range(len(word) - distance, len(word)) if cut > 3]
    if any(len(stem) > 2 and stem in known for stem in stems):
        return True
    return any(word[:cut] in known and word[cut:] in known for cut in range(3, len(word) - 2))
