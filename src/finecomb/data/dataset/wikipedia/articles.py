"""A part of a dump to articles: which pages are kept, what is counted, and the text of each. What a worker process runs."""

from __future__ import annotations

import json
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finecomb.data.dataset.wikipedia.dump import Cut, Page, Site, decompressed, elements, read_page
from finecomb.data.dataset.wikipedia.wikitext import Converted, Wiki, to_text

COLUMNS = ("id", "text", "url", "time", "page")
_SAMPLE = 2000


@dataclass(frozen=True)
class Rules:
    """Which pages become rows, and how. disambiguation: names of templates, in lower case, that mark such pages; empty: they are kept."""

    wiki: Wiki
    site: Site
    namespaces: frozenset[int]
    disambiguation: frozenset[str]
    min_characters: int
    page_bytes: int
    title: bool

    def record(self) -> str:
        """Everything that shapes the rows, as text that is the same for the same rules."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, default=sorted)


@dataclass(frozen=True)
class Part:
    """Some pages of a dump: a stream of a multistream file (offset and bytes), or elements that were cut out already.

    cut: why the dump ends with this part, where it ends too early.
    """

    number: int
    path: str = ""
    offset: int = 0
    length: int = 0
    pages: Sequence[bytes | None] = ()
    cut: str | None = None


@dataclass
class Articles:
    """The rows of one part, by columns (page: which page of the part it was), and what became of the other pages."""

    rows: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    pages: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    templates: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    cut: str | None = None


def convert(part: Part, rules: Rules) -> Articles:
    """The articles of a part."""
    out = Articles(cut=part.cut)
    try:
        for element in _elements(part, rules.page_bytes):
            out.pages += 1
            _add(out, read_page(element, rules.page_bytes), rules)
    except Cut as cut:
        out.cut = str(cut)
    return out


def _elements(part: Part, limit: int) -> Iterator[bytes | None]:
    if not part.path:
        yield from part.pages
        return
    with Path(part.path).open("rb") as file:
        file.seek(part.offset)
        pages = elements(decompressed(file, compressed=True, end=part.offset + part.length), limit)
        next(pages, None)  # what is before the first page
        yield from pages


def _add(out: Articles, page: Page, rules: Rules) -> None:
    reason = (page.broken and "broken") or _unwanted(page, rules)
    problem = page.broken
    if reason is None:
        try:
            converted = to_text(page.text, rules.wiki)
        except (RecursionError, ValueError) as error:
            reason, problem, converted = "broken", f"wikitext that cannot be read: {error}", Converted()
        if problem is None and len(converted.text) < rules.min_characters:
            reason = "too short"
        if reason is None:
            out.templates += converted.templates
            out.left_out += converted.left_out
            text = f"{page.title}\n\n{converted.text}" if rules.title else converted.text
            url = rules.site.base + urllib.parse.quote(page.title.replace(" ", "_"), safe="/:@!$&'()*,;~") if rules.site.base else None
            for name, value in zip(COLUMNS, (page.id, text, url, page.time, out.pages), strict=True):
                out.rows[name].append(value)
            return
    out.reasons[reason] += 1
    if problem:
        out.rejected.append({"line": out.pages, "reason": problem, "text": (page.title or page.text)[:_SAMPLE]})


def _unwanted(page: Page, rules: Rules) -> str | None:
    """Why a page is not an article, or None."""
    if page.namespace not in rules.namespaces:
        return f"namespace {rules.site.namespaces.get(page.namespace) or page.namespace}"
    if page.redirect:
        return "redirect"
    if page.model != "wikitext":
        return f"content model {page.model}"
    if not page.text.strip():
        return "no text"
    if rules.disambiguation and _is_disambiguation(page.text, rules.disambiguation):
        return "disambiguation"
    return None


def _is_disambiguation(text: str, names: frozenset[str]) -> bool:
    at = text.find("{{")
    while at >= 0:
        name = text[at + 2 : at + 80]
        end = min((place for mark in "|}\n" if (place := name.find(mark)) >= 0), default=-1)
        if end > 0 and " ".join(name[:end].replace("_", " ").split()).lower() in names:
            return True
        at = text.find("{{", at + 2)
    return False
