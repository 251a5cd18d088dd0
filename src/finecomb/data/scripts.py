"""Scripts that put no space between words, as the inside of a character class of a regular expression."""

from __future__ import annotations

# CJK ideographs, kana, Thai, Lao, Burmese, Khmer; half-width kana; ideographs beyond the basic plane.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
