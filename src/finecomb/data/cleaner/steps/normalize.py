"""Steps that bring texts into one form: encoding mended, invisible characters gone, markup gone, placeholders for what varies."""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Optional

from finecomb.config.schema.base import option
from finecomb.data.cleaner.step import TextRewrite
from finecomb.data.patterns import compiled

# What UTF-8 read as another encoding looks like: two or more characters of Latin-1 or Windows-1252 in a row, or an escape of its own.
_SUSPICIOUS = re.compile(
    r"[\u00c0-\u00f4\u00f6][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
    r"|\ufffd|\u00a0\u00c2"
)
# Line feeds and tabs are white space, not noise; joiners belong to the writing of several scripts and to emoji.
_KEPT = {"\n", "\t", "\r", "\u200c", "\u200d"}
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f]+")  # of ASCII, after line ends
_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_TAG = re.compile(r"</?([A-Za-z][A-Za-z0-9:-]{0,30})((?:\s[^<>]{0,2000})?)/?>")
# Elements of HTML (the living standard's index, and its obsolete ones). Custom elements have a hyphen; o:p and the like are a word
# processor's.
_ELEMENTS_OF_HTML = frozenset({
    "a", "abbr", "acronym", "address", "applet", "area", "article", "aside", "audio", "b", "base", "basefont", "bdi", "bdo", "bgsound",
    "big", "blink", "blockquote", "body", "br", "button", "canvas", "caption", "center", "circle", "cite", "code", "col", "colgroup",
    "data", "datalist", "dd", "defs", "del", "details", "dfn", "dialog", "dir", "div", "dl", "dt", "em", "embed", "fieldset",
    "figcaption", "figure", "font", "footer", "form", "frame", "frameset", "g", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header",
    "hgroup", "hr", "html", "i", "iframe", "image", "img", "input", "ins", "isindex", "kbd", "keygen", "label", "legend", "li", "line",
    "link", "listing", "main", "map", "mark", "marquee", "math", "menu", "menuitem", "meta", "meter", "nav", "nobr", "noembed",
    "noframes", "noscript", "object", "ol", "optgroup", "option", "output", "p", "param", "path", "picture", "plaintext", "pre",
    "progress", "q", "rb", "rect", "rp", "rt", "rtc", "ruby", "s", "samp", "script", "search", "section", "select", "slot", "small",
    "source", "spacer", "span", "strike", "strong", "style", "sub", "summary", "sup", "svg", "table", "tbody", "td", "template", "text",
    "textarea", "tfoot", "th", "thead", "time", "title", "tr", "track", "tspan", "tt", "u", "ul", "use", "var", "video", "wbr", "xmp",
})  # fmt: skip
_FLAGS = (
    "allowfullscreen|async|autofocus|autoplay|checked|compact|controls|default|defer|disabled|hidden|inert|ismap|itemscope|loop|multiple|"
    "muted|nomodule|noresize|noshade|novalidate|nowrap|open|playsinline|readonly|required|reversed|selected"
)
# After a tag's name: nothing, attributes without a value (only those that HTML has), or an attribute with one, and whatever follows it.
_ATTRIBUTES = re.compile(rf"(?:\s+(?:{_FLAGS}))*\s*/?|(?:\s+(?:{_FLAGS}))*\s+[\w:@.-]+\s*=.*", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CLOSING = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("script", "style")}
_ELEMENTS = {name: re.compile(rf"<{name}\b[^<>]{{0,2000}}>.*?</{name}\s*>", re.DOTALL | re.IGNORECASE) for name in ("script", "style")}
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'\]\[]{1,2000}", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:[.,]\d+)*(?![\w])")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"',
                         "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2015": "-",
                         "\u2026": "..."})  # fmt: skip

_LIGATURES = str.maketrans(
    {chr(0xFB00 + place): letters for place, letters in enumerate(("ff", "fi", "fl", "ffi", "ffl", "\u017ft", "st"))}
)


@dataclass
class MojibakeOptions:
    """Text decoded by a wrong encoding is mended (ftfy)."""


class Mojibake(TextRewrite):
    """Mends text that was decoded by a wrong encoding (ftfy; Speer 2019). Texts without a trace of it are not looked at twice."""

    LIBRARIES = ("ftfy",)

    def __init__(self, config: MojibakeOptions) -> None:
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


@dataclass
class ControlsOptions:
    """Control and zero-width characters go; line ends become line feeds."""


class Controls(TextRewrite):
    """Removes control and zero-width characters, soft hyphens, marks of direction and of byte order; line ends become line feeds.

    So do form feeds, vertical tabs and Unicode's separators of lines and paragraphs: without them words would run together.
    """

    VERSION = 2
    LIBRARIES = ("google-re2",)

    def __init__(self, config: ControlsOptions) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """Joiners inside words and emoji stay, because removing them changes what is read; so do characters newer than this Python."""
        if text.isprintable() and text.isascii():
            return text
        if _quick().search(text) is None:
            return text
        if text.isascii():
            return _CONTROLS.sub("", _LINE_END.sub("\n", text))
        return _removed().sub("", _LINE_END.sub("\n", text))


