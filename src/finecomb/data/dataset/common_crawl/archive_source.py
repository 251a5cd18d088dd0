"""`dataset=common_crawl`: the texts of web archives, from WARC and WET files or from what an index says of a site."""

from __future__ import annotations

import glob
import hashlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from finecomb.assets import hash_file
from finecomb.assets.cache import FETCHED
from finecomb.assets.client import FetchPolicy, FileClient, fetch_whole
from finecomb.config.computing import raised
from finecomb.config.schema.dataset import CommonCrawl
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.common_crawl.index import Store, collect
from finecomb.data.dataset.common_crawl.records import Record, http_page, records, records_of
from finecomb.data.dataset.extract import Limits, extract, made_by, require_web
from finecomb.data.dataset.rows import PROVENANCE, Rows
from finecomb.data.dataset.source_protocol import Raw

_CHUNK_CHARACTERS, _CHUNK_ROWS = 4_000_000, 1000
_SAMPLE = 2000


class CommonCrawlSource:
    """Reads archives, or the records that an index names; all texts are train, without labels."""

    def __init__(self, config: CommonCrawl) -> None:
        require_web("dataset=common_crawl")
        if bool(config.archives) == bool(config.index):
            raise ConfigError(Problem("common_crawl reads either archives or what an index names", "dataset.archives, dataset.index",
                                    hint="set dataset.archives=[FILE, ...], or dataset.index=ADDRESS with dataset.url=SITE"))  # fmt: skip
        if config.index and not config.url:
            raise ConfigError(Problem("an index is asked for a site", "dataset.url", hint="dataset.url=example.org dataset.match=domain"))
        self._config = config
        self._archives: dict[str, Path] | None = None
        self._store: Store | None = None

    def _paths(self) -> dict[str, Path]:
        """Name -> file of each archive; what has an address is fetched and kept."""
        if self._archives is None:
            self._archives = {}
            for name in self._config.archives:
                if "://" in name:
                    place = FETCHED.path(hashlib.sha256(name.encode()).hexdigest()[:32])
                    self._archives[name] = fetch_whole(name, place, FetchPolicy.of(self._config.fetch), limit=self._config.fetch.max_bytes)
                    continue
                files = sorted(glob.glob(name)) if glob.has_magic(name) else [str(existing(Path(name), "dataset.archives"))]
                if not files:
                    raise ConfigError(Problem(f"no file is named like {name}", "dataset.archives"))
                self._archives.update({each: Path(each) for each in files})
        return self._archives

    def _fetched(self) -> Store:
        if self._store is None:
            with FileClient(FetchPolicy.of(self._config.fetch)) as client:
                self._store = collect(self._config, client)
        return self._store

    def inputs(self) -> dict[str, str]:
        """The hash of each archive, or of what the index gave; and what turns records into text."""
        made = {"extractor": made_by(), "reader": ", ".join([f"fastwarc {version('fastwarc')}", *raised("common_crawl")])}
        if self._config.index:
            return {"records": self._fetched().sha256(), **made}
        return {f"archive {number}": hash_file(path) for number, path in enumerate(self._paths().values())} | made

    def read(self, kind: str) -> Raw:
        """The texts, record after record, while they are read."""
        if not self._config.index:
            paths = self._paths()
            reader = _Reader(self._config)
            chunks = reader.chunks((name, records(path, self._config.record_bytes)) for name, path in paths.items())
            return reader.raw(chunks, ", ".join(paths)[:500])
        store = self._fetched()
        reader = _Reader(self._config)
        reader.index(store)
        return reader.raw(reader.chunks(_stored(store, self._config.record_bytes)), f"{self._config.url} by {self._config.index}")


def _stored(store: Store, limit: int) -> Iterator[tuple[str, Iterator[Record]]]:
    """The records that were fetched, each with the file that it was part of."""
    for entry in store.entries:
        if entry["problem"]:
            yield entry["file"], iter([Record(damage=f"not fetched: {entry['problem']}")])
            continue
        with store.records.open("rb") as file:
            file.seek(entry["at"])
            yield entry["file"], records_of(file.read(entry["length"]), limit)


