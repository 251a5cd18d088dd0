"""Rates of collecting: articles of a MediaWiki dump, records of a web archive, beside what the libraries do alone.

    python -m benchmarks.collection [--dump FILE.xml.bz2] [--archive FILE.warc.gz] [--rounds 3]

Without files: 206 pages of the English Wikipedia (gensim's test data) and pywb's sample archive, from the package registry. One process;
seconds of the processor, since the machine may be busy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from finecomb.assets import fetch
from finecomb.data.dataset.common_crawl.records import http_page, records
from finecomb.data.dataset.wikipedia.articles import Part, Rules, convert
from finecomb.data.dataset.wikipedia.dump import as_utf8, decompressed, elements, read_page, read_site
from finecomb.data.dataset.wikipedia.wikitext import Wiki, to_text

DUMP = ("dist:gensim==4.4.0!gensim-4.4.0/gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
        "a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5")  # fmt: skip
ARCHIVE = (
    "dist:pywb==2.10.0!pywb-2.10.0/sample_archive/warcs/iana.warc.gz",
    "5ae43c9b2a5321e39b9c8e16538bfbc0146eeb6fe26713232e45378b774a1a96",
)
SECTIONS = ("References", "Notes", "External links", "See also", "Further reading", "Bibliography")


def timed(name: str, call: Callable[[], Any], rounds: int, units: dict[str, float]) -> Any:
    """Run several times; print the median seconds of the processor and rates."""
    seconds, found = [], None
    for _ in range(rounds):
        started = time.process_time()
        found = call()
        seconds.append(time.process_time() - started)
    middle = statistics.median(seconds)
    rates = ", ".join(f"{amount / middle:,.1f} {unit}/s" for unit, amount in units.items())
    print(f"  {name:<58} {middle:7.2f} s  ({min(seconds):.2f} to {max(seconds):.2f})  {rates}", flush=True)
    return found


def wikipedia(path: Path, rounds: int) -> None:
    """From bzip2 to text, and the parts of the way."""
    import mwparserfromhell

    def cut() -> list[bytes]:
        with path.open("rb") as file:
            return [each for each in elements(as_utf8(decompressed(file, compressed=True)), 10**8) if each is not None]

    head, *found = cut()
    site = read_site(head, str(path))
    wiki = Wiki.of(site, SECTIONS)
    read = [read_page(each, 10**8) for each in found]
    texts = [each for each in read if not each.redirect and each.text]
    size = sum(len(each.text.encode()) for each in texts) / 1e6
    print(f"{len(found)} pages, {sum(map(len, found)) / 1e6:.1f} MB of XML; {len(texts)} are no redirects: {size:.1f} MB of wikitext")
    whole = {"MB": sum(map(len, found)) / 1e6, "pages": float(len(found))}
    some = {"MB": size, "articles": float(len(texts))}
    timed("bzip2 to pages' elements", cut, rounds, whole)
    timed("elements to pages", lambda: [read_page(each, 10**8) for each in found], rounds, whole)
    timed("wikitext to text", lambda: [to_text(each.text, wiki) for each in texts], rounds, some)
    timed("mwparserfromhell alone: parse", lambda: [mwparserfromhell.parse(each.text) for each in texts], rounds, some)
    timed("mwparserfromhell alone: parse and strip_code",
          lambda: [mwparserfromhell.parse(each.text).strip_code() for each in texts], rounds, some)  # fmt: skip
    rules = Rules(wiki, site, frozenset({0}), frozenset(), 200, 10**8, title=False)
    out = timed("all of it, from elements to rows", lambda: convert(Part(0, pages=found), rules), rounds, whole)
    print(f"  {len(out.rows['id'])} rows, {sum(map(len, out.rows['text'])) / 1e6:.1f} million characters")


def archive(path: Path, rounds: int) -> None:
    """Records per second, beside the libraries that read archives."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from warcio.archiveiterator import ArchiveIterator as Peer

    def ours() -> int:
        return sum(record.kind != "response" or bool(http_page(record.block or b"", 10**8)) for record in records(path, 10**8))

    def fastwarc() -> int:
        return sum(len(each.reader.read()) >= 0 for each in ArchiveIterator(str(path), record_types=WarcRecordType.any_type))

    def warcio() -> int:
        with path.open("rb") as file:
            return sum(len(each.content_stream().read()) >= 0 for each in Peer(file))

    count = ours()
    units = {"records": float(count), "MB of the file": path.stat().st_size / 1e6}
    print(f"{count} records, {path.stat().st_size / 1e6:.1f} MB")
    timed("our reading: damage told, limits kept, bodies decoded", ours, rounds, units)
    timed("fastwarc alone", fastwarc, rounds, units)
    timed("warcio alone", warcio, rounds, units)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dump", type=Path)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    wikipedia(given.dump or fetch([DUMP[0]], sha256=DUMP[1], progress=True).path, given.rounds)
    source = given.archive or fetch([ARCHIVE[0]], sha256=ARCHIVE[1], progress=True).path
    # Many copies of a small file: an archive is a row of members, so that they make one larger archive.
    with tempfile.TemporaryDirectory() as folder:
        larger = Path(folder) / "larger.warc.gz"
        data = source.read_bytes()
        larger.write_bytes(data * max(1, 20_000_000 // len(data)))
        os.sync()
        archive(larger, given.rounds)


if __name__ == "__main__":
    main()
