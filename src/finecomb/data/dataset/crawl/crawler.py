"""The crawl itself: which address is asked when, politely, within the budgets, until nothing is left or a budget is used up."""

from __future__ import annotations

import asyncio
import html
import re
import sys
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finecomb.assets.connections import REDIRECTS
from finecomb.config.schema.dataset import Crawl
from finecomb.data.dataset.crawl.fetch import Answer, Failed, Fetcher
from finecomb.data.dataset.crawl.robots import LIMIT_BYTES, Rules
from finecomb.data.dataset.crawl.store import TOO_DEEP, Address, Store
from finecomb.data.dataset.crawl.urls import Refused, Scope, canonical, host_of, origin, shown
from finecomb.data.dataset.crawl.warc import Warc
from finecomb.data.dataset.extract import Limits, links

WARC = "pages.warc.gz"
_LONGEST_WAIT = 300.0  # seconds; a server that wants more is not asked again in this crawl
_ROBOTS_SECONDS = 24 * 3600.0  # RFC 9309 2.4
_SITEMAPS, _SITEMAP_BYTES, _SITEMAP_LINKS = 50, 50_000_000, 50_000  # of one site; bytes and links as the protocol allows
_LOC = re.compile(rb"<loc>\s*(?:<!\[CDATA\[)?\s*(.{1,2048}?)\s*(?:\]\]>)?\s*</loc>", re.DOTALL)


@dataclass
class _Site:
    """One origin while it is crawled. quiet_until: no request before that time (`time.monotonic`)."""

    rules: Rules | None = None
    under_way: int = 0
    quiet_until: float = 0.0


