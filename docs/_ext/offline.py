"""Warns of built pages that would fetch scripts, styles, fonts or images from the network (with -W, the build fails)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

# What a browser fetches by itself. A link that a reader clicks (<a href>) is no fetch, nor is <link rel="canonical">.
_FETCHED = re.compile(r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\bsrc=[\"']((?:https?:)?//[^\"']+)", re.I)
_LINKED = re.compile(r"<link\b(?=[^>]*\brel=[\"'](?:[^\"']*\s)?(?:stylesheet|preload|preconnect|icon|prefetch|modulepreload))[^>]*>", re.I)
_HREF = re.compile(r"\bhref=[\"']((?:https?:)?//[^\"']+)", re.I)
_STYLE = re.compile(r"(?:url\(\s*[\"']?|@import\s+[\"'])((?:https?:)?//[^\"')]+)", re.I)


def setup(app: Sphinx) -> dict[str, bool]:
    """Check when the pages are written."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _check(app: Sphinx, failed: Exception | None) -> None:
    if failed is None:
        for path, address in fetched(Path(app.outdir)):
            logging.getLogger(__name__).warning("%s fetches %s from the network", path.relative_to(app.outdir), address)


def fetched(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each address on another host that a browser would fetch for a page below `folder`, with the file that names it."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8", errors="replace")
            yield from ((path, address) for address in _STYLE.findall(text))
            if path.suffix == ".html":
                yield from ((path, address) for address in _FETCHED.findall(text))
                yield from ((path, address) for link in _LINKED.findall(text) for address in _HREF.findall(link))
