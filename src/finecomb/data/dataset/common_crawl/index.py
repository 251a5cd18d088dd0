"""Asking an index of web archives (CDX server API, JSON lines) where the captures of a site are, and fetching just these byte ranges.

What was fetched is one growing file of WARC records, and beside it a log with a line for each record that is complete. A kill at any
moment leaves the log, and behind the last logged record the first bytes of the next one, from which the next request goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finecomb.assets import lock
from finecomb.assets.cache import COMMON_CRAWL
from finecomb.assets.client import FileClient, Refused, TooLarge
from finecomb.config.schema.dataset import CommonCrawl
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem

_PAGE_BYTES = 200_000_000
_MOST_PAGES = 100_000


@dataclass(frozen=True)
class Capture:
    """Where one record lies: bytes `offset` to `offset` + `length` of a file below the archive's address."""

    url: str
    filename: str
    offset: int
    length: int


@dataclass
class Store:
    """What an index query has brought: `records`, a file of WARC records, and for each asked capture where its record lies in it.

    entries: {"at", "length", "file", "url", "problem"}; a problem is why there is no record. reasons: captures left out, counted.
    """

    folder: Path
    entries: list[dict[str, Any]] = field(default_factory=list)
    captures: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def records(self) -> Path:
        """The file of the records."""
        return self.folder / "records.warc.gz"

    def sha256(self) -> str:
        """Hash of the records and of what each of them is."""
        digest = hashlib.sha256()
        size = max((entry["at"] + entry["length"] for entry in self.entries), default=0)
        if size:
            with self.records.open("rb") as file:
                while size and (chunk := file.read(min(size, 1 << 20))):
                    digest.update(chunk)
                    size -= len(chunk)
        digest.update(json.dumps([[entry["url"], entry["length"], entry["problem"]] for entry in self.entries]).encode())
        return digest.hexdigest()


def collect(config: CommonCrawl, client: FileClient) -> Store:
    """The records of the captures that the config asks for, fetched as far as they were not fetched before."""
    facts = [config.index, config.url, config.match, config.data, config.statuses, config.mime_types, config.languages]
    key = hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode()).hexdigest()[:32]
    store = Store(COMMON_CRAWL.path(key))
    with lock(COMMON_CRAWL.lock.format(key)):
        store.folder.mkdir(parents=True, exist_ok=True)
        wanted = list(_wanted(config, client, store))
        done = _done(store)
        for number, capture in enumerate(wanted):
            if number >= len(done):
                done.append(_fetch(config, client, store, capture, done[-1]["at"] + done[-1]["length"] if done else 0))
        store.entries = done[: len(wanted)]
    return store


def _wanted(config: CommonCrawl, client: FileClient, store: Store) -> Iterator[Capture]:
    """The captures of the index, in its order, that pass the filters, within the budgets of records and bytes."""
    taken = size = 0
    for line in _lines(config, client, store.folder):
        store.captures += 1
        reason = _unwanted(line, config)
        if reason is None:
            try:
                capture = Capture(str(line["url"]), str(line["filename"]), int(line["offset"]), int(line["length"]))
            except (KeyError, TypeError, ValueError):
                reason = "index line without filename, offset or length"
        if reason is None and (capture.length > config.record_bytes or capture.length <= 0 or capture.offset < 0):
            reason = "record too large"
        if reason is None and (taken >= config.max_records or size + capture.length > config.max_bytes):
            reason = "over the budget of records or bytes"
        if reason is not None:
            store.reasons[reason] += 1
            continue
        taken, size = taken + 1, size + capture.length
        yield capture


def _unwanted(line: dict[str, Any], config: CommonCrawl) -> str | None:
    """Why a capture is not asked for, or None."""
    status, mime = str(line.get("status", "")), str(line.get("mime-detected") or line.get("mime") or "")
    if config.statuses and status not in {str(each) for each in config.statuses}:
        return f"status {status or 'unknown'}"
    if config.mime_types and mime not in config.mime_types:
        return f"content type {mime or 'unknown'}"
    languages = set(str(line.get("languages") or "").split(",")) - {""}
    if config.languages and not languages & set(config.languages):
        return "language" if languages else "language unknown"
    return None


