"""Frontier and finished pages of one crawl in SQLite: what a killed crawl goes on from, and what a finished one is read from.

A page, the links found on it and the state of its address are one transaction, so that whatever was answered before a kill is there
after it and is not asked for again; an address that was under way is asked for once more.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finecomb.data.dataset.crawl.urls import origin

# Addresses outside the scope that are remembered one by one; more are only counted.
_REFUSED_KEPT = 200_000
TOO_DEEP = "deeper than max_depth"
_REASON = "CASE kind WHEN 'sitemap' THEN 'sitemap: ' ELSE '' END || reason"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts(reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS addresses(
  id INTEGER PRIMARY KEY, url TEXT UNIQUE NOT NULL, origin TEXT NOT NULL, kind TEXT NOT NULL, depth INTEGER NOT NULL,
  via INTEGER, hops INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, tries INTEGER NOT NULL DEFAULT 0,
  not_before REAL NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS frontier ON addresses(state, origin, depth, id);
CREATE TABLE IF NOT EXISTS pages(
  id INTEGER PRIMARY KEY, canonical TEXT NOT NULL, charset TEXT, time TEXT NOT NULL, noindex INTEGER NOT NULL, sha256 TEXT NOT NULL,
  body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS robots(origin TEXT PRIMARY KEY, text TEXT, refused TEXT, time REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Address:
    """One entry of the frontier. kind: page or sitemap. depth: links from the start. hops: redirects that led here. tries: so far."""

    id: int
    url: str
    kind: str
    depth: int
    hops: int
    tries: int


@dataclass(frozen=True)
class Page:
    """A fetched page. canonical: the address that identifies it. time: when it was fetched, ISO 8601 in UTC."""

    url: str
    canonical: str
    charset: str | None
    time: str
    noindex: bool
    sha256: str
    body: bytes


class Store:
    """The state of one crawl, opened by one process at a time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {_SCHEMA}")
        # What was under way when the last process ended was not its fault: the try does not count.
        self._db.execute("UPDATE addresses SET state='waiting', tries=tries-1 WHERE state='asked'")
        self._refused = self._one("SELECT COUNT(*) FROM addresses WHERE state='refused'")

    def close(self) -> None:
        """Close the file; everything is in it already."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self) -> sqlite3.Connection:
        """`with store.transaction():` what is inside happens whole or not at all."""
        self._db.execute("BEGIN IMMEDIATE")
        return self._db

    def _one(self, query: str, *values: object) -> int:
        return int(self._db.execute(query, values).fetchone()[0] or 0)

    def fact(self, name: str) -> str | None:
        """A fact of the crawl as a whole, or None."""
        row = self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_fact(self, name: str, value: str) -> None:
        """Write down a fact."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES(?,?)", (name, value))

    def count(self, reason: str, more: int) -> None:
        """Count what is not remembered one by one."""
        if more:
            self._db.execute("INSERT INTO counts VALUES(?,?) ON CONFLICT(reason) DO UPDATE SET count=count+excluded.count", (reason, more))

    def add(self, url: str, *, kind: str = "page", depth: int, via: int | None = None, hops: int = 0, refused: str | None = None) -> None:
        """Put an address into the frontier unless it is known. refused: why it is not to be asked for, so that it is only counted."""
        if refused is not None and self._refused >= _REFUSED_KEPT:
            self.count("links refused after the first 200,000 addresses", 1)
            return
        state = "waiting" if refused is None else "refused"
        before = self._db.total_changes
        # Found again nearer to the start: it may be asked after all, or sooner.
        self._db.execute(
            "INSERT INTO addresses(url, origin, kind, depth, via, hops, state, reason) VALUES(?,?,?,?,?,?,?,?)"
            " ON CONFLICT(url) DO UPDATE SET depth=excluded.depth, origin=excluded.origin, state='waiting', reason=NULL"
            " WHERE excluded.state='waiting' AND excluded.depth<depth AND (state='waiting' OR reason=?)",
            (url, origin(url) if refused is None else "", kind, depth, via, hops, state, refused, TOO_DEEP),
        )
        self._refused += (refused is not None) and self._db.total_changes > before

    def origins(self) -> list[str]:
        """The origins that have addresses waiting."""
        first, after = (f"SELECT MIN(origin) FROM addresses WHERE state='waiting'{more}" for more in ("", " AND origin>o"))
        # One look into the index for each origin, where DISTINCT would read every address.
        query = (
            f"WITH RECURSIVE t(o) AS ({first} UNION ALL SELECT ({after}) FROM t WHERE o IS NOT NULL) SELECT o FROM t WHERE o IS NOT NULL"
        )
        return [row[0] for row in self._db.execute(query)]

    def next(self, where: str) -> Address | None:
        """The address of an origin that is asked next: the shallowest, then the oldest, of those whose time has come."""
        query = (
            "SELECT id, url, kind, depth, hops, tries FROM addresses WHERE state='waiting' AND origin=? AND not_before<=?"
            " ORDER BY depth, id LIMIT 1"
        )
        row = self._db.execute(query, (where, time.time())).fetchone()
        return None if row is None else Address(*row)

    def earliest(self, where: str) -> float:
        """When the next address of an origin may be asked, as Unix time."""
        row = self._db.execute("SELECT MIN(not_before) FROM addresses WHERE state='waiting' AND origin=?", (where,)).fetchone()
        return float(row[0] or 0.0)

    def start(self, address: Address) -> None:
        """Mark an address as under way."""
        self._db.execute("UPDATE addresses SET state='asked', tries=tries+1 WHERE id=?", (address.id,))

    def end(self, address: Address, state: str, reason: str | None = None, *, received: int = 0) -> None:
        """An address is done with: `done` (a page), `refused` (not asked for) or `failed`."""
        self._db.execute("UPDATE addresses SET state=?, reason=?, received=? WHERE id=?", (state, reason, received, address.id))

    def again(self, address: Address, not_before: float) -> None:
        """Ask an address again, not before that Unix time."""
        self._db.execute("UPDATE addresses SET state='waiting', not_before=? WHERE id=?", (not_before, address.id))

    def chain(self, address: Address) -> set[str]:
        """The addresses whose redirects led to this one, and this one."""
        query = (
            "WITH RECURSIVE up(id, url, via, n) AS (SELECT id, url, via, 0 FROM addresses WHERE id=? UNION ALL"
            " SELECT a.id, a.url, a.via, n+1 FROM addresses a JOIN up ON a.id=up.via WHERE n<50) SELECT url FROM up"
        )
        return {row[0] for row in self._db.execute(query, (address.id,))}

    def keep(self, address: Address, *, canonical: str, charset: str | None, noindex: bool, body: bytes) -> None:
        """Keep a page."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        values = (address.id, canonical, charset, now, noindex, hashlib.sha256(body).hexdigest(), zlib.compress(body, 6))
        self._db.execute("INSERT OR REPLACE INTO pages VALUES(?,?,?,?,?,?,?)", values)

    def leave(self, reason: str) -> None:
        """The crawl ends here: what still waits is left, for that reason."""
        self._db.execute("UPDATE addresses SET state='left', reason=? WHERE state='waiting'", (reason,))

    def spent(self) -> tuple[int, int]:
        """Addresses asked for (sitemaps apart) and bytes received so far."""
        return self._one("SELECT COUNT(*) FROM addresses WHERE tries>0 AND kind='page'"), self._one("SELECT SUM(received) FROM addresses")

    def states(self) -> dict[str, int]:
        """How many addresses are in each state."""
        return dict(self._db.execute("SELECT state, COUNT(*) FROM addresses GROUP BY state"))

    def rules(self, where: str, since: float) -> tuple[str | None, str | None] | None:
        """The text of an origin's robots.txt and why nothing may be asked, if it was fetched since that Unix time."""
        row = self._db.execute("SELECT text, refused FROM robots WHERE origin=? AND time>=?", (where, since)).fetchone()
        return None if row is None else (row[0], row[1])

    def set_rules(self, where: str, text: str | None, refused: str | None) -> None:
        """Keep an origin's robots.txt."""
        self._db.execute("INSERT OR REPLACE INTO robots VALUES(?,?,?,?)", (where, text, refused, time.time()))

    def pages(self) -> Iterator[Page]:
        """Every page, in the order of what identifies it; of several with one identity the one that lies there comes first."""
        query = (
            "SELECT url, canonical, charset, time, noindex, sha256, body FROM pages JOIN addresses USING(id)"
            " ORDER BY canonical, url<>canonical, url"
        )
        for url, canonical, charset, when, noindex, sha256, body in self._db.execute(query):
            yield Page(url, canonical, charset, when, bool(noindex), sha256, zlib.decompress(body))

    def content_hash(self) -> str:
        """Hash of everything that the rows are made of; not of when it was fetched."""
        digest = hashlib.sha256()
        query = "SELECT canonical, url, charset, noindex, sha256 FROM pages JOIN addresses USING(id) ORDER BY canonical, url"
        for row in self._db.execute(query):
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def unfetched(self) -> Iterator[tuple[str, str]]:
        """Address and reason of everything that gave no page."""
        yield from self._db.execute(f"SELECT url, {_REASON} FROM addresses WHERE state<>'done' ORDER BY url")

    def reasons(self) -> dict[str, int]:
        """How many addresses gave no page, and links that were not followed, by reason."""
        counts = dict(self._db.execute(f"SELECT {_REASON}, COUNT(*) FROM addresses WHERE state<>'done' GROUP BY 1 ORDER BY 1"))
        return counts | dict(self._db.execute("SELECT reason, count FROM counts ORDER BY reason"))
