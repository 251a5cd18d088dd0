"""Hashes of the words of texts, straight from their UTF-8 bytes: no Python string for any word, a few NumPy operations for each byte.

What a word is and that case does not count is `words(text.lower())` of words.py, for every character of Unicode; tests hold both equal.
Each word is read in blocks of 8 bytes from where it begins, whatever the alignment, so that a hash costs the same few operations for each
word, not for each byte. Words of at most 8 bytes never collide.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import xxhash
from numpy.typing import NDArray

from finecomb.data.scripts import UNSPACED

U8: TypeAlias = NDArray[np.uint8]
U64: TypeAlias = NDArray[np.uint64]
I64: TypeAlias = NDArray[np.int64]
# Odd numbers with well-mixed bits: the golden ratio, and the two of MurmurHash3's finalizer (Appleby, public domain).
PRIME, _MIX, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_HALF = np.uint64(32)
_CASE = np.uint64(0x2020202020202020)
_BLOCK = 8
_BLOCKS = 4  # longer words, of which there are few, are hashed one at a time
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(_BLOCK + 1)], dtype=np.uint64)
_PIECE = 1 << 20  # bytes of a longer text at once
# Beyond this code point Unicode has neither letters nor digits.
_CODES = 0x40000
_OTHER, _LETTER, _SINGLE, _CAPITAL, _SPECIAL = range(5)


def mixed(values: U64) -> U64:
    """Spread every bit of each value, in place; different values stay different."""
    values *= _MIX
    values ^= values >> _HALF
    values *= _MIX2
    values ^= values >> _HALF
    return values


def word_hashes(data: U8, bounds: I64) -> tuple[U64, I64]:
    """Hashes of the words of texts, in order, and how many words each text has.

    data: the texts in UTF-8, one after the other. bounds: where each begins, and where the last ends.
    """
    if len(bounds) == 2 and len(data) > _PIECE:
        parts = [_hashes(piece, np.array([0, len(piece)]))[0] for piece in _pieces(data)]
        return np.concatenate(parts), np.array([sum(map(len, parts))])
    return _hashes(data, bounds)


def _pieces(data: U8) -> Iterator[U8]:
    """A long text in pieces that end after a space or a line end, where no word and no rule for capitals reaches across."""
    start = 0
    while start < len(data):
        end = start + _PIECE
        while end < len(data):
            blanks = np.flatnonzero((data[end - 1 : end + _PIECE] == 32) | (data[end - 1 : end + _PIECE] == 10))
            end += int(blanks[0]) if len(blanks) else _PIECE
            if len(blanks):
                break
        yield data[start:end]
        start = end


def _hashes(data: U8, bounds: I64) -> tuple[U64, I64]:
    size = len(data)
    # A copy with space behind it, so that the last word can be read in whole blocks too.
    padded = np.zeros(size + _BLOCK * _BLOCKS, dtype=np.uint8)
    padded[:size] = data
    text = padded[:size]
    inside = _ascii_words(text)
    beyond = text >= 128
    cuts = bounds[1:-1]
    plain = not beyond.any()
    if not plain:
        tables = _tables()
        places, codes, lengths = _characters(padded, text)
        kinds = tables[0][np.minimum(codes, _CODES)]
        if (special := kinds == _SPECIAL).any():
            return _hashes(*_lowered(data, bounds, places[special]))
        inside |= beyond
        _outside(inside, places, lengths, kinds == _OTHER)
        capital = kinds == _CAPITAL
        _write(padded, places[capital], tables[1][codes[capital]], lengths[capital])
        single = kinds == _SINGLE
        if single.any():
            cuts = np.concatenate([cuts, places[single], (places + lengths)[single]])
    edges = _edges(inside, cuts)
    begins, lengths = edges[::2], edges[1::2] - edges[::2]
    return _of_words(padded, begins, lengths, plain), np.diff(np.searchsorted(begins, bounds))


def _ascii_words(text: U8) -> NDArray[np.bool_]:
    """Which bytes are ASCII letters, digits or underscores; arithmetic on bytes is several times faster than a table."""
    shifted = text | np.uint8(32)
    shifted -= np.uint8(97)
    inside: NDArray[np.bool_] = shifted < 26
    np.subtract(text, 48, out=shifted)
    inside |= shifted < 10
    inside |= text == 95
    return inside


def _edges(inside: NDArray[np.bool_], cuts: I64) -> I64:
    """Where words begin and end, by turns. cuts: where a word ends and another begins even if both sides belong to words."""
    size = len(inside)
    changes = np.zeros(size + 1, dtype=bool)
    if size:
        changes[0], changes[size] = inside[0], inside[-1]
        np.not_equal(inside[1:], inside[:-1], out=changes[1:size])
    cuts = cuts[(cuts > 0) & (cuts < size)]
    cuts = cuts[inside[cuts] & inside[cuts - 1]]
    if not len(cuts):
        return np.flatnonzero(changes)
    both = np.zeros(size + 1, dtype=bool)
    both[cuts] = True
    edges = np.flatnonzero(changes | both)
    return np.repeat(edges, 1 + both[edges])


def _of_words(padded: U8, begins: I64, lengths: I64, plain: bool) -> U64:
    """One hash for each word. plain: all bytes are ASCII."""
    windows: U64 = np.ndarray((len(padded) - _BLOCK + 1,), "<u8", padded.data, strides=(1,))
    found = _read(windows, begins, lengths, plain)
    longer = np.flatnonzero(lengths > _BLOCK)
    for block in range(1, _BLOCKS):
        if not len(longer):
            break
        part = found[longer]
        part *= PRIME
        part += _read(windows, begins[longer] + _BLOCK * block, lengths[longer] - _BLOCK * block, plain)
        found[longer] = part
        longer = longer[lengths[longer] > _BLOCK * (block + 1)]
    for word in longer.tolist():
        long = padded[begins[word] : begins[word] + lengths[word]]
        found[word] = xxhash.xxh3_64_intdigest(np.where(long < 128, long | np.uint8(32), long).tobytes())
    return mixed(found)


def _read(windows: U64, begins: I64, lengths: I64, plain: bool) -> U64:
    """The (at most) 8 bytes from each beginning, ASCII capitals as small letters, zeros behind the end.

    In words the bit of capitals can be set everywhere: digits have it, and no other character of a word becomes like another by it.
    """
    found = windows[begins]
    if plain:
        found |= _CASE
    else:
        case = found >> np.uint64(2)
        case &= _CASE
        case ^= _CASE
        found |= case
    found &= _MASKS.take(lengths, mode="clip")
    return found


def _characters(padded: U8, text: U8) -> tuple[I64, NDArray[np.uint32], I64]:
    """Where characters beyond ASCII begin, their code points, and their lengths in bytes."""
    places = np.flatnonzero(text >= 0xC0)
    window = np.ndarray((len(text) + 1,), "<u4", padded.data, strides=(1,))[places]
    first = window & 0xFF
    tail = [(window >> shift) & 0x3F for shift in (8, 16, 24)]
    two, four = first < 0xE0, first >= 0xF0
    codes = (first & 0x0F) << 12 | tail[0] << 6 | tail[1]
    codes = np.where(two, (first & 0x1F) << 6 | tail[0], codes)
    if four.any():
        codes = np.where(four, (first & 0x07) << 18 | tail[0] << 12 | tail[1] << 6 | tail[2], codes)
    return places, codes.astype(np.uint32), 3 - two.astype(np.int64) + four


def _outside(inside: NDArray[np.bool_], places: I64, lengths: I64, which: NDArray[np.bool_]) -> None:
    """Mark all bytes of some characters as outside of words."""
    places, lengths = places[which], lengths[which]
    for byte in range(4):
        inside[places[lengths > byte] + byte] = False


def _write(padded: U8, places: I64, codes: NDArray[np.uint32], lengths: I64) -> None:
    """Write characters in UTF-8 over those that stand there, which are of the same length."""
    for length, lead in ((2, 0xC0), (3, 0xE0), (4, 0xF0)):
        chosen = lengths == length
        if not chosen.any():
            continue
        place, code = places[chosen], codes[chosen]
        padded[place] = lead | code >> 6 * (length - 1)
        for byte in range(1, length):
            padded[place + byte] = 0x80 | (code >> 6 * (length - 1 - byte) & 0x3F)


def _lowered(data: U8, bounds: I64, places: I64) -> tuple[U8, I64]:
    """The texts once more, those with capitals at the places in small letters: capitals whose small letter is of another length, or depends
    on what follows (Greek sigma)."""
    chosen = set(np.searchsorted(bounds, places, side="right") - 1)
    texts = [data[start:end].tobytes() for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
    texts = [text.decode().lower().encode() if number in chosen else text for number, text in enumerate(texts)]
    return np.frombuffer(b"".join(texts), dtype=np.uint8), np.cumsum([0, *map(len, texts)], dtype=np.int64)


@functools.cache
def _tables() -> tuple[U8, NDArray[np.uint32]]:
    """For each code point (and one more for all beyond) its kind by the rule of words.py, and its small letter where that is another."""
    codes = np.array([*range(128, 0xD800), *range(0xE000, _CODES)])  # without the halves of surrogate pairs
    characters = "".join(map(chr, codes.tolist()))
    kinds = np.zeros(_CODES + 1, dtype=np.uint8)
    small = np.zeros(_CODES + 1, dtype=np.uint32)
    kinds[codes] = [_LETTER if character.isalnum() else _OTHER for character in characters]
    kinds[codes[[found.start() for found in re.finditer(f"[{UNSPACED}]", characters)]]] = _SINGLE
    for character in characters:
        lower = character.lower()
        if lower == character:
            continue
        code = ord(character)
        if len(lower) > 1 or len(lower.encode()) != len(character.encode()) or character == "\u03a3":
            kinds[code] = _SPECIAL
        elif lower.isalnum():
            kinds[code], small[code] = _CAPITAL, ord(lower)
    return kinds, small
