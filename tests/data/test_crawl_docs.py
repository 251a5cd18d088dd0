"""A crawl of real pages: Python's documentation, served on loopback, crawled by a process that is killed midway and started again."""

from __future__ import annotations

import json
import posixpath
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from benchmarks.python_docs import LEAST, Absent, python_docs
from crawl_site import Page, Site
from data_configs import make_dataset

from finecomb.assets import offline
from finecomb.data.dataset.crawl import CrawlSource

BEFORE_THE_KILL = 150
CONCURRENCY = 6
LABELS = {"tutorial": "/tutorial/", "expressions": "/library/re.html$"}
# Runs the crawl, and writes down every name that the process looks up and every address it connects to.
CRAWL = """
import json, os, sys
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def hook(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        os.write(log, f"name {arguments[0]}\\n".encode())
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        os.write(log, f"address {arguments[1][0]}\\n".encode())
sys.addaudithook(hook)
sys.path.insert(0, sys.argv[3])
from data_configs import make_dataset
from finecomb.data.dataset import build
print(json.dumps(build(make_dataset("crawl", **json.loads(sys.argv[1]))).inputs()))
"""


@pytest.fixture(scope="session")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python's documentation in HTML: as installed, or from Debian's package."""
    if offline():
        pytest.skip("the network is switched off")
    try:
        return python_docs(tmp_path_factory.mktemp("docs"))
    except Absent as error:
        pytest.skip(str(error))


def reachable(docs: Path) -> set[str]:
    """Paths of the pages that links lead to from the start, apart from those that robots.txt forbids."""
    from selectolax.lexbor import LexborHTMLParser

    found, waiting = {"/index.html"}, ["/index.html"]
    while waiting:
        path = waiting.pop()
        for node in LexborHTMLParser((docs / path[1:]).read_bytes()).css("a[href]"):
            attributes = node.attributes
            target = unquote(urldefrag(urljoin(f"http://x{path}", attributes["href"] or ""))[0].split("?")[0])
            inside = target.startswith("http://x/") and "nofollow" not in (attributes.get("rel") or "")
            path_there = target.removeprefix("http://x")
            if (
                inside
                and allowed(path_there)
                and path_there.endswith(".html")
                and path_there not in found
                and (docs / path_there[1:]).is_file()
            ):
                found.add(path_there)
                waiting.append(path_there)
    return found


def allowed(path: str) -> bool:
    return not path.startswith("/extending/")


class Docs(Site):
    """The documentation, which stops answering after so many pages until it is told to go on."""

    def __init__(self, docs: Path) -> None:
        super().__init__({"/robots.txt": (200, {}, b"User-agent: *\nDisallow: /extending/\n")}, self._file)
        self._docs = docs
        self.go_on = threading.Event()
        self.killed = False

    def _file(self, path: str) -> Page | None:
        file = self._docs / posixpath.normpath(unquote(path.split("?")[0])).lstrip("/")
        if not file.is_file():
            return None
        kind = {".html": "text/html", ".txt": "text/plain"}.get(file.suffix, "application/octet-stream")
        return (200, {"Content-Type": kind}, file.read_bytes())

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if len(self.delivered) >= BEFORE_THE_KILL and not self.killed:
            self.go_on.wait(150)
            handler.close_connection = True
        else:
            super().answer(handler)


def wait_for(what: Any, seconds: float = 150) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.timeout(300)
def test_a_killed_crawl_goes_on_and_gets_each_page_once(docs: Path, tmp_path: Path) -> None:
    log = tmp_path / "looked_up"
    with Docs(docs) as site:
        changes = {"start": [f"http://localhost:{site.port}/index.html"], "allow_private": True, "delay": 0.0, "backoff": 0.05,
                   "concurrency": CONCURRENCY, "host_concurrency": CONCURRENCY, "keep_warc": True, "extraction": "fast"}  # fmt: skip
        source = CrawlSource(make_dataset("crawl", **changes))
        command = [sys.executable, "-c", CRAWL, json.dumps(changes), str(log), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
            wait_for(lambda: len(site.delivered) >= BEFORE_THE_KILL or first.poll() is not None)
            wait_for(lambda: handled(source.directory / "crawl.sqlite") >= len(site.delivered) - 1)  # robots.txt is not among the addresses
            time.sleep(0.3)  # the places of those that were answered are taken by requests that get none
            first.send_signal(signal.SIGKILL)
        site.killed = True
        site.go_on.set()
        before, cut = list(site.delivered), Counter(site.asked) - Counter(site.delivered)
        assert 1 <= cut.total() <= CONCURRENCY

        second = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
        assert second.stderr == ""  # no progress where nobody looks
        delivered = Counter(site.delivered)
        assert set(delivered.values()) == {1}
        assert Counter(site.asked) == delivered + cut
        assert len(before) >= BEFORE_THE_KILL
        asked = len(site.asked)
        assert source.inputs() == json.loads(second.stdout)
        assert len(site.asked) == asked

    expected = reachable(docs)
    assert len(expected) >= LEAST
    pages = {path for path in delivered if path.endswith(".html")}
    assert expected <= pages
    assert not [path for path in site.asked if not allowed(path)]
    looked_up = set(log.read_text().split("\n")) - {""}
    assert "name localhost" in looked_up
    assert looked_up <= {"name localhost", "address 127.0.0.1", "address ::1"}
    check_rows(CrawlSource(make_dataset("crawl", **changes, labels=LABELS)), expected, site.port)
    check_warc(source.directory / "pages.warc.gz", {path for path in pages if (docs / path[1:]).is_file()}, docs)


def handled(path: Path) -> int:
    """Addresses that a running crawl has done with."""
    if not path.is_file():
        return 0
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        count = db.execute("SELECT COUNT(*) FROM addresses WHERE state IN ('done', 'failed')").fetchone()[0]
    db.close()
    return int(count)


def check_rows(source: CrawlSource, expected: set[str], port: int) -> None:
    """Every page is among the rows or has a reason. Only those with a label are read, since extraction has tests of its own."""
    raw = source.read("class")
    texts: dict[str, str] = {}
    for rows in raw.splits["train"]:
        texts |= dict(zip(rows.provenance["url"], rows.text, strict=True))
        assert set(rows.label) == set(LABELS)
    here = f"http://localhost:{port}"
    lost = {entry["file"].removeprefix(here): entry["reason"] for entry in raw.rejected}
    assert {path for path in expected if path.startswith("/tutorial/") and path not in lost} | {"/library/re.html"} == {
        url.removeprefix(here) for url in texts
    }
    assert len(texts) > 15
    others = {lost[path] for path in expected if path in lost}
    assert others <= {"no label for its address", "same canonical address"}
    assert "Both patterns and strings to be searched can be Unicode strings" in texts[f"{here}/library/re.html"]
    forbidden = [path for path, reason in lost.items() if reason == "robots.txt"]
    assert len(forbidden) >= 5
    assert not [path for path in forbidden if allowed(path)]


def check_warc(path: Path, expected: set[str], docs: Path) -> None:
    """Every page is in the WARC once, byte for byte, although the process that wrote it was killed."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    with path.open("rb") as file:
        found = Counter()
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            address = record.headers["WARC-Target-URI"].split("/", 3)[3]
            found[f"/{address}"] += 1
            assert record.reader.read() == (docs / address).read_bytes()
    assert found == Counter(expected)
