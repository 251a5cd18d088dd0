"""Wikitext to plain text. Templates that carry text are expanded, everything else that is not prose is dropped and counted.

The parser of reference is mwparserfromhell. Most paragraphs hold nothing but links, emphasis and flat templates: for these, regular
expressions give the same text (tests/data/test_wikipedia.py compares both on real articles) at many times the speed.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from finecomb.data.dataset.wikipedia.arguments import arguments
from finecomb.data.dataset.wikipedia.markup import blocks, clean, literal, without_extensions
from finecomb.data.dataset.wikipedia.templates import FUNCTIONS, handler

# Stands where a template was dropped, so that the brackets and commas around it can be tidied; not a character of any text.
DROPPED = "\ue002"
_LINK = re.compile(r"\[\[([^\[\]{}|<>\n]+)(?:\|([^\[\]{}<>|\n]*))?\]\]")
_TEMPLATE = re.compile(r"\{\{([^{}\[\]|<>]+)((?:\|[^{}\[\]<>]*)?)\}\}")
_TABLE = re.compile(r"[ \t:]*\{\|.*\n[ \t]*\|\}\s*|\s*<table\b.*</table\s*>\s*", re.DOTALL | re.IGNORECASE)
_OPENING = re.compile(r"\{\{([^{}\[\]|<>\n]+)[|\n]")
_BRACES = re.compile(r"\{\{+|\}\}+")
_EXTERNAL = re.compile(r"\[((?:https?:|ftp:)?//[^\s\[\]<>{}|\"]+)(?:[ \t]+([^\[\]<>{}\n]*))?\]")
_HELD = re.compile("\ue000(\\d+)\ue001")
_COMPLEX = re.compile(r"[{}<>\[\]]")
_MARKERS = re.compile(r"(?m)^[*#:;]+[ \t]*")
_INNER_MARKERS = re.compile(r"(?<=\n)[*#:;]+[ \t]*")
_QUOTES = re.compile(r"'{2,}")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_FILES = ("file", "image", "media")
_HEADING = re.compile(r"(?m)^(={1,6})[ \t]*(.+?)[ \t]*\1[ \t]*$")


@dataclass(frozen=True)
class Wiki:
    """What converting needs to know of a wiki.

    language: its code. namespaces: names of its namespaces of files and categories, in lower case, beside the English ones.
    prefixes: codes that link to the same article in another language. drop_sections: headings, in lower case, whose sections go.
    """

    language: str = "en"
    namespaces: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()
    drop_sections: frozenset[str] = frozenset()


@dataclass
class Converted:
    """The text of one page and what is not in it, counted: templates by name; sections, tables, files, references by kind."""

    text: str = ""
    templates: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    parsed: int = 0  # characters that the parser of reference had to read


def to_text(wikitext: str, title: str, wiki: Wiki, *, reference: bool = False) -> Converted:
    """The prose of a page. reference: let mwparserfromhell read every paragraph, also those that need no parser."""
    out = Converted()
    held: list[str] = []
    source = literal(wikitext)
    source = without_extensions(source, held, out.left_out)
    renderer = _Renderer(title, wiki, out, held)
    pieces: list[tuple[int, str]] = []  # (level of a heading or 0, text)
    for level, block in _kept(blocks(source), wiki, out, renderer):
        text = None if reference else renderer.simple(block)
        if text is None:
            out.parsed += len(block)
            text = renderer.parsed(block)
        pieces.append((level, renderer.released(text)))
    out.text = clean("\n".join(_without_empty(pieces)))
    return out


def _kept(found: Sequence[str], wiki: Wiki, out: Converted, renderer: _Renderer) -> list[tuple[int, str]]:
    """Blocks with their heading's level, without the sections that are to be dropped."""
    kept: list[tuple[int, str]] = []
    dropping = 0
    for block in found:
        heading = _HEADING.fullmatch(block.strip())
        level = len(heading[1]) if heading else 0
        if heading and dropping and level <= dropping:
            dropping = 0
        if dropping:
            continue
        if heading:
            plain = renderer.released(_QUOTES.sub("", heading[2])).strip().lower()
            if plain in wiki.drop_sections:
                dropping = level
                out.left_out["section"] += 1
                continue
            block = heading[2]
        kept.append((level, block))
    return kept


def _without_empty(pieces: list[tuple[int, str]]) -> list[str]:
    """The pieces without headings that nothing follows."""
    kept: list[str] = []
    below = 0  # lower than this, a heading has something below it: text (7), or a kept heading of that level
    for level, text in reversed(pieces):
        bare = text.replace(DROPPED, "").strip()
        if level == 0:
            kept.append(text)
            below = 7 if bare else below
        elif below > level:
            kept.append(f"\n{text}\n" if bare else "")
            below = level
    return kept[::-1]


