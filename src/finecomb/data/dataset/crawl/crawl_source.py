"""A crawl as a dataset: made, or gone on with, or found in the cache; its pages as rows."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finecomb.assets import lock, offline, room_on_disk
from finecomb.assets.cache import CRAWL
from finecomb.config.computing import raised
from finecomb.config.schema.dataset import Crawl
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.dataset.crawl.crawler import Crawler
from finecomb.data.dataset.crawl.store import Page, Store
from finecomb.data.dataset.crawl.urls import Scope
from finecomb.data.dataset.extract import Limits, extract, made_by, require_web
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.patterns import compiled

# Goes up when the same answers give other pages.
VERSION = 1
_CHUNK_CHARACTERS = 8_000_000
# Fields that shape what is fetched. Pace, time-outs and retries decide how, and extraction and labels come after.
_SHAPES = ("start", "hosts", "include", "exclude", "max_depth", "max_pages", "max_bytes", "page_bytes", "max_redirects", "sitemap",
           "user_agent", "allow_private", "keep_warc", "refresh")  # fmt: skip


class CrawlSource:
    """Crawls when its inputs are asked for: the hash of what came back is part of a run's identity."""

    def __init__(self, config: Crawl) -> None:
        require_web("dataset=crawl")
        if config.path is not None:
            raise ConfigError(
                Problem("dataset=crawl reads from the web, not from a folder", "dataset.path", hint="dataset=files, or leave it null")
            )
        if not config.user_agent.strip() or not config.user_agent.isprintable():
            raise ConfigError(
                Problem("a crawler must say who it is", "dataset.user_agent", hint='dataset.user_agent="NAME/1.0 (+ADDRESS)"')
            )
        self._config = config
        self._scope = Scope(config)
        self._labels = [(label, compiled(text, f"dataset.labels.{label}")) for label, text in config.labels.items()]

    @property
    def directory(self) -> Path:
        """Where the crawl's state lies: a key of what shapes it."""
        shape = {name: getattr(self._config, name) for name in _SHAPES}
        text = json.dumps([VERSION, shape], sort_keys=True, ensure_ascii=False, default=list)
        return CRAWL.path(hashlib.sha256(text.encode()).hexdigest()[:32])

    def inputs(self) -> dict[str, str]:
        """The hash of what was fetched, which is fetched now if it was not, and what turns pages into text."""
        with self._finished() as store:
            return {"crawl": store.content_hash(), "extractor": made_by(), "modules": ", ".join(raised("crawl"))}

    def read(self, kind: str) -> Raw:
        """The pages as training rows; without labels unless `dataset.labels` gives them by address."""
        if self._labels and kind != "class":
            what = "dataset.labels gives one class to each page, which this task cannot use"
            raise ConfigError(Problem(what, "dataset.labels", "task=sequence_classification, or dataset.labels={}"))
        funnel: list[dict[str, Any]] = []
        rejected: list[dict[str, Any]] = []
        names = [label for label, _ in self._labels] or None
        source = ", ".join(self._scope.start)
        return Raw({"train": self._rows(funnel, rejected)}, source, "as each page states", names, funnel=funnel, rejected=rejected)

    def _finished(self) -> Store:
        """The store of the finished crawl."""
        with lock(CRAWL.lock.format(self.directory.name)), room_on_disk(self.directory):
            store = Store(self.directory / "crawl.sqlite")
            try:
                if store.fact("finished") is None:
                    self._crawl(store)
                return store
            except BaseException:
                store.close()
                raise

    def _crawl(self, store: Store) -> None:
        if offline():
            hint = "unset FINECOMB_OFFLINE and HF_HUB_OFFLINE"
            raise ConfigError(Problem("this crawl is not in the cache, and the network is switched off", "dataset=crawl", hint=hint))
        (self.directory / "config.json").write_text(json.dumps(dataclasses.asdict(self._config), indent=1, ensure_ascii=False))
        why = asyncio.run(Crawler(self._config, self._scope, store, self.directory).run())
        with store.transaction():
            store.leave(why)
            store.set_fact("ended", why)
            store.set_fact("finished", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        if sys.stderr.isatty():
            print(f"crawl ended: {why}; kept in {self.directory}", file=sys.stderr)

    def _rows(self, funnel: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> Iterator[Rows]:
        """Rows in chunks; when the last was taken, the funnel and what was rejected are filled."""
        lost: dict[str, int] = {}
        kept = pages = 0
        limits = Limits(page_bytes=self._config.page_bytes)

        def reject(url: str, reason: str) -> None:
            rejected.append({"split": "train", "file": url, "line": 0, "reason": reason, "text": ""})

        with self._finished() as store:
            for url, reason in store.unfetched():
                reject(url, reason)
            reasons = store.reasons()
            chunk = _Chunk(", ".join(self._scope.start))
            seen = ""
            for page in store.pages():
                pages += 1
                problem = "noindex" if page.noindex else "same canonical address" if page.canonical == seen else None
                seen = page.canonical
                label = self._label(page.canonical)
                if self._labels and label is None:
                    problem = problem or "no label for its address"
                if problem is None:
                    problem = chunk.add(page, self._config.extraction, label, limits)
                if problem is not None:
                    lost[problem] = lost.get(problem, 0) + 1
                    reject(page.url, problem)
                    continue
                kept += 1
                if chunk.characters >= _CHUNK_CHARACTERS:
                    yield chunk.rows()
                    chunk = _Chunk(chunk.file)
            if chunk.ids or not kept:
                yield chunk.rows()
        entry = {"split": "train", "changed": 0}
        funnel.append({"step": "crawl", **entry, "rows_in": pages + sum(reasons.values()), "rows_out": pages, "reasons": reasons})
        funnel.append({"step": "extract", **entry, "rows_in": pages, "rows_out": kept, "reasons": lost})

    def _label(self, url: str) -> str | None:
        """The first label whose pattern the address matches."""
        return next((label for label, known in self._labels if known.search(url)), None)


class _Chunk:
    """Rows while they are gathered."""

    def __init__(self, file: str) -> None:
        self.file, self.characters = file, 0
        self.ids: list[str] = []
        self._texts: list[str] = []
        self._labels: list[str | None] = []
        self._provenance: dict[str, list[str | None]] = {"url": [], "source": [], "time": [], "license": []}

    def add(self, page: Page, mode: str, label: str | None, limits: Limits) -> str | None:
        """Add a page's main text; returns why that cannot be, or None."""
        extracted = extract(page.body, page.url, mode=mode, charset=page.charset, limits=limits)
        if not extracted.text:
            return extracted.problem or "no main text"
        self.ids.append(hashlib.sha256(page.canonical.encode()).hexdigest()[:32])
        self._texts.append(extracted.text)
        self._labels.append(label)
        for name, value in (("url", page.canonical), ("source", "crawl"), ("time", page.time), ("license", extracted.license)):
            self._provenance[name].append(value)
        self.characters += len(extracted.text)
        return None

    def rows(self) -> Rows:
        """The rows so far."""
        lines = range(1, len(self.ids) + 1)
        return Rows(self.ids, self._texts, None, self._labels, None, lines, self.file, "page", self._provenance)
