"""`dataset=wikipedia`: the articles of a dump of MediaWiki, converted by several processes, each part kept so that none is done twice."""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from finecomb.assets import hash_file
from finecomb.assets.cache import FETCHED, WIKIPEDIA
from finecomb.assets.client import FetchPolicy, fetch_whole
from finecomb.config.computing import raised
from finecomb.config.schema.dataset import Fetch, Wikipedia
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.paths import existing
from finecomb.data.dataset.rows import Rows
from finecomb.data.dataset.source_protocol import Raw
from finecomb.data.dataset.wikipedia.articles import COLUMNS, Articles, Part, Rules, convert
from finecomb.data.dataset.wikipedia.dump import Cut, Site, as_utf8, decompressed, elements, read_index, read_site
from finecomb.data.dataset.wikipedia.wikitext import Wiki
from finecomb.data.engine import AHEAD, LocalEngine

# Goes up when the same dump and config give other rows.
VERSION = 2
_BATCH_BYTES, _BATCH_PAGES = 4_000_000, 500
_LISTED_TEMPLATES = 1000


class WikipediaSource:
    """Reads one dump; all articles are train, without labels."""

    def __init__(self, config: Wikipedia) -> None:
        from finecomb.data.dataset.extract import require_web

        require_web("dataset=wikipedia")
        self._config = config
        self._path: Path | None = None
        self._sha256: str | None = None

    def _dump(self) -> Path:
        if self._path is None:
            self._path = _local(self._config.dump, "dataset.dump", self._config.fetch)
        return self._path

    def _hash(self) -> str:
        if self._sha256 is None:
            path = self._dump()
            self._sha256 = hash_file(path)
            if self._config.sha256 and self._config.sha256.lower() != self._sha256:
                what = f"{path.name} is not the file that was pinned"
                raise ConfigError(Problem(what, f"sha256 {self._sha256}", f"dataset.sha256={self._config.sha256}"))
        return self._sha256

    def inputs(self) -> dict[str, str]:
        """The hash of the dump, and what turns its pages into text."""
        return {"dump": self._hash(), "converter": _converter()}

    def read(self, kind: str) -> Raw:
        """The articles, a part of the dump at a time, while they are read."""
        path = self._dump()
        compressed = _is_bzip2(path)
        with path.open("rb") as file:
            try:
                site = read_site(next(elements(as_utf8(decompressed(file, compressed=compressed)), 1)) or b"", str(path))
            except Cut as cut:
                raise ConfigError(Problem(f"{path.name}: {cut}", str(path), hint="fetch it again")) from cut
        entry: dict[str, Any] = {"step": "wikipedia", "split": "train", "rows_in": 0, "rows_out": 0, "changed": 0, "reasons": {},
                                 "templates_dropped": {}, "left_out": {}}  # fmt: skip
        raw = Raw({}, f"{self._config.dump} ({site.database or 'a wiki'}, sha256 {self._hash()[:12]})", self._config.license, None, [entry])
        return replace(raw, splits={"train": self._rows(path, site, compressed, raw)})

    def _rules(self, site: Site) -> Rules:
        config = self._config
        sections = config.drop_sections.get(site.language, [])
        names = [] if config.disambiguation else config.disambiguation_templates.get(site.language, [])
        return Rules(
            Wiki.of(site, [str(name) for name in sections]),
            site,
            frozenset(config.namespaces),
            frozenset(str(name).lower() for name in names),
            config.min_characters,
            config.page_bytes,
            config.title,
        )

    def _rows(self, path: Path, site: Site, compressed: bool, raw: Raw) -> Iterator[Rows]:
        """Chunks of articles; what else there was is counted in `raw` as it passes."""
        entry, config = raw.funnel[0], self._config
        tally = {name: Counter[str]() for name in ("reasons", "templates_dropped", "left_out")}
        seen, source = _Seen(), f"{site.database or path.name} dump"
        for out in self._articles(path, site, compressed):
            rows, twice = _unseen(out.rows, seen, None if config.articles is None else config.articles - entry["rows_out"])
            tally["reasons"] += out.reasons + Counter({"page id twice": twice} if twice else {})
            tally["templates_dropped"] += out.templates
            tally["left_out"] += out.left_out
            first = entry["rows_in"]
            entry["rows_in"] += out.pages
            entry["rows_out"] += len(rows["id"])
            raw.rejected.extend({"split": "train", "file": path.name, **item, "line": first + item["line"]} for item in out.rejected)
            if out.cut:
                self._report_cut(path, out.cut, first + out.pages, raw)
            if config.strict and out.rejected:
                raise ConfigError(Problem(out.rejected[0]["reason"], f"{path.name}, page {first + out.rejected[0]['line']}",
                                        hint="dataset.strict=false leaves such pages out and counts them"))  # fmt: skip
            entry["reasons"], entry["left_out"] = dict(tally["reasons"].most_common()), dict(tally["left_out"].most_common())
            entry["templates_dropped"] = dict(tally["templates_dropped"].most_common(_LISTED_TEMPLATES))
            if rows["id"]:
                count = len(rows["id"])
                provenance = {"url": rows["url"], "source": [source] * count, "time": rows["time"], "license": [config.license] * count}
                lines = [first + page for page in rows["page"]]
                yield Rows(rows["id"], rows["text"], None, [None] * count, None, lines, path.name, "page", provenance)
            if config.articles is not None and entry["rows_out"] >= config.articles:
                return

    def _report_cut(self, path: Path, cut: str, page: int, raw: Raw) -> None:
        if self._config.strict:
            raise ConfigError(Problem(f"{path.name} is damaged: {cut}", str(path), hint="fetch it again; or dataset.strict=false"))
        print(f"{path.name} is damaged: {cut}; the articles that could be read are kept", file=sys.stderr)
        raw.rejected.append({"split": "train", "file": path.name, "line": page, "reason": f"the dump is damaged: {cut}", "text": ""})

    def _articles(self, path: Path, site: Site, compressed: bool) -> Iterator[Articles]:
        """What each part of the dump holds, in order: from the cache where it was converted before, else by the workers."""
        rules = self._rules(site)
        offsets = self._offsets(path)
        how = f"streams {hashlib.sha256(repr(offsets).encode()).hexdigest()}" if offsets else "batches"
        facts = json.dumps([_converter(), self._hash(), how, rules.record()], ensure_ascii=False)
        folder = WIKIPEDIA.path(hashlib.sha256(facts.encode()).hexdigest()[:32])
        parts = _streams(path, offsets) if offsets else _batches(path, compressed, rules.page_bytes)
        engine = LocalEngine(None if self._config.workers == "auto" else int(self._config.workers))
        try:
            while group := list(itertools.islice(parts, AHEAD * engine.workers)):
                todo = [part for part in group if not _file(folder, part).exists()]
                specs = [{"name": part.number, "part": part, "folder": folder, "rules": rules} for part in todo]
                engine.run(_convert, specs, size=path.stat().st_size, what="articles")
                yield from (_converted(part, folder, rules) for part in group)
        finally:
            engine.close()

    def _offsets(self, path: Path) -> list[int]:
        """Where the streams of the dump begin, with its end; nothing without an index."""
        if self._config.index is None:
            return []
        index = _local(self._config.index, "dataset.index", self._config.fetch)
        size = path.stat().st_size
        offsets = read_index(index)
        with path.open("rb") as file:
            for offset in (offsets[0], offsets[-1]) if offsets else (-1,):
                file.seek(max(0, offset))
                if offset < 0 or (file.read(3) != b"BZh" and offset < size):
                    what = f"{index.name} is not the index of {path.name}: no stream begins at byte {offset:,}"
                    raise ConfigError(Problem(what, "dataset.index", hint="name the index of the same date, or dataset.index=null"))
        return [*(offset for offset in offsets if offset < size), size]


