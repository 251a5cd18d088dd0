"""Web archives: every record is a row or is counted. All traffic stays on loopback."""

import gzip
import tracemalloc
import zlib

import pytest
from warc_archives import LANGUAGE, LIMIT, html, pages, read, warc

from finecomb.core.errors import ConfigError
from finecomb.data.dataset.common_crawl.records import http_page

pytest.importorskip("warcio")
pytest.importorskip("fastwarc")

MIXED = [
    ("warcinfo", None, "software: test\r\n", {}),
    *pages(2),
    ("request", "https://site.example/0", "GET / HTTP/1.1\r\n\r\n", {}),
    ("response", "https://site.example/gone", html(3), {"status": "404 Not Found"}),
    ("response", "https://site.example/logo", b"\x89PNG" * 100, {"type": "image/png"}),
    ("response", "https://site.example/empty", "<html><body></body></html>", {}),
    ("response", "https://site.example/text", "plain text that is long enough to stay", {"type": "text/plain; charset=latin-1"}),
    ("response", "https://site.example/packed", gzip.compress(html(8).encode()), {"http": [("Content-Encoding", "gzip")]}),
    ("response", "https://site.example/chunks", b"%x\r\n" % len(html(9)) + html(9).encode() + b"\r\n0\r\n\r\n",
     {"http": [("Transfer-Encoding", "chunked")]}),
    ("response", "https://site.example/again", html(10), {"WARC-Record-ID": "<urn:uuid:00000000-0000-0000-0000-000000000001>"}),
]  # fmt: skip


@pytest.mark.parametrize("packed", [True, False])
def test_every_record_is_a_row_or_is_counted(write, packed):
    path = write("a.warc.gz" if packed else "a.warc", warc(MIXED, packed=packed)[0])
    rows, raw = read(archives=[str(path)])
    assert [row["url"].rpartition("/")[2] for row in rows] == ["0", "1", "text", "packed", "chunks"]
    assert all("It is said that" in row["text"] for row in rows if not row["url"].endswith("text"))
    assert (rows[0]["id"], rows[0]["time"]) == ("00000000-0000-0000-0000-000000000001", "2026-01-02T03:04:05Z")
    assert (rows[0]["source"], rows[0]["license"], rows[0]["line"]) == (str(path), None, 2)
    entry = raw.funnel[0]
    assert (entry["rows_in"], entry["rows_out"]) == (11, 5)
    assert entry["reasons"] == {"record type warcinfo": 1, "record type request": 1, "status 404": 1, "content type image/png": 1,
                                "no text": 1, "record id twice": 1}  # fmt: skip


def test_wet_needs_no_extraction_and_languages_are_chosen(write):
    text = "Some text of a page as the archive extracted it"
    records = [("conversion", f"https://site.example/{code}", f"{text} ({code})", {LANGUAGE: code} if code else {})
               for code in ("eng", "deu", "fra,eng", "")]  # fmt: skip
    path = write("a.warc.wet.gz", warc(records)[0])
    assert [row["text"] for row in read(archives=[str(path)])[0]] == [f"{text} ({code})" for code in ("eng", "deu", "fra,eng", "")]
    rows, raw = read(archives=[str(path)], languages=["eng"])
    assert [row["text"][-4:] for row in rows] == ["eng)", "eng)"]
    assert raw.funnel[0]["reasons"] == {"language": 1, "language unknown": 1}


def test_a_damaged_member_costs_only_itself_and_a_cut_is_told(write):
    data, places = warc(pages(8))
    broken = bytearray(data)
    broken[places[3][0] + 40 : places[3][0] + 60] = b"\xff" * 20
    rows, raw = read(archives=[str(write("broken.warc.gz", bytes(broken)))])
    assert [row["url"][-1] for row in rows] == ["0", "1", "2", "4", "5", "6", "7"]
    assert "gzip member is damaged" in raw.rejected[0]["reason"]
    cut = write("cut.warc.gz", data[: places[5][0] + 50])
    rows, raw = read(archives=[str(cut)])
    assert [row["url"][-1] for row in rows] == ["0", "1", "2", "3", "4"]
    assert "ends in the middle" in raw.rejected[0]["reason"]
    plain, places = warc(pages(8), packed=False)
    rows, raw = read(archives=[str(write("cut.warc", plain[: places[5][0] + 500]))])
    assert len(rows) == 5
    assert "ends in the middle of a record" in raw.rejected[0]["reason"]
    with pytest.raises(ConfigError, match="ends in the middle") as caught:
        read(archives=[str(cut)], strict=True)
    assert "record 6" in caught.value.problems[0].where


def test_what_is_no_archive_is_told(write):
    rows, raw = read(archives=[str(write("a.warc", "hello world\n" * 50))])
    assert rows == []
    assert "not a WARC record" in raw.rejected[0]["reason"]


def test_bodies_are_decoded_and_what_cannot_be_is_told():
    text = html(1).encode()
    chunks = b"%x\r\n" % len(gzip.compress(text)) + gzip.compress(text) + b"\r\n0\r\n\r\n"

    def page(body, *headers):
        return http_page(
            "\r\n".join(["HTTP/1.1 200 OK", "Content-Type: text/html; charset=latin-1", *headers, "", ""]).encode() + body, 9999
        )

    assert page(text).charset == "latin-1"
    for body, *headers in (
        (text,), (zlib.compress(text), "Content-Encoding: deflate"), (chunks, "Content-Encoding: gzip", "Transfer-Encoding: chunked"),
        (text, "Content-Encoding: gzip"), (text, "Transfer-Encoding: chunked"),  # headers of what the archive undid
    ):  # fmt: skip
        assert (page(body, *headers).body, page(body, *headers).problem) == (text, None), headers
    assert page(gzip.compress(text)[:20], "Content-Encoding: gzip").body == b""
    assert page(b"nonsense", "Content-Encoding: br").problem == "damaged content encoding br"
    assert page(b"<" * 10_000).problem == "page too large"
    assert http_page(b"hello", LIMIT).problem == "no HTTP response"


def test_bombs_stay_within_their_limits(write):
    bomb = gzip.compress(b"<p>x</p>" * 10_000_000)
    records = [("response", "https://site.example/bomb", bomb, {"http": [("Content-Encoding", "gzip")]}),
               ("response", "https://site.example/large", b"x" * 5_000_000, {}), *pages(1)]  # fmt: skip
    path = write("bomb.warc.gz", warc(records)[0])
    tracemalloc.start()
    rows, raw = read(archives=[str(path)], record_bytes=1_000_000, page_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 1
    assert raw.funnel[0]["reasons"] == {"page too large, decompressed": 1, "record too large": 1}
    assert peak < 20_000_000