@functools.cache
def _removed() -> re.Pattern[str]:
    """Characters of the categories control, format, surrogate and private use, and those that Unicode says will never be any."""
    return re.compile(f"[{''.join(map(re.escape, _single()))}\ud800-\uf8ff\ufdd0-\ufdef\ufffe\uffff\U000f0000-\U0010ffff]+")


def _single() -> list[str]:
    planes = (range(0xD800), range(0xFB00, 0x20000), range(0xE0000, 0xE1000))
    return [char for plane in planes for char in map(chr, plane) if unicodedata.category(char) in ("Cc", "Cf") and char not in _KEPT]


@functools.cache
def _quick() -> Any:
    """What is removed or is a line end to be changed, for RE2, which sees in a fraction of the time that a text holds none."""
    listed = "".join(f"\\x{{{ord(char):x}}}" for char in [*_single(), "\r", "\x85", "\u2028", "\u2029"])
    return compiled(rf"[{listed}\x{{e000}}-\x{{f8ff}}\x{{fdd0}}-\x{{fdef}}\x{{fffe}}\x{{ffff}}\x{{f0000}}-\x{{10ffff}}]", "controls")


@dataclass
class HtmlOptions:
    """Tags, scripts and entities go."""


class Html(TextRewrite):
    """Removes what is left of HTML: scripts, tags, comments; entities become characters."""

    VERSION = 3

    def __init__(self, config: HtmlOptions) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """A `<` that begins no tag of HTML stays, as in List<String> or `if a <b and c> d`."""
        if "<" in text:
            if "</" in text:
                for name, element in _ELEMENTS.items():
                    ends = [close.start() for close in _CLOSING[name].finditer(text)]
                    text = _before(element, text, ends[-1] if ends else -1)
            text = _TAG.sub(_without, _before(_COMMENT, text, text.rfind("-->")))
        return html.unescape(text) if "&" in text else text


def _without(found: re.Match[str]) -> str:
    """What is left of something that looks like a tag: a space, or all of it where it is none of HTML."""
    name = found[1].lower()
    known = name in _ELEMENTS_OF_HTML or "-" in name or ":" in name
    return " " if known and _ATTRIBUTES.fullmatch(found[2]) else found[0]


def _before(pattern: re.Pattern[str], text: str, last: int) -> str:
    """A text without what lies between two marks, of which the closing one stands last at `last`.

    Behind it nothing is searched: where many marks open and none closes, each would be followed to the end of the text.
    """
    if last < 0:
        return text
    end = text.find(">", last) + 1 or len(text)
    return pattern.sub(" ", text[:end]) + text[end:]


@dataclass
class LowercaseOptions:
    """Lower case."""


class Lowercase(TextRewrite):
    """Lower case, by Unicode's rules."""

    def __init__(self, config: LowercaseOptions) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """The text in lower case."""
        return text.lower()


@dataclass
class PunctuationOptions:
    """Plain quotes and dashes."""


class Punctuation(TextRewrite):
    """Typographic quotes, dashes and ellipses become those of a keyboard."""

    def __init__(self, config: PunctuationOptions) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """The text with plain punctuation."""
        return text if text.isascii() else text.translate(_QUOTES)


@dataclass
class LigaturesOptions:
    """Typographic ligatures become their letters."""


class Ligatures(TextRewrite):
    """Typographic ligatures, as text taken from pages for print has them, become their letters."""

    def __init__(self, config: LigaturesOptions) -> None:
        pass

    def rewrite(self, text: str) -> str:
        """The letters one by one. Letters of an alphabet that only look like two (\u00e6, \u0153) stay."""
        return text if text.isascii() else text.translate(_LIGATURES)


@dataclass
class PlaceholdersOptions:
    """One word for every URL, and for every number."""

    url: Optional[str] = option("what stands for a URL; null: URLs stay")
    number: Optional[str] = option("what stands for a number; null: numbers stay")


class Placeholders(TextRewrite):
    """Puts one word in the place of every URL and, on request, of every number."""

    def __init__(self, config: PlaceholdersOptions) -> None:
        self._url, self._number = config.url, config.number

    def rewrite(self, text: str) -> str:
        """The text with placeholders."""
        if self._url is not None and ("://" in text or "www." in text.lower()):
            text = _URL.sub(lambda _: str(self._url), text)
        return text if self._number is None else _NUMBER.sub(lambda _: str(self._number), text)


CLEANING_STEPS = {
    "mojibake": (MojibakeOptions, Mojibake),
    "controls": (ControlsOptions, Controls),
    "html": (HtmlOptions, Html),
    "ligatures": (LigaturesOptions, Ligatures),
    "lowercase": (LowercaseOptions, Lowercase),
    "punctuation": (PunctuationOptions, Punctuation),
    "placeholders": (PlaceholdersOptions, Placeholders),
}