def _converter() -> str:
    """What turns pages into text: our own version and that of the parser."""
    return ", ".join([str(VERSION), f"mwparserfromhell {version('mwparserfromhell')}", *raised("wikipedia")])


def _local(name: str, key: str, fetch: Fetch) -> Path:
    """A file named by a path, or kept from an address."""
    if "://" not in name:
        path = existing(Path(name), key)
        if path.is_dir():
            raise ConfigError(Problem(f"{path} is a folder", key, hint="name a file in it"))
        return path
    folder = FETCHED.path(hashlib.sha256(name.encode()).hexdigest()[:32])
    return fetch_whole(name, folder, FetchPolicy.of(fetch), limit=fetch.max_bytes)


def _is_bzip2(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"BZh"


def _streams(path: Path, offsets: list[int]) -> Iterator[Part]:
    for number, (start, end) in enumerate(itertools.pairwise(offsets)):
        yield Part(number, str(path), start, end - start)


def _batches(path: Path, compressed: bool, limit: int) -> Iterator[Part]:
    """Pages in batches; a dump that is cut ends with a part that says so."""
    pages: list[bytes | None] = []
    size, numbers = 0, itertools.count()
    with path.open("rb") as file:
        page_elements = elements(as_utf8(decompressed(file, compressed=compressed)), limit)
        try:
            next(page_elements, None)
            for element in page_elements:
                pages.append(element)
                size += len(element or b"")
                if size >= _BATCH_BYTES or len(pages) >= _BATCH_PAGES:
                    yield Part(next(numbers), pages=pages)
                    pages, size = [], 0
        except Cut as cut:
            yield Part(next(numbers), pages=pages, cut=str(cut))
            return
    if pages:
        yield Part(next(numbers), pages=pages)


def _file(folder: Path, part: Part) -> Path:
    return folder / f"{part.number:08}.parquet"


def _convert(spec: dict[str, Any]) -> None:
    """The task of an engine: put the articles of a part into the cache."""
    _converted(spec["part"], spec["folder"], spec["rules"])


def _converted(part: Part, folder: Path, rules: Rules) -> Articles:
    """The articles of a part, from the cache, or converted and put there."""
    import pyarrow
    import pyarrow.parquet

    file = _file(folder, part)
    if file.exists():
        try:
            table = pyarrow.parquet.read_table(file)
            facts = json.loads(table.schema.metadata[b"finecomb"])
            counts: dict[str, Any] = {name: Counter(facts.pop(name)) for name in ("reasons", "templates", "left_out")}
            return Articles({name: table.column(name).to_pylist() for name in COLUMNS}, **counts, **facts)
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, TypeError):
            file.unlink(missing_ok=True)  # damaged: it is made again
    out = convert(part, rules)
    facts = {name: value for name, value in vars(out).items() if name != "rows"}
    types = {"page": pyarrow.int64()}
    table = pyarrow.table({name: pyarrow.array(out.rows[name], types.get(name, pyarrow.large_string())) for name in COLUMNS})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"finecomb": json.dumps(facts)}), sink, compression="zstd")
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(file, sink.getvalue().to_pybytes())
    return out


class _Seen:
    """Which page ids were there already: a bit for each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> bool:
        """Note a number; whether it was new."""
        place, bit = divmod(number, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(max(place + 1 - len(self._bits), 1 << 16)))
        new = not self._bits[place] >> bit & 1
        self._bits[place] |= 1 << bit
        return new


def _unseen(rows: dict[str, list[Any]], seen: _Seen, most: int | None) -> tuple[dict[str, list[Any]], int]:
    """The first `most` rows whose page id is new, and how many were not new."""
    new = [index for index, identifier in enumerate(rows["id"]) if seen.add(int(identifier))]
    kept = new if most is None else new[:most]
    return {name: [cells[index] for index in kept] for name, cells in rows.items()}, len(rows["id"]) - len(new)