class _Reader:
    """Turns records to rows and counts what became of the others."""

    def __init__(self, config: CommonCrawl) -> None:
        self._config = config
        self._reasons: Counter[str] = Counter()
        self._entry: dict[str, Any] = {"step": "common_crawl", "split": "train", "rows_in": 0, "rows_out": 0, "changed": 0, "reasons": {}}
        self._funnel: list[dict[str, Any]] = [self._entry]
        self._rejected: list[dict[str, Any]] = []
        self._seen: set[bytes] = set()
        self._extract = partial(extract, mode=config.extraction, limits=Limits(page_bytes=config.page_bytes))

    def index(self, store: Store) -> None:
        """Say first what of the index was not asked for."""
        self._funnel.insert(0, {"step": "index", "split": "train", "rows_in": store.captures, "rows_out": len(store.entries), "changed": 0,
                                "reasons": dict(store.reasons.most_common())})  # fmt: skip

    def raw(self, chunks: Iterator[Rows], source: str) -> Raw:
        """What the rows come with; `funnel` and `rejected` are filled while they are read."""
        return Raw({"train": chunks}, source, "that of each page", None, self._funnel, 0, self._rejected)

    def chunks(self, archives: Iterator[tuple[str, Iterator[Record]]]) -> Iterator[Rows]:
        """Rows in chunks, one file after the other."""
        rows: list[dict[str, Any]] = []
        size = 0
        for name, archive in archives:
            for number, record in enumerate(archive, start=1):
                row = self._row(record, name, number)
                self._entry["reasons"] = self._reasons
                if row is None:
                    continue
                self._entry["rows_out"] += 1
                rows.append(row)
                size += len(row["text"])
                if size >= _CHUNK_CHARACTERS or len(rows) >= _CHUNK_ROWS:
                    yield _chunk(rows)
                    rows, size = [], 0
        self._entry["reasons"] = dict(self._reasons.most_common())
        if rows:
            yield _chunk(rows)

    def _row(self, record: Record, file: str, number: int) -> dict[str, Any] | None:
        """The row of a record, or None, counted."""
        self._entry["rows_in"] += 1
        if record.damage:
            self._reject("damaged", record.damage, file, number)
            return None
        url = record.headers.get("warc-target-uri", "").strip("<>") or None
        extracted = self._text(record, url)
        if isinstance(extracted, str):
            if extracted.startswith("page limit"):
                self._reject("page limit", extracted, file, number, url)
            else:
                self._reasons[extracted] += 1
            return None
        text, license = extracted["text"], extracted["license"]
        if len(text) < max(1, self._config.min_characters):
            self._reasons["too short" if text else "no text"] += 1
            return None
        name = record.headers.get("warc-record-id", "").strip("<>").removeprefix("urn:uuid:")
        name = name or hashlib.sha256(f"{url}\0{text}".encode()).hexdigest()[:32]
        key = hashlib.blake2b(name.encode(), digest_size=16).digest()
        if key in self._seen:
            self._reasons["record id twice"] += 1
            return None
        self._seen.add(key)
        return {"id": name, "text": text, "url": url, "source": file, "time": record.headers.get("warc-date"), "license": license,
                "line": number, "file": file}  # fmt: skip

    def _text(self, record: Record, url: str | None) -> dict[str, Any] | str:
        """A record's text and license, or why it has none that is wanted."""
        config = self._config
        if record.kind not in ("response", "conversion", "resource"):
            return f"record type {record.kind}"
        if record.block is None:
            return "record too large"
        declared = {each.strip() for each in record.headers.get("warc-identified-content-language", "").split(",")} - {""}
        if config.languages and not config.index and not declared & set(config.languages):
            return "language" if declared else "language unknown"
        if record.kind == "conversion":
            return {"text": record.block.decode("utf-8", "replace").strip(), "license": None}
        if record.kind == "resource":
            mime, body, charset = record.headers.get("content-type", "").partition(";")[0].strip().lower(), record.block, None
        else:
            page = http_page(record.block, config.page_bytes)
            if page.problem is None and config.statuses and page.status not in {str(each) for each in config.statuses}:
                return f"status {page.status}"
            mime, body, charset = page.mime, page.body, page.charset
            if page.problem:
                return page.problem
        if config.mime_types and mime not in config.mime_types:
            return f"content type {mime or 'unknown'}"
        if mime == "text/plain":
            return {"text": body.decode(_known(charset), "replace").strip(), "license": None}
        page_text = self._extract(body, url, charset=charset)
        if page_text.problem and not page_text.text:
            return f"page limit: {page_text.problem}"
        return {"text": page_text.text, "license": page_text.license}

    def _reject(self, reason: str, problem: str, file: str, number: int, url: str | None = None) -> None:
        if self._config.strict:
            raise ConfigError(
                Problem(problem, f"{file}, record {number}", hint="dataset.strict=false leaves such records out and counts them")
            )
        self._reasons[reason] += 1
        self._rejected.append({"split": "train", "file": file, "line": number, "reason": problem, "text": (url or "")[:_SAMPLE]})


def _known(charset: str | None) -> str:
    import codecs

    try:
        return codecs.lookup(charset).name if charset else "utf-8"
    except LookupError:
        return "utf-8"


def _chunk(rows: list[dict[str, Any]]) -> Rows:
    files = list(dict.fromkeys(row["file"] for row in rows))
    named = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    return Rows([row["id"] for row in rows], [row["text"] for row in rows], None, [None] * len(rows), None, [row["line"] for row in rows],
                named, "record", {name: [row[name] for row in rows] for name in PROVENANCE})  # fmt: skip