class Crawler:
    """Works through a store's frontier. Whatever it has done is in the store, so that another one can go on."""

    def __init__(self, config: Crawl, scope: Scope, store: Store, directory: Path) -> None:
        self._config, self._scope, self._store = config, scope, store
        self._sites: dict[str, _Site] = {}
        self._asked, self._received = store.spent()
        self._sitemaps = 0
        self._limits = Limits(page_bytes=max(config.page_bytes, 1))
        whole = int(store.fact("warc bytes") or 0)
        self._warc = Warc(directory / WARC, whole, config.user_agent) if config.keep_warc else None

    async def run(self) -> str:
        """Crawl; returns why it ended."""
        with self._store.transaction():
            for url in self._scope.start:
                self._store.add(url, depth=0)
        tasks: set[asyncio.Task[None]] = set()
        status = _Status(self._store)
        try:
            with Fetcher(self._config, self._scope.knows_host) as fetcher:
                while True:
                    wait = self._start(fetcher, tasks)
                    if not tasks and wait is None:
                        break
                    if tasks:
                        done, tasks = await asyncio.wait(tasks, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                        for task in done:
                            task.result()
                    else:
                        await asyncio.sleep(wait or 0.0)
                    status.update(self._received)
        finally:
            status.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._warc is not None:
                self._warc.close()
        return self._spent() or "nothing left to fetch"

    def _spent(self) -> str | None:
        """The budget that is used up, if one is."""
        if self._asked >= self._config.max_pages:
            return "page budget"
        return "byte budget" if self._received >= self._config.max_bytes else None

    def _start(self, fetcher: Fetcher, tasks: set[asyncio.Task[None]]) -> float | None:
        """Start what may start now. Returns in how many seconds more may, or None where nothing waits or no more is allowed."""
        waits: list[float] = []
        for where in self._store.origins():
            site = self._sites.setdefault(where, _Site())
            while len(tasks) < self._config.concurrency and self._has_room(site):
                if (address := self._store.next(where)) is None:
                    waits.append(self._store.earliest(where) - time.time())
                    break
                if self._spent() is not None and address.tries == 0:
                    return None if not tasks else 3600.0
                if site.rules is not None and (refusal := site.rules.refusal(address.url)) is not None:
                    self._store.end(address, "refused", refusal)
                    continue
                if (pause := site.quiet_until - time.monotonic()) > 0:
                    waits.append(pause)
                    break
                self._asked += address.tries == 0 and address.kind == "page"
                self._store.start(address)
                site.under_way += 1
                site.quiet_until = time.monotonic() + self._delay(site)
                tasks.add(asyncio.create_task(self._visit(fetcher, site, where, address)))
        return max(0.01, min(waits)) if waits else None

    def _has_room(self, site: _Site) -> bool:
        """Whether a site may be asked something more: one thing at a time where it wants pauses, or its rules are not known yet."""
        alone = site.rules is None or site.rules.delay > 0
        return site.under_way < (1 if alone else self._config.host_concurrency)

    def _delay(self, site: _Site) -> float:
        return max(self._config.delay, site.rules.delay if site.rules is not None else 0.0)

    async def _visit(self, fetcher: Fetcher, site: _Site, where: str, address: Address) -> None:
        """Ask for one address and write down what came of it."""
        try:
            if site.rules is None:
                site.rules = await self._rules(fetcher, where)
                self._add_sitemaps(where, site.rules)
                await asyncio.sleep(self._delay(site))
                site.quiet_until = time.monotonic() + self._delay(site)
            if (refusal := site.rules.refusal(address.url)) is not None:
                self._asked -= address.tries == 0 and address.kind == "page"
                self._store.end(address, "refused", refusal)
                return
            page = address.kind == "page"
            limit = self._config.page_bytes if page else _SITEMAP_BYTES
            answer = await fetcher.fetch(address.url, limit=limit, wanted=_is_html if page else None)
            self._received += len(answer.raw)
            if answer.status in REDIRECTS:
                self._redirect(address, answer)
            elif page:
                await self._keep(address, answer)
            else:
                self._read_sitemap(address, answer)
        except Failed as failure:
            self._received += failure.received
            self._fail(site, address, failure)
        finally:
            site.under_way -= 1

    def _fail(self, site: _Site, address: Address, failure: Failed) -> None:
        """Ask again later, if that may help: after what the server wants, else after a pause that doubles with each try."""
        wait = max(self._config.backoff * 2**address.tries, failure.wait or 0.0)
        if failure.again and address.tries < self._config.retries and wait <= _LONGEST_WAIT:
            self._store.again(address, time.time() + wait)
            if failure.wait is not None:
                site.quiet_until = max(site.quiet_until, time.monotonic() + wait)
        else:
            self._store.end(address, "failed", str(failure), received=failure.received)

    async def _rules(self, fetcher: Fetcher, where: str) -> Rules:
        """The rules of an origin: kept ones, else its robots.txt. Where that cannot be had, nothing is asked (RFC 9309 2.3.1)."""
        agent = self._config.user_agent
        if (kept := self._store.rules(where, time.time() - _ROBOTS_SECONDS)) is not None:
            return Rules(kept[0], agent, refused=kept[1])
        url, text, refused = f"{where}/robots.txt", None, None
        for attempt in range(self._config.retries + 1):
            try:
                text, refused = await self._robots(fetcher, url), None
                break
            except Failed as failure:
                missing = re.fullmatch(r"status 4\d\d", str(failure)) is not None and not failure.again
                refused = None if missing else f"robots.txt cannot be had: {failure}"
                wait = max(self._config.backoff * 2**attempt, failure.wait or 0.0)
                if not failure.again or wait > _LONGEST_WAIT or attempt == self._config.retries:
                    break
                await asyncio.sleep(wait)
        self._store.set_rules(where, text, refused)
        return Rules(text, agent, refused=refused)

    async def _robots(self, fetcher: Fetcher, url: str) -> str:
        """The text of robots.txt, over at most five redirects inside the allowed hosts (RFC 9309 2.3.1.2)."""
        for _ in range(6):
            answer = await fetcher.fetch(url, limit=16 * LIMIT_BYTES, wanted=None)
            if answer.status not in REDIRECTS:
                return answer.body[:LIMIT_BYTES].decode("utf-8", "replace").replace("\0", "")
            try:
                url = canonical(_joined(url, answer.location or ""))
            except Refused as error:
                raise Failed(str(error)) from error
            if not self._scope.knows_host(host_of(url)):
                raise Failed("redirect outside the allowed hosts")
        raise Failed("too many redirects")

    def _add_sitemaps(self, where: str, rules: Rules) -> None:
        if self._config.sitemap and rules.refused is None:
            self._add([*rules.sitemaps(), f"{where}/sitemap.xml"], depth=0, kind="sitemap")

    def _read_sitemap(self, address: Address, answer: Answer) -> None:
        """Addresses of pages, or of further sitemaps."""
        body = answer.body
        if body.startswith(b"\x1f\x8b"):
            try:
                body = zlib.decompressobj(31).decompress(body, _SITEMAP_BYTES)
            except zlib.error as error:
                raise Failed("broken compression") from error
        index = b"<sitemapindex" in body[:4096]
        addresses = [html.unescape(loc.decode("utf-8", "replace")) for loc in _LOC.findall(body)[:_SITEMAP_LINKS]]
        with self._store.transaction():
            self._add(addresses, depth=0 if index else 1, kind="sitemap" if index else "page")
            self._store.end(address, "done", received=len(answer.raw))

    def _add(self, urls: Iterable[str], *, depth: int, kind: str = "page") -> None:
        """Put what was found into the frontier, or count why not."""
        for raw in urls:
            try:
                url = canonical(raw)
                refused = self._scope.refusal(url)
                if refused is None and kind == "page" and depth > self._config.max_depth:
                    refused = TOO_DEEP
                if refused is None and kind == "sitemap":
                    self._sitemaps += 1
                    refused = "too many sitemaps" if self._sitemaps > _SITEMAPS else None
                self._store.add(url, depth=depth, kind=kind, refused=refused)
            except Refused as error:
                self._store.add(shown(raw), depth=depth, kind=kind, refused=str(error))

    def _redirect(self, address: Address, answer: Answer) -> None:
        """The target is an address like any other: it is checked, and asked for once, whoever leads to it."""
        reason: str | None = "redirect"
        with self._store.transaction():
            try:
                target = canonical(_joined(address.url, answer.location or ""))
                if target in self._store.chain(address):
                    reason = "redirect loop"
                elif address.hops >= self._config.max_redirects:
                    reason = "too many redirects"
                elif (refused := self._scope.refusal(target)) is not None:
                    reason = f"redirect: {refused}"
                else:
                    self._store.add(target, kind=address.kind, depth=address.depth, via=address.id, hops=address.hops + 1)
            except Refused as error:
                reason = f"redirect: {error}"
            self._store.end(address, "failed" if reason != "redirect" else "redirect", reason, received=len(answer.raw))

    async def _keep(self, address: Address, answer: Answer) -> None:
        """Write down a page and the links on it, in one transaction."""
        if not answer.content_type and not _looks_like_html(answer.body):
            raise Failed("content type missing", received=0)
        page_links = await asyncio.to_thread(links, answer.body, address.url, charset=answer.charset, limits=self._limits)
        asked = {word.strip().lower() for word in answer.header("x-robots-tag").split(",")}
        follow = not (page_links.nofollow or asked & {"nofollow", "none"})
        written = self._warc.write(address.url, answer) if self._warc is not None else 0
        with self._store.transaction():
            self._store.keep(
                address,
                canonical=self._identity(address.url, page_links.canonical),
                charset=answer.charset,
                noindex=page_links.noindex or bool(asked & {"noindex", "none"}),
                body=answer.body,
            )
            if follow:
                self._add(page_links.links, depth=address.depth + 1)
            self._store.count("links marked nofollow", page_links.nofollow_links + (0 if follow else len(page_links.links)))
            self._store.count("links after the first 10,000 of a page", page_links.cut)
            if written:
                self._store.set_fact("warc bytes", str(written))
            self._store.end(address, "done", page_links.problem, received=len(answer.raw))

    def _identity(self, url: str, said: str | None) -> str:
        """What a page gives as its own address, where that is one of this crawl on the same site; else where it was found."""
        try:
            claimed = canonical(said) if said else url
        except Refused:
            return url
        return claimed if origin(claimed) == origin(url) and self._scope.refusal(claimed) is None else url


def _joined(base: str, target: str) -> str:
    from urllib.parse import urljoin

    try:
        return urljoin(base, target.strip())
    except ValueError as error:
        raise Refused("malformed address") from error


def _is_html(content_type: str) -> bool:
    return content_type in ("", "text/html", "application/xhtml+xml")


def _looks_like_html(body: bytes) -> bool:
    return re.search(rb"<(!doctype html|html|head|body|title|p|div|a)\b", body[:2048], re.IGNORECASE) is not None


class _Status:
    """One line of progress on the terminal; silent when piped."""

    def __init__(self, store: Store) -> None:
        self._store, self._last = store, 0.0
        self._line: Any = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._line = Console(stderr=True).status("crawling")
            self._line.start()

    def update(self, received: int) -> None:
        """Say how far the crawl is, at most twice a second."""
        if self._line is None or time.monotonic() < self._last + 0.5:
            return
        self._last = time.monotonic()
        states = self._store.states()
        done, waiting, failed = (states.get(name, 0) for name in ("done", "waiting", "failed"))
        self._line.update(f"crawling: {done:,} pages, {waiting:,} waiting, {failed:,} failed, {received / 1e6:,.1f} MB")

    def stop(self) -> None:
        """Leave the terminal as it was."""
        if self._line is not None:
            self._line.stop()