def _lines(config: CommonCrawl, client: FileClient, folder: Path) -> Iterator[dict[str, Any]]:
    """The index's answer, page after page, each asked for once."""
    query = {"url": config.url or "", "matchType": config.match, "output": "json"}
    counted = _kept(config, client, folder / "pages.json", {**query, "showNumPages": "true"})
    try:
        said = json.loads(counted or b"0")
        pages = int(said["pages"] if isinstance(said, dict) else said)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(Problem(f"this is no index of captures: it answers {counted[:80]!r}", f"dataset.index={config.index}",
                                hint="name a CDX server, such as one that the archive's list of indexes names")) from error  # fmt: skip
    for page in range(min(pages, _MOST_PAGES)):
        for line in _kept(config, client, folder / f"page-{page:05}.jsonl", {**query, "page": str(page)}).splitlines():
            try:
                item = json.loads(line)
            except ValueError:
                item = {}
            yield item if isinstance(item, dict) else {}


def _kept(config: CommonCrawl, client: FileClient, file: Path, query: dict[str, str]) -> bytes:
    """One answer of the index, kept."""
    if not file.exists():
        url = f"{config.index}?{urllib.parse.urlencode(query)}"
        try:
            answer = client.get(url, limit=_PAGE_BYTES)
        except Refused as error:
            if error.status != 404:  # which says that there is no capture
                raise ConfigError(Problem(f"the index cannot be asked: {error}", url)) from error
            answer = b""
        except TooLarge as error:
            raise ConfigError(Problem(f"an answer of the index is too large: {error}", url)) from error
        atomic.write_bytes(file, answer)
    return file.read_bytes()


def _done(store: Store) -> list[dict[str, Any]]:
    """The log's entries as far as they are whole and the file holds what they say; the log is cut behind them."""
    log = store.folder / "done.jsonl"
    data = log.read_bytes() if log.exists() else b""
    size = store.records.stat().st_size if store.records.exists() else 0
    entries: list[dict[str, Any]] = []
    whole = 0
    for line in data.splitlines(keepends=True):
        try:
            entry = json.loads(line)
            if not line.endswith(b"\n") or entry["at"] + entry["length"] > size:
                break
        except (ValueError, KeyError, TypeError):
            break
        entries.append(entry)
        whole += len(line)
    if whole < len(data):
        os.truncate(log, whole)
    return entries


def _fetch(config: CommonCrawl, client: FileClient, store: Store, capture: Capture, at: int) -> dict[str, Any]:
    """Fetch one record behind the `at` bytes that are complete, and log it."""
    problem = None
    begun = (store.records.stat().st_size if store.records.exists() else 0) - at
    if begun > capture.length:  # bytes of another record, or damage
        os.truncate(store.records, at)
        begun = 0
    address = urllib.parse.urljoin(config.data, urllib.parse.quote(capture.filename))
    try:
        client.save(address, store.records, start=capture.offset, length=capture.length, begun=max(0, begun), limit=config.record_bytes)
    except (Refused, TooLarge) as error:
        problem = str(error)
        if store.records.exists():
            os.truncate(store.records, at)
    entry = {"at": at, "length": 0 if problem else capture.length, "file": capture.filename, "url": capture.url, "problem": problem}
    with atomic.told_when_full(store.folder):
        if store.records.exists():
            with store.records.open("rb") as file:
                os.fsync(file.fileno())
        with (store.folder / "done.jsonl").open("a") as log:
            log.write(json.dumps(entry, ensure_ascii=False) + "\n")
            log.flush()
            os.fsync(log.fileno())
    return entry