class _Renderer:
    """Turns blocks of one page to text, by regular expressions or by the parser; both ask the same functions what a thing prints."""

    def __init__(self, title: str, wiki: Wiki, out: Converted, held: list[str]) -> None:
        self._title, self._wiki, self._out, self._held = title, wiki, out, held

    def simple(self, block: str) -> str | None:
        """The text of a block that holds only links and flat templates, or None where it holds more."""
        if not _COMPLEX.search(block):
            return self._plain(block)
        if _TABLE.fullmatch(block):
            self._out.left_out["table"] += 1
            return ""
        if (whole := self._whole(block)) is not None:
            return whole
        if "{|" in block or "{{{" in block or "<" in block or "[[http" in block:
            return None
        before = (Counter(self._out.templates), Counter(self._out.left_out), len(self._held))
        text = _LINK.sub(self._simple_link, block)
        files = self._out.left_out.total()
        text = _TEMPLATE.sub(lambda m: self._hold(self._flat(m[1], m[2])), text)
        # A file inside a dropped template is part of it: the parser, which reads from the outside, decides.
        unsure = files > before[1].total() and self._out.templates.total() > before[0].total()
        text = _LINK.sub(self._simple_link, text)
        text = _EXTERNAL.sub(lambda m: self._hold(self.inline(m[2] or "").strip()), text)
        if unsure or _COMPLEX.search(text):
            self._out.templates, self._out.left_out = before[0], before[1]
            del self._held[before[2] :]
            return None
        return self._plain(text)

    def _whole(self, block: str) -> str | None:
        """The mark of a dropped template where the block is nothing else, however much is inside it (an infobox); else None."""
        named = _OPENING.match(block)
        if named is None or block[-2:] != "}}" or block.count("{{") < 2:
            return None
        name = " ".join(self._value(named[1]).replace("_", " ").split())
        if ":" in name or handler(name.lower(), self._wiki.language) is not None:
            return None
        depth = 0
        for mark in _BRACES.finditer(block):
            size = len(mark[0])
            depth += size // 2 if mark[0][0] == "{" else -(size // 2)
            if size % 2 or (depth <= 0 and mark.end() < len(block)):
                return None
        return self.template(name, list) if depth == 0 else None

    def _simple_link(self, found: re.Match[str]) -> str:
        return self._hold(self.link(self.inline(found[1]), None if found[2] is None else self.inline(found[2])))

    def _flat(self, name: str, rest: str) -> str:
        def pairs() -> list[tuple[str | None, str]]:
            found: list[tuple[str | None, str]] = []
            for part in rest[1:].split("|") if rest else ():
                key, equals, value = part.partition("=")
                found.append((self.released(key), self._value(value)) if equals else (None, self._value(part)))
            return found

        return self.template(self._value(name), pairs)

    def _value(self, text: str) -> str:
        """An argument; a marker of lists is one only behind a line feed."""
        return self.released(self.inline(_INNER_MARKERS.sub("", text)))

    def _hold(self, text: str) -> str:
        self._held.append(text)
        return f"\ue000{len(self._held) - 1}\ue001"

    def released(self, text: str) -> str:
        """The text with what was held back in its place."""
        while _HELD.search(text):
            text = _HELD.sub(lambda m: self._held[int(m[1])], text)
        return text

    def _plain(self, text: str) -> str:
        return self.inline(_MARKERS.sub("", text))

    def inline(self, text: str) -> str:
        """Running text: entities are resolved, the quotation marks of emphasis go."""
        if "''" in text:
            text = _QUOTES.sub("", text)
        return _ENTITY.sub(lambda m: html.unescape(m[0]), text) if "&" in text else text

    def link(self, target: str, shown: str | None) -> str:
        """What [[target|shown]] prints: nothing for files, categories and links to other languages."""
        target = self.released(target).strip()
        prefix = target.partition(":")[0].strip().lower() if ":" in target else ""
        if prefix and (prefix in _FILES or prefix in self._wiki.namespaces or prefix == "category"):
            self._out.left_out["file" if prefix in _FILES else "category or file"] += 1
            return ""
        if prefix and shown is None and prefix in self._wiki.prefixes:
            return ""
        if shown is not None and shown.strip():
            return shown
        bare = target.removeprefix(":")
        return re.sub(r"\s*\([^()]*\)$", "", bare.rpartition(":")[2]) if shown is not None else bare

    def template(self, name: str, pairs: Callable[[], list[tuple[str | None, str]]]) -> str:
        """What a template prints, or the mark of a dropped one, whose arguments are not looked at."""
        known = " ".join(name.replace("_", " ").split())
        # Behind the colon of a parser function stands text, whose case counts; a template's own name is known by its lower case.
        head, colon, tail = known.partition(":")
        key = head.lower() + colon + tail if colon and head.lower() in FUNCTIONS else known.lower()
        prints = handler(key, self._wiki.language)
        text = prints(arguments(pairs(), self._title, self._wiki.language)) if prints else None
        if text is None:
            counted = head.lower() if colon and (head.startswith("#") or head.isupper()) else known.lower()
            self._out.templates[counted[:80]] += 1
            return DROPPED
        return text

    def parsed(self, block: str) -> str:
        """The text of any block, read by mwparserfromhell."""
        from finecomb.data.dataset.wikipedia.reference import render

        return render(block, self, self._out.left_out)


def wiki_of(language: str, namespaces: Mapping[int, str], prefixes: frozenset[str], drop_sections: Sequence[str]) -> Wiki:
    """A wiki by the head of its dump: namespace 6 holds files, 14 categories, -2 media."""
    own = frozenset(namespaces[key].lower() for key in (6, 14, -2) if namespaces.get(key))
    return Wiki(language, own, prefixes, frozenset(name.lower() for name in drop_sections))
