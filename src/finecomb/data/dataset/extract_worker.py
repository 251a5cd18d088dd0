"""The child process of `extract.py`: reads pages from standard input, writes what it finds as lines of JSON. Imports nothing of ours.

Started as `extract_worker.py SECONDS MEMORY_BYTES`. A page that takes more processor time ends the process by SIGPROF's default
action, also inside native code; memory beyond the limit ends it or makes the extractor fail.
"""

from __future__ import annotations

import codecs
import json
import logging
import re
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO
from urllib.parse import urljoin

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_META = re.compile(rb"""<meta[^>]{0,400}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.+-]+)""", re.IGNORECASE)
_PRESCAN = 4096  # bytes in which a page's own declaration is looked for; the standard's 1,024 miss pages with long heads
_LINKS = 10_000  # links of one page that are followed
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_DATES = (
    ("meta[property='article:published_time']", "content"), ("meta[itemprop=datePublished]", "content"), ("meta[name=date]", "content"),
    ("meta[name='dc.date']", "content"), ("meta[name='DC.date']", "content"), ("time[itemprop=datePublished]", "datetime"),
    ("time[pubdate]", "datetime"),
)  # fmt: skip


def decode(html: bytes, charset: str | None) -> tuple[str, str]:
    """A page as text, without NUL characters, and the encoding it was in.

    Order: byte order mark, HTTP header, the page's own declaration, detection. Bytes that are UTF-8 throughout, with several characters
    beyond ASCII, are UTF-8 whatever a header says: no other encoding gives such bytes by accident.
    """
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

    for mark, encoding in _BOMS:
        if html.startswith(mark):
            return html[len(mark) :].decode(encoding, "replace").replace("\0", ""), encoding
    if html.isascii() and b"\0" not in html and b"\x1b" not in html:
        return html.decode("ascii"), "utf-8"
    try:
        text = html.decode("utf-8")
        if sum(map(len, re.findall(r"[^\x00-\x7f]+", text[:200_000]))) >= 3:
            return text.replace("\0", ""), "utf-8"
    except UnicodeDecodeError:
        pass
    declared = _META.search(html[:_PRESCAN])
    named = [charset] if charset else []
    named += [declared[1].decode("ascii")] if declared else []
    known = [name for label in named if (name := map_encoding_to_html5(label, fallback_utf8=False))]
    guessed = detect_encoding(html) or "windows-1252"
    for name in [*known, guessed, "utf-8"]:
        try:
            return html.decode(name).replace("\0", ""), name
        except (UnicodeDecodeError, LookupError):
            continue
    name = (known or ["utf-8"])[0]
    return html.decode(name, "replace").replace("\0", ""), name


def declared_facts(tree: Any, url: str | None) -> dict[str, str | None]:
    """Title, language, date and license, as the page itself says. tree: selectolax's."""
    license = tree.css_first("a[rel~=license i][href], link[rel~=license i][href]")
    title, html = tree.css_first("title"), tree.css_first("html")
    date = None
    for selector, attribute in _DATES:
        node = tree.css_first(selector)
        if node is not None and (match := _DATE.match((node.attributes.get(attribute) or "").strip())):
            date = match[0]
            break
    return {
        "title": (" ".join(title.text().split()) if title is not None else "") or None,
        "language": ((html.attributes.get("lang") or "").strip() if html is not None else "") or None,
        "date": date,
        "license": _resolved(license.attributes["href"] or "", url) if license is not None else None,
    }


def _resolved(target: str, url: str | None) -> str:
    try:
        return urljoin(url or "", target.strip())
    except ValueError:
        return target.strip()


def doubtful(text: str, everything: int) -> bool:
    """Whether the fast extractor's text is likely to hold less than the main text (it is short), or more (little was taken off the page).

    everything: characters of all visible text of the page. The bounds were chosen by `benchmarks/extraction.py`: the share tells apart the
    pages that keep their furniture better than link density, runs of short lines or the share of paragraphs do.
    """
    return len(text) < 500 or len(text) > 0.6 * everything


def _fast(page: str, *, judged: bool) -> tuple[str, bool]:
    """The fast extractor's text, and whether it is doubtful where that is to be judged."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(page)
    text = extract_plain_text(tree, main_content=True, alt_texts=False).strip()
    return text, judged and doubtful(text, len(extract_plain_text(tree, preserve_formatting=False, alt_texts=False)))


def _quality(page: str, url: str | None) -> str | None:
    import trafilatura

    return trafilatura.extract(page, url=url, include_comments=False, include_tables=True)


def answer(html: bytes, request: dict[str, Any], out: BinaryIO) -> None:
    """Extract one page; the fast text is written before the better extractor starts, so that it is there if that one is cut."""
    from selectolax.lexbor import LexborHTMLParser

    page, encoding = decode(html, request["charset"])
    tree = LexborHTMLParser(page)
    text, unsure = _fast(page, judged=request["mode"] == "cascade")
    facts = {**declared_facts(tree, request["url"]), "text": text, "method": "fast", "encoding": encoding}
    wanted = request["mode"] == "quality" or unsure
    if wanted and len(html) > request["quality_bytes"]:
        _write(out, {**facts, "problem": "page too large for the better extractor", "done": True})
        return
    if wanted:
        _write(out, {**facts, "done": False})
        try:
            better = _quality(page, request["url"])
        except Exception as error:  # Whatever a page provokes in the library; the fast text stands.
            _write(out, {**facts, "problem": f"the better extractor failed: {type(error).__name__}", "done": True})
            return
        if better and better.strip():
            facts |= {"text": better.strip(), "method": "quality"}
    _write(out, {**facts, "done": True})


def links(html: bytes, request: dict[str, Any]) -> dict[str, Any]:
    """Where a page leads, as absolute addresses in its own order, and what it asks of robots.

    cut: whether it holds more links than are followed. A link that says nofollow is left out and counted.
    """
    from selectolax.lexbor import LexborHTMLParser

    page, _ = decode(html, request["charset"])
    tree = LexborHTMLParser(page)
    base, canonical = tree.css_first("base[href]"), tree.css_first("link[rel~=canonical i][href]")
    start = _resolved(base.attributes["href"] or "", request["url"]) if base is not None else request["url"]
    targets: dict[str, None] = {}
    nofollow = 0
    for node in tree.css("a[href], area[href], frame[src]"):
        attributes = node.attributes
        if "nofollow" in (attributes.get("rel") or "").lower().split():
            nofollow += 1
        else:
            targets[_resolved(attributes.get("href") or attributes.get("src") or "", start)] = None
    rules = {word.strip().lower() for node in tree.css("meta[name=robots i]") for word in (node.attributes.get("content") or "").split(",")}
    distinct = list(targets)
    return {
        "links": distinct[:_LINKS],
        "cut": len(distinct) > _LINKS,
        "nofollow_links": nofollow,
        "nofollow": bool(rules & {"nofollow", "none"}),
        "noindex": bool(rules & {"noindex", "none"}),
        "canonical": _resolved(canonical.attributes["href"] or "", start) if canonical is not None else None,
    }


def _write(out: BinaryIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message).encode() + b"\n")
    out.flush()


def main(seconds: float, memory_bytes: int) -> None:
    """Answer requests until standard input ends."""
    logging.disable()
    source, out = sys.stdin.buffer, sys.stdout.buffer
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while len(sizes := source.read(16)) == 16:
        head_size, size = struct.unpack(">QQ", sizes)
        request, html = json.loads(source.read(head_size)), source.read(size)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        if request["mode"] == "links":
            _write(out, {**links(html, request), "done": True})
        else:
            answer(html, request, out)
        signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
