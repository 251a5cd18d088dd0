"""The words of many texts at once, as NumPy arrays: where each begins and ends, and a hash of it. The same words as `words.words`.

Python's regular expressions make an object of each word, which costs more than everything that is then done with it.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finecomb.data.cleaner.word_hashes import I64, PRIME, U64, mixed
from finecomb.data.scripts import UNSPACED

CHUNK = 1 << 18  # characters at once: what fits the caches is faster than fewer, larger pieces
_WORD, _ALONE, _SPACE, _LETTER = 1, 2, 4, 8
_PAD = 8  # so many NULs follow the last text, so that eight bytes can be read at each word


@dataclass(frozen=True)
class WordArrays:
    """Words of some texts in order. begins, ends: positions in `codes`, all texts one after the other, each followed by a NUL.

    first: number of the first word of each text, and one more entry. texts: where each text begins in `codes`, and one more entry.
    """

    codes: NDArray[Any]
    kinds: NDArray[np.uint8]
    begins: I64
    ends: I64
    first: I64
    texts: I64

    @property
    def lengths(self) -> I64:
        """Characters of each word."""
        return self.ends - self.begins

    @property
    def counts(self) -> I64:
        """Words of each text."""
        return np.diff(self.first)

    def text_of_word(self) -> I64:
        """The number of the text that each word stands in."""
        return np.repeat(np.arange(len(self.first) - 1), self.counts)

    def hashes(self) -> U64:
        """A hash of each word, capitals told apart; to be compared only with others of these arrays, for it depends on their coding."""
        data, width = self.codes.view(np.uint8), self.codes.itemsize
        eight = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
        at, left = self.begins * width, self.lengths * width
        found = mixed((eight[at] & _MASKS[np.minimum(left, 8)]) + left.astype(np.uint64) * PRIME)
        rest = np.flatnonzero(left > 8)
        while len(rest):
            at[rest] += 8
            left[rest] -= 8
            with np.errstate(over="ignore"):
                found[rest] = mixed(found[rest] * PRIME + (eight[at[rest]] & _MASKS[np.minimum(left[rest], 8)]))
            rest = rest[left[rest] > 8]
        return found

    def sums(self, of_words: NDArray[Any]) -> I64:
        """A number for each word added up over each text."""
        total = np.concatenate([[0], np.cumsum(of_words, dtype=np.int64)])
        return total[self.first[1:]] - total[self.first[:-1]]

    def tokens_with_letter(self) -> tuple[I64, I64]:
        """For each text: of the runs between white space (as `str.split` finds them) how many hold a letter, and how many there are."""
        inside = (self.kinds & _SPACE) == 0
        inside[self.texts[1:] - 1] = False
        inside[self.texts[-1] :] = False
        begins, ends = inside.copy(), inside.copy()
        begins[1:] &= ~inside[:-1]
        ends[:-1] &= ~inside[1:]
        first, last = np.flatnonzero(begins), np.flatnonzero(ends)
        letters = np.cumsum((self.kinds & _LETTER) != 0)
        # The first of a run may be a letter itself: what counts is the sum before it.
        before = letters[first] - ((self.kinds[first] & _LETTER) != 0)
        holding = np.concatenate([[0], np.cumsum(letters[last] > before)])
        places = np.searchsorted(first, self.texts)
        return holding[places[1:]] - holding[places[:-1]], np.diff(places)


_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)


def chunks(texts: Sequence[str], size: int = CHUNK) -> Iterator[tuple[list[int], WordArrays]]:
    """Words of as many texts at once as fit the caches, with the numbers of those texts. Texts beyond ASCII come last, by themselves."""
    for plain in (True, False):
        numbers: list[int] = []
        characters = 0
        for number, text in enumerate(texts):
            if text.isascii() is not plain:
                continue
            if numbers and characters + len(text) > size:
                yield numbers, scan([texts[each] for each in numbers])
                numbers, characters = [], 0
            numbers.append(number)
            characters += len(text) + 1
        if numbers:
            yield numbers, scan([texts[each] for each in numbers])


def scan(texts: Sequence[str]) -> WordArrays:
    """The words of these texts."""
    codes, kinds = _coded("\0".join(texts) + "\0" * (1 + _PAD))
    word = (kinds & _WORD).view(np.bool_)
    begins, ends = word.copy(), word.copy()
    begins[1:] &= ~word[:-1]
    ends[:-1] &= ~word[1:]
    if codes.itemsize > 1:
        alone = (kinds & _ALONE) != 0
        begins |= alone
        ends |= alone
    first, last = np.flatnonzero(begins), np.flatnonzero(ends) + 1
    places = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter((len(text) + 1 for text in texts), dtype=np.int64, count=len(texts)), out=places[1:])
    return WordArrays(codes, kinds, first, last, np.searchsorted(first, places), places)


def _coded(text: str) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """The code points of a text in as few bytes as they fit, and what each is. No character below 256 is a word by itself."""
    try:
        data = text.encode("latin-1")
    except UnicodeEncodeError:
        wide = text.encode("utf-16-le", "surrogatepass")
        if len(wide) == 2 * len(text):
            codes: NDArray[Any] = np.frombuffer(wide, dtype=np.uint16)
        else:
            codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        return codes, _kinds()[codes]
    return np.frombuffer(data, dtype=np.uint8), np.frombuffer(data.translate(_kinds()[:256].tobytes()), dtype=np.uint8)


@functools.cache
def _kinds() -> NDArray[np.uint8]:
    """Of each character whether it is of a word (as Python's pattern has it), a word by itself, white space, a letter."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    kinds = np.zeros(len(every), dtype=np.uint8)
    for pattern, kind in ((r"\w+", _WORD), (r"\s+", _SPACE)):
        for run in re.finditer(pattern, every):
            kinds[slice(*run.span())] |= kind
    of_words = np.flatnonzero(kinds & _WORD)
    letters = np.fromiter(map(str.isalpha, map(chr, of_words)), dtype=np.bool_, count=len(of_words))
    kinds[of_words[letters]] |= _LETTER
    for run in re.finditer(f"[{UNSPACED}]+", every):
        part = slice(*run.span())
        kinds[part] = (kinds[part] & ~np.uint8(_WORD)) | _ALONE
    return kinds
