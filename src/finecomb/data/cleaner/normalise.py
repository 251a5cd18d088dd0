"""Steps that bring texts into one form: encoding mended, invisible characters gone, markup gone, placeholders for what varies."""

from __future__ import annotations

import html
import re
import unicodedata

from finecomb.config.schema import cleaner as schema
from finecomb.data.cleaner.step import TextRewrite

# What UTF-8 read as another encoding looks like: two or more characters of Latin-1 or Windows-1252 in a row, or an escape of its own.
_SUSPICIOUS = re.compile(
    r"[\u00c0-\u00f4\u00f6][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    r"|\ufffd|\u00a0\u00c2"
)
# Line feeds and tabs are white space, not noise; joiners belong to the writing of several scripts and to emoji.
_KEPT = {"\n", "\t", "\r", "\u200c", "\u200d"}
_TAG = re.compile(r"<(?:!--.*?--|/?[A-Za-z][A-Za-z0-9]{0,15}(?:\s[^<>]{0,2000})?/?)>", re.DOTALL)
_SCRIPT = re.compile(r"<(script|style)\b[^<>]{0,2000}>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'\]\[]{1,2000}", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:[.,]\d+)*(?![\w])")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"',
                         "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2015": "-",
                         "\u2026": "..."})  # fmt: skip


class Mojibake(TextRewrite):
    """Mends text that was decoded by a wrong encoding (ftfy; Speer 2019). Texts without a trace of it are not looked at twice."""

    def __init__(self, config: schema.Mojibake) -> None:
        from ftfy import TextFixerConfig

        self._config = TextFixerConfig(
            unescape_html=False, remove_terminal_escapes=False, fix_latin_ligatures=False, fix_character_width=False, uncurl_quotes=False,
            fix_line_breaks=False, remove_control_chars=False, normalization=None, explain=False,
        )  # fmt: skip

    def rewrite(self, text: str) -> str:
        """The text as it was meant."""
        if text.isascii() or not _SUSPICIOUS.search(text):
            return text
        import ftfy

        return ftfy.fix_text(text, self._config)


class Controls(TextRewrite):
    """Removes control characters, zero-width characters and byte order marks; line ends become line feeds."""

    def __init__(self, config: schema.Controls) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """Joiners inside words and emoji stay, because removing them changes what is read."""
        if text.isprintable() and text.isascii():
            return text
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return "".join(char for char in text if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn"))


class Html(TextRewrite):
    """Removes what is left of HTML: scripts, tags, comments; entities become characters."""

    def __init__(self, config: schema.Html) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """A `<` that begins no tag stays."""
        if "<" in text:
            text = _TAG.sub(" ", _SCRIPT.sub(" ", text))
        return html.unescape(text) if "&" in text else text


class Lowercase(TextRewrite):
    """Lower case, by Unicode's rules."""

    def __init__(self, config: schema.Lowercase) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """The text in lower case."""
        return text.lower()


class Punctuation(TextRewrite):
    """Typographic quotes, dashes and ellipses become those of a keyboard."""

    def __init__(self, config: schema.Punctuation) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """The text with plain punctuation."""
        return text if text.isascii() else text.translate(_QUOTES)


class Placeholders(TextRewrite):
    """Puts one word in the place of every URL and, on request, of every number."""

    def __init__(self, config: schema.Placeholders) -> None:
        self._url, self._number = config.url, config.number

    def rewrite(self, text: str) -> str:
        """The text with placeholders."""
        if self._url is not None and ("://" in text or "www." in text.lower()):
            text = _URL.sub(lambda _: str(self._url), text)
        return text if self._number is None else _NUMBER.sub(lambda _: str(self._number), text)
