"""The main text of an HTML page, within limits of size, time and memory that hold whatever the page does.

Pages can make an extractor run for ever (200,000 nested elements do it to the fast one, giant pages to the better one), inside native code
that no exception reaches. So pages are read in a child process (`extract_worker.py`) that the kernel ends when a page has used up its
processor time; what was ready by then is kept, and the next page gets a new child.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from finecomb.config.computing import raised
from finecomb.core.errors import ConfigError, Problem

MODES = ("fast", "cascade", "quality")
# Goes up when the same page gives another text.
VERSION = 1


def made_by() -> str:
    """What turns pages into text: our own version and those of the libraries."""
    libraries = [f"{name} {version(name)}" for name in ("resiliparse", "selectolax", "trafilatura")]
    return ", ".join([str(VERSION), *libraries, *raised("extract")])


@dataclass(frozen=True)
class Limits:
    """What one page may cost. Beyond `page_bytes` it is not read; beyond `quality_bytes` the better extractor is not asked.

    seconds: processor time of one page, both extractors together. memory_bytes: address space of the child.
    """

    page_bytes: int = 20_000_000
    quality_bytes: int = 2_000_000
    seconds: float = 10.0
    memory_bytes: int = 4 << 30


@dataclass(frozen=True)
class Extracted:
    """What a page holds.

    text: the main text, paragraphs on lines of their own; empty where there is none.
    language, date, license: as the page itself declares them (`lang`; its meta data, ISO 8601; the target of rel=license).
    method: the extractor the text comes from, "fast" or "quality"; "none" where nothing was read.
    encoding: what the bytes were decoded as.
    problem: why a limit cut the work short, else None. With a text, the better extractor was to be asked and was cut.
    """

    text: str
    title: str | None = None
    language: str | None = None
    date: str | None = None
    license: str | None = None
    method: str = "none"
    encoding: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Links:
    """Where a page leads: absolute addresses in its own order, each once.

    cut: it holds more links than are followed (10,000). nofollow_links: links that ask not to be followed, left out.
    nofollow, noindex: what its meta data asks of robots. canonical: the address it gives as its own.
    problem: why it could not be read, else None.
    """

    links: list[str] = field(default_factory=list)
    cut: bool = False
    nofollow_links: int = 0
    nofollow: bool = False
    noindex: bool = False
    canonical: str | None = None
    problem: str | None = None


def require_web(what: str) -> None:
    """Raise ConfigError where the packages of the extra `web` are not installed. what: the override that needs them."""
    needed = ("resiliparse", "trafilatura", "fastwarc", "warcio", "selectolax", "protego", "courlan", "mwparserfromhell", "lxml")
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    if absent:
        given = f"packages that read the web are not installed: {', '.join(absent)}"
        raise ConfigError(Problem(given, what, hint='pip install "finecomb[web]"'))


def extract(html: bytes, url: str | None, *, mode: str = "cascade", charset: str | None = None, limits: Limits | None = None) -> Extracted:
    """The main text of a page and what the page says of itself.

    html: the page's bytes, decompressed. url: its address, which relative links (the license's) are resolved against.
    mode: `fast`: resiliparse; `quality`: trafilatura, or resiliparse where that finds nothing; `cascade`: resiliparse, and trafilatura
    where a cheap score says that the text holds more than the main text, or less.
    charset: the encoding named by the HTTP header; a byte order mark wins over it, and it wins over the page's own declaration.
    Never raises for a bad page: `problem` says what went wrong. Raises ConfigError where the extra `web` is missing.
    """
    if mode not in MODES:
        raise ValueError(f"mode is {mode!r}, not one of {MODES}")
    limits = limits or Limits()
    if len(html) > limits.page_bytes:
        return Extracted("", problem="page too large")
    answer = _ask(html, {"url": url, "mode": mode, "charset": charset, "quality_bytes": limits.quality_bytes}, limits)
    return Extracted(**{"text": ""} | answer)


def links(html: bytes, url: str, *, charset: str | None = None, limits: Limits | None = None) -> Links:
    """Where a page leads and what it asks of robots, within the same limits. Arguments as for `extract`."""
    limits = limits or Limits()
    if len(html) > limits.page_bytes:
        return Links(problem="page too large")
    return Links(**_ask(html, {"url": url, "mode": "links", "charset": charset}, limits))


_LOCK = threading.Lock()
# The child, and the seconds and bytes it was started with.
_CHILD: tuple[subprocess.Popen[bytes], tuple[float, int]] | None = None


def _ask(html: bytes, request: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Send a page to the child; its answers come as lines, each better than the one before, and the last says that it is."""
    head = json.dumps(request).encode()
    answer: dict[str, Any] = {}
    with _LOCK:
        child = _child(limits)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(struct.pack(">QQ", len(head), len(html)) + head + html)
            child.stdin.flush()
            while line := child.stdout.readline():
                answer = json.loads(line)
                if answer.pop("done"):
                    return answer
        except (BrokenPipeError, ValueError):  # it ended while it was written to, or in the middle of a line
            pass
        _end()
    return answer | {"problem": "time or memory limit"}


def _child(limits: Limits) -> subprocess.Popen[bytes]:
    global _CHILD
    if _CHILD is None or _CHILD[1] != (limits.seconds, limits.memory_bytes) or _CHILD[0].poll() is not None:
        _end()
        require_web("main text of web pages")
        script = Path(__file__).with_name("extract_worker.py")
        # -P: the script's folder holds modules of ours that must not stand in for others of the same name.
        command = [sys.executable, "-P", str(script), str(limits.seconds), str(limits.memory_bytes)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        _CHILD = subprocess.Popen(command, **pipes), (limits.seconds, limits.memory_bytes)
    return _CHILD[0]


def _end() -> None:
    global _CHILD
    if _CHILD is not None:
        child, _CHILD = _CHILD[0], None
        child.kill()
        for stream in (child.stdin, child.stdout):
            with suppress(BrokenPipeError):
                if stream is not None:
                    stream.close()
        child.wait()


def _forget() -> None:
    """In a forked process: the child belongs to the parent."""
    global _CHILD, _LOCK
    _CHILD, _LOCK = None, threading.Lock()


atexit.register(_end)
os.register_at_fork(after_in_child=_forget)
