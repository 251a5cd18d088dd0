"""A web site on loopback for the tests of crawling: pages by path, and a log of what was asked for and what was delivered whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from data_configs import make_dataset

from finecomb.data.dataset import build
from finecomb.data.dataset.crawl.crawl_source import CrawlSource

Page = str | bytes | tuple[int, Mapping[str, str], bytes] | Callable[[BaseHTTPRequestHandler], None]
SENTENCE = "A comb passes through the text again and again, until what is left of it lies straight and can be read without a stop. "


def html(name: str, *targets: str, head: str = "", words: str = SENTENCE * 8) -> str:
    """A page of some text that links to others."""
    links = " ".join(f"<p>See <a href='{target}'>the page on {target}</a>.</p>" for target in targets)
    body = f"<main><h1>{name}</h1><p>{name}: {words}</p>{links}</main>"
    return f"<!doctype html><html><head><title>{name}</title>{head}</head><body>{body}</body></html>"


class Site:
    """Serves until the `with` block ends.

    pages: by path (with query): HTML, (status, headers, body), or a function that answers by itself. find: asked for paths not among them.
    asked, delivered: paths in the order of requests and of complete answers. headers: those of each request.
    """

    def __init__(self, pages: Mapping[str, Page], find: Callable[[str], Page | None] | None = None) -> None:
        self.pages, self.find = dict(pages), find
        self.asked: list[str] = []
        self.delivered: list[str] = []
        self.headers: list[dict[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.headers.append({name.lower(): value for name, value in self.headers.items()})
                site.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: Any) -> None:
                """A client that leaves in the middle is what many of the tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path)
        if page is None and self.find is not None:
            page = self.find(handler.path)
        if page is None:
            page = (404, {"Content-Type": "text/html"}, b"not here")
        if callable(page):
            page(handler)
            return
        if not isinstance(page, tuple):
            page = (200, {"Content-Type": "text/html; charset=utf-8"}, page if isinstance(page, bytes) else page.encode())
        status, headers, body = page
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        self.delivered.append(handler.path)


QUICK = {"allow_private": True, "delay": 0.0, "backoff": 0.02, "host_concurrency": 4, "extraction": "fast"}


class Crawled:
    """The rows of a crawl, what was lost and why."""

    def __init__(self, source: CrawlSource) -> None:
        self.source = source
        self.inputs = source.inputs()
        raw = source.read("class")
        self.rows = [rows.take([row]) for rows in raw.splits["train"] for row in range(len(rows))]
        self.funnel = {entry["step"]: entry for entry in raw.funnel}
        self.rejected = {entry["file"]: entry["reason"] for entry in raw.rejected}
        self.urls = [rows.provenance["url"][0] for rows in self.rows]
        self.texts = {rows.provenance["url"][0]: rows.text[0] for rows in self.rows}


def crawl(site: Site, **changes: Any) -> Crawled:
    return Crawled(build(make_dataset("crawl", **{"start": [f"{site.url}/"], **QUICK, **changes})))


def reasons(site: Site, **changes: Any) -> dict[str, str]:
    """Path -> why it gave no row."""
    return {url.removeprefix(site.url): reason for url, reason in crawl(site, **changes).rejected.items()}
