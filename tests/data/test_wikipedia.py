"""Articles of a dump: what is left out is counted, and nothing in a dump is fatal or unbounded."""

import bz2
import http.server
import threading
import tracemalloc
from xml.sax.saxutils import escape

import pytest
from data_configs import make_dataset

from finecomb.assets import fetch
from finecomb.core.errors import ConfigError
from finecomb.data.dataset.wikipedia import dump_source
from finecomb.data.dataset.wikipedia.dump_source import WikipediaSource

pytest.importorskip("mwparserfromhell")

GENSIM = "dist:gensim==4.4.0!gensim-4.4.0/gensim/test/test_data/"
GENSIM_SHA256 = "a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5"

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo><sitename>Wikipedia</sitename><dbname>enwiki</dbname><base>https://en.wikipedia.org/wiki/Main_Page</base>
  <namespaces><namespace key="0" /><namespace key="6">File</namespace><namespace key="10">Template</namespace></namespaces></siteinfo>
"""
LONG = "It has a text that is long enough to be kept by the shortest length that counts. " * 4


def page(number, text, title=None, ns=0, extra="", model="wikitext"):
    title = escape(title or f"Page {number}")
    return (
        f"  <page>\n    <title>{title}</title>\n    <ns>{ns}</ns>\n    <id>{number}</id>\n{extra}    <revision>\n"
        f"      <id>{number + 1000}</id>\n      <timestamp>2026-01-02T03:04:05Z</timestamp>\n      <model>{model}</model>\n"
        f'      <text xml:space="preserve">{escape(text)}</text>\n    </revision>\n  </page>\n'
    )


PAGES = [
    page(1, "'''One''' is {{convert|1300|mi}} long, {{unknown thing|x}}. " + LONG, title="Ångström & Söhne"),
    page(2, "#REDIRECT [[One]]", extra='    <redirect title="One" />\n'),
    page(3, LONG + "{{Disambiguation}}"),
    page(4, "{{template}}" + LONG, ns=10),
    page(5, "short"),
    page(6, ""),
    page(7, '{"a": 1}' + LONG, model="json"),
    page(8, "Eight [[File:A.jpg|b]] " + LONG),
]


@pytest.fixture
def dump(tmp_path):
    """Write a dump: pages between head and end, compressed as one stream or, with an index, one for each two pages."""

    def write(pages, name="enwiki-20260101-pages-articles.xml.bz2", multistream=False, head=HEAD):
        path = tmp_path / name
        if not multistream:
            data = (head + "".join(pages) + "</mediawiki>\n").encode()
            path.write_bytes(bz2.compress(data) if name.endswith(".bz2") else data)
            return path, None
        parts, lines, offset = [bz2.compress(head.encode())], [], 0
        for start in range(0, len(pages), 2):
            offset = sum(map(len, parts))
            lines += [f"{offset}:{number}:Some: title" for number in range(start, start + len(pages[start : start + 2]))]
            parts.append(bz2.compress("".join(pages[start : start + 2]).encode()))
        parts.append(bz2.compress(b"</mediawiki>"))
        path.write_bytes(b"".join(parts))
        index = tmp_path / "index.txt.bz2"
        index.write_bytes(bz2.compress("\n".join(lines).encode() + b"\n"))
        return path, index

    return write


def read(path, index=None, **changes):
    source = WikipediaSource(make_dataset("wikipedia", dump=str(path), index=index and str(index), **{"workers": 1, **changes}))
    raw = source.read("none")
    return [row for rows in raw.splits["train"] for row in table(rows)], raw


def table(rows):
    columns = zip(rows.id, rows.text, rows.line, *rows.provenance.values(), strict=True)
    return [dict(zip(("id", "text", "line", *rows.provenance), row, strict=True)) for row in columns]


@pytest.mark.parametrize("how", ["bz2", "xml", "multistream", "multistream without index"])
def test_articles_of_a_dump_with_their_origin_and_everything_else_counted(dump, how):
    path, index = dump(PAGES, "enwiki.xml" if how == "xml" else "enwiki.xml.bz2", multistream="multi" in how)
    rows, raw = read(path, None if "without" in how else index)
    assert [(row["id"], row["line"]) for row in rows] == [("1", 1), ("8", 8)]
    assert rows[0]["text"].startswith("One is 1,300 miles long,")
    assert rows[0]["url"] == "https://en.wikipedia.org/wiki/%C3%85ngstr%C3%B6m_&_S%C3%B6hne"
    assert (rows[0]["time"], rows[0]["license"], rows[0]["source"]) == ("2026-01-02T03:04:05Z", "CC BY-SA 4.0", "enwiki dump")
    entry = raw.funnel[0]
    assert (entry["rows_in"], entry["rows_out"]) == (8, 2)
    assert entry["reasons"] == {"redirect": 1, "disambiguation": 1, "namespace Template": 1, "too short": 1, "no text": 1,
                                "content model json": 1}  # fmt: skip
    assert entry["templates_dropped"] == {"unknown thing": 1}
    assert entry["left_out"] == {"file": 1}
    assert raw.rejected == []


def test_options_choose_pages(dump):
    path, _ = dump(PAGES)
    rows, _ = read(path, namespaces=[0, 10], disambiguation=True, min_characters=0, title=True)
    assert [row["id"] for row in rows] == ["1", "3", "4", "5", "8"]
    assert rows[3]["text"] == "Page 5\n\nshort"
    rows, raw = read(path, namespaces=[0, 10], articles=2)
    assert [row["id"] for row in rows] == ["1", "4"]
    assert raw.funnel[0]["rows_out"] == 2


BROKEN = {
    "bad XML": ("  <page>\n<title>A</titel></page>\n", "broken XML"),
    "no id": ("  <page><title>A</title><revision><text>x</text></revision></page>\n", "the page has no id"),
    "an entity": ("  <page><title>&bomb;</title><id>3</id></page>\n", "broken XML: undefined entity"),
    "a control character": (page(9, "x\x01y"), "broken XML: not well-formed"),
    "too large": (page(9, "x" * 30000), "more than 20,000 bytes"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_page_breaks_only_itself(dump, fault):
    element, reason = BROKEN[fault]
    path, _ = dump([PAGES[0], element, PAGES[7]])
    rows, raw = read(path, page_bytes=20000)
    assert [row["id"] for row in rows] == ["1", "8"]
    assert raw.funnel[0]["reasons"] == {"broken": 1}
    assert (raw.rejected[0]["line"], raw.rejected[0]["file"]) == (2, path.name)
    assert reason in raw.rejected[0]["reason"]
    with pytest.raises(ConfigError, match=reason) as caught:
        read(path, page_bytes=20000, strict=True)
    assert "page 2" in caught.value.problems[0].where


def test_entities_are_never_expanded(dump):
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n' + HEAD
    path, _ = dump([page(1, "&b;" + LONG)], head=bomb)
    with pytest.raises(ConfigError, match="declares a document type"):
        read(path)


def many(count):
    return [page(number, f"Number {number} with words such as {number * 7919 % 10007}. " + LONG) for number in range(1, count + 1)]


def random_tail(count):
    """Pages that bzip2 cannot shrink much, so that a cut falls between them."""
    import random

    draw = random.Random(0)
    return [page(n, LONG + "".join(draw.choices("abcdefghijklmnop ", k=20000))) for n in range(1, count + 1)]


def test_a_dump_that_was_cut_gives_what_came_before_and_says_so(dump, capsys):
    path, _ = dump(random_tail(150))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    rows, raw = read(path)
    assert 0 < len(rows) < 150
    assert [row["id"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert "in the middle of a bzip2 stream" in raw.rejected[-1]["reason"]
    assert "is damaged: it ends in the middle" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is damaged"):
        read(path, strict=True)


def test_a_damaged_stream_of_a_multistream_dump_costs_only_its_own_pages(dump):
    path, index = dump(many(10), multistream=True)
    whole, _ = read(path, index)
    data = bytearray(path.read_bytes())
    starts = [at for at in range(len(data)) if data[at : at + 4] == b"BZh9"]
    data[starts[3] + 30] ^= 0xFF  # the pages 5 and 6
    path.write_bytes(bytes(data))
    rows, raw = read(path, index)
    assert [row["id"] for row in rows] == [row["id"] for row in whole if row["id"] not in ("5", "6")]
    assert "damaged" in raw.rejected[0]["reason"]


def test_a_giant_page_is_skipped_in_bounded_memory(tmp_path):
    path = tmp_path / "giant.xml.bz2"
    packer = bz2.BZ2Compressor()
    with path.open("wb") as file:
        file.write(packer.compress((HEAD + page(1, LONG) + "<page><title>x</title><id>2</id><revision><text>").encode()))
        for _ in range(60):
            file.write(packer.compress(b"x" * 1_000_000))
        file.write(packer.compress(("</text></revision></page>" + page(3, LONG) + "</mediawiki>").encode()) + packer.flush())
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    rows, raw = read(path, page_bytes=2_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["id"] for row in rows] == ["1", "3"]
    assert "more than 2,000,000 bytes" in raw.rejected[0]["reason"]
    assert peak < 25_000_000


def test_workers_and_index_do_not_change_the_rows(dump, monkeypatch, tmp_path):
    path, index = dump(many(40), multistream=True)
    monkeypatch.setattr("finecomb.data.engine.WORTH_A_PROCESS", 0)
    found = []
    for workers, use in ((1, index), (2, index), (2, None)):
        monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / f"cache {workers} {use is None}"))
        rows, raw = read(path, use, workers=workers)
        found.append((rows, raw.funnel))
    assert len(found[0][0]) == 40
    assert found[0] == found[1] == found[2]


def test_parts_that_were_converted_are_not_converted_again(dump, monkeypatch):
    path, index = dump(many(10), multistream=True)
    done = []
    convert = dump_source.convert
    monkeypatch.setattr(dump_source, "convert", lambda part, rules: done.append(part.number) or convert(part, rules))
    source = WikipediaSource(make_dataset("wikipedia", dump=str(path), index=str(index), workers=1))
    chunks = iter(source.read("none").splits["train"])
    next(chunks), next(chunks)
    chunks.close()  # as if killed: two parts are done
    rows, raw = read(path, index)
    assert done == [0, 1, 2, 3, 4]
    assert (len(rows), raw.funnel[0]["rows_in"]) == (10, 10)
    read(path, index, min_characters=1)  # another config converts anew
    assert done == [0, 1, 2, 3, 4] * 2


def test_a_page_that_comes_twice_is_taken_once(dump):
    rows, raw = read(dump([*many(3), *many(4)])[0])
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert raw.funnel[0]["reasons"] == {"page id twice": 3}


def test_a_dump_in_utf_16_is_read(dump, tmp_path):
    path = tmp_path / "wide.xml"
    path.write_bytes((HEAD + page(1, "Това е " + LONG) + "</mediawiki>").encode("utf-16"))
    assert read(path)[0][0]["text"].startswith("Това е")


def test_wrong_files_are_the_users_error(dump, tmp_path):
    path, index = dump(many(4), multistream=True)
    other = tmp_path / "other.txt"
    other.write_text("hello\n")
    for changes, said in (({"dump": str(other)}, "not a dump of MediaWiki"), ({"index": str(other)}, "not the index"),
                          ({"dump": str(tmp_path / "nothing.bz2")}, "no such file"), ({"sha256": "0" * 64}, "not the file that was pinned"),
                          ({"dump": "http://127.0.0.1/x.bz2"}, "not an address that can be fetched")):  # fmt: skip
        source = WikipediaSource(make_dataset("wikipedia", **({"dump": str(path), "index": str(index), "workers": 1} | changes)))
        with pytest.raises(ConfigError, match=said):
            list(source.read("none").splits["train"])
    index.write_bytes(bz2.compress(b"77:1:a\n"))
    with pytest.raises(ConfigError, match="no stream begins at byte 77"):
        read(path, index)


def test_the_input_is_the_content_of_the_dump(dump, tmp_path):
    path, _ = dump(many(4))
    moved = tmp_path / "elsewhere.bz2"
    moved.write_bytes(path.read_bytes())
    other, _ = dump(many(5), "other.xml.bz2")
    inputs = [WikipediaSource(make_dataset("wikipedia", dump=str(each))).inputs() for each in (path, moved, other)]
    assert inputs[0] == inputs[1] != inputs[2]


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of the test's folder on loopback that breaks off the first answer halfway, and the ranges it was asked for."""
    for name in ("http_proxy", "HTTP_PROXY", "FINECOMB_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = (tmp_path / self.path.strip("/")).read_bytes()
            wanted = self.headers.get("Range")
            asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            self.wfile.write(body[start : None if wanted else len(body) // 2])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_a_remote_dump_is_fetched_once_and_on_from_where_it_broke(dump, served):
    path, _ = dump(many(5))
    url, asked = served
    fetching = {"allow_private": True, "backoff": 0.01, "delay": 0.0}
    rows, raw = read(f"{url}/{path.name}", fetch=fetching)
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert asked == [None, f"bytes={path.stat().st_size // 2}-"]
    assert url in raw.source
    assert read(f"{url}/{path.name}", fetch=fetching)[0] == rows
    assert len(asked) == 2


@pytest.mark.registry
def test_real_articles_are_text(monkeypatch):
    """206 pages of the English Wikipedia (2016), from gensim's own test data."""
    monkeypatch.delenv("FINECOMB_CACHE")
    name = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    try:
        path = fetch([GENSIM + name], sha256=GENSIM_SHA256).path
    except ConfigError as error:
        pytest.skip(f"the package registry is out of reach: {error}")
    rows, raw = read(path)
    assert (raw.funnel[0]["rows_in"], raw.funnel[0]["reasons"]["redirect"]) == (206, 99)
    texts = " ".join(row["text"] for row in rows)
    assert not [mark for mark in ("{{cite", "{{convert", "<ref", "[[", "{|") if mark in texts]
    assert "At 1,300 miles, Alabama" in texts
