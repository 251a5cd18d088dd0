"""Web archives: every record is a row or is counted; servers are asked politely and for nothing twice. All traffic stays on loopback."""

import gzip
import http.server
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.parse
import zlib
from collections import Counter

import pytest
from data_configs import make_dataset

from finecomb.assets import fetch
from finecomb.assets.client import FetchPolicy, FileClient, fetch_whole
from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.dataset.common_crawl.records import http_page

pytest.importorskip("warcio")
pytest.importorskip("fastwarc")

LIMIT = 9999
PYWB = "dist:pywb==2.10.0!pywb-2.10.0/sample_archive/"
PYWB_SHA256 = "5ae43c9b2a5321e39b9c8e16538bfbc0146eeb6fe26713232e45378b774a1a96"
LANGUAGE = "WARC-Identified-Content-Language"
QUICK = {"user_agent": "finecomb-test/1.0 (+test)", "allow_private": True, "delay": 0.0, "retries": 4, "backoff": 0.01,
         "connect_timeout": 5.0, "read_timeout": 1.0, "answer_timeout": 2.0, "least_rate": 1000, "max_bytes": 10**8}  # fmt: skip


def html(number, words=60):
    draw = random.Random(number)
    text = " ".join(draw.choice(("river", "stone", "house", "light", "garden", "winter")) for _ in range(words))
    body = f"<main><h1>Page {number}</h1><p>It is said that {text}.</p></main>"
    return f"<html><head><title>Page {number}</title></head><body>{body}</body></html>"


def warc(records, *, packed=True):
    """A WARC file of (kind, url, body, changes) and the place of each record in it."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    out, places = io.BytesIO(), []
    writer = WARCWriter(out, gzip=packed)
    for number, (kind, url, body, changes) in enumerate(records):
        start = out.tell()
        headers = {"WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012}>", "WARC-Date": "2026-01-02T03:04:05Z"}
        headers |= {name: value for name, value in changes.items() if name.startswith("WARC-")}
        http_headers = None
        if kind == "response":
            fields = [("Content-Type", changes.get("type", "text/html; charset=utf-8")), *changes.get("http", [])]
            http_headers = StatusAndHeaders(changes.get("status", "200 OK"), fields, protocol="HTTP/1.1")
        body = body.encode() if isinstance(body, str) else body
        kind_of = "application/http; msgtype=response" if kind == "response" else "text/plain"
        record = writer.create_warc_record(url, kind, payload=io.BytesIO(body), length=len(body), http_headers=http_headers,
                                           warc_content_type=kind_of, warc_headers_dict=headers)  # fmt: skip
        writer.write_record(record)
        places.append((start, out.tell() - start))
    return out.getvalue(), places


def pages(count):
    return [("response", f"https://site.example/{number}", html(number), {}) for number in range(count)]


def read(**changes):
    raw = build(make_dataset("common_crawl", **{"extraction": "fast", "min_characters": 20, "fetch": QUICK, **changes})).read("none")
    rows = []
    for chunk in raw.splits["train"]:
        cells = zip(chunk.id, chunk.text, chunk.line, *chunk.provenance.values(), strict=True)
        rows += [dict(zip(("id", "text", "line", *chunk.provenance), row, strict=True)) for row in cells]
    return rows, raw


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


# A server that has an archive and an index of it, and misbehaves as it is told.


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server
        parts = urllib.parse.urlsplit(self.path)
        with site.busy:
            site.open_now += 1
            site.most_open = max(site.most_open, site.open_now)
        try:
            site.asked.append((parts.path, self.headers.get("Range"), self.headers.get("User-Agent"), time.monotonic()))
            fault = site.faults.pop(0) if site.faults and parts.path in site.files else None
            if isinstance(fault, tuple):
                return self.say(fault[0], b"SlowDown", {"Retry-After": fault[1]} if fault[1] else {})
            if parts.path == "/index":
                return self.index(dict(urllib.parse.parse_qsl(parts.query)))
            if parts.path == "/private":
                return self.say(302, b"", {"Location": "http://127.0.0.1:9/"})
            body = site.files.get(parts.path)
            if body is None:
                return self.say(404, b"no")
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if site.ranges else None
            first, last = (int(asked[1]), int(asked[2] or len(body) - 1)) if asked else (0, len(body) - 1)
            part = body[first : last + 1]
            extra = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(body)}"} if asked else {}
            return self.say(206 if asked else 200, part, extra, fault)
        finally:
            with site.busy:
                site.open_now -= 1

    def index(self, query):
        lines = self.server.lines
        assert query["url"] == "site.example"
        assert query["matchType"] == "domain"
        if query.get("showNumPages"):
            return self.say(200, json.dumps({"pages": -(-len(lines) // 4), "pageSize": 4}).encode())
        start = int(query["page"]) * 4
        return self.say(200, "".join(json.dumps(line) + "\n" for line in lines[start : start + 4]).encode())

    def say(self, status, body, headers=None, fault=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "cut":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True
        elif fault == "drip":
            for byte in body[:200]:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(0.03)
            self.close_connection = True
        else:
            if self.server.slow:
                time.sleep(self.server.slow)
            self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except OSError:  # the client hung up
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FINECOMB_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.busy, server.open_now, server.most_open = threading.Lock(), 0, 0
        server.asked, server.faults, server.slow, server.ranges = [], [], 0.0, True
        data, places = warc(pages(10))
        server.places = places
        server.files = {"/crawl/a.warc.gz": data}
        server.lines = [
            {"url": f"https://site.example/{n}", "status": "200", "mime": "text/html", "languages": "eng", "filename": "crawl/a.warc.gz",
             "offset": str(at), "length": str(size)} for n, (at, size) in enumerate(places)
        ]  # fmt: skip
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def by_index(site, **changes):
    return {"index": f"{site.url}/index", "data": f"{site.url}/", "url": "site.example", **changes}


def ranges(site):
    return [each[1] for each in site.asked if each[0].startswith("/crawl")]


def test_an_index_gives_byte_ranges_and_each_is_fetched_once(site):
    site.lines[2]["status"] = "301"
    site.lines[3]["mime"] = "image/png"
    site.lines[4]["languages"] = "deu"
    del site.lines[5]["offset"]
    site.lines[6]["filename"] = "crawl/missing.warc.gz"
    rows, raw = read(**by_index(site, languages=["eng"], max_records=5))
    assert [row["url"][-1] for row in rows] == ["0", "1", "7", "8"]
    index, entry = raw.funnel
    assert (index["rows_in"], index["rows_out"]) == (10, 5)
    assert index["reasons"] == {"status 301": 1, "content type image/png": 1, "language": 1, "over the budget of records or bytes": 1,
                                "index line without filename, offset or length": 1}  # fmt: skip
    assert entry["reasons"] == {"damaged": 1}
    assert "not fetched: the server answered 404" in raw.rejected[0]["reason"]
    wanted = [site.places[n] for n in (0, 1, 7, 8)]
    assert [each for each in ranges(site) if each in {f"bytes={at}-{at + size - 1}" for at, size in wanted}] == [
        f"bytes={at}-{at + size - 1}" for at, size in wanted
    ]
    asked = len(site.asked)
    assert read(**by_index(site, languages=["eng"], max_records=5))[0] == rows
    assert len(site.asked) == asked  # the second time, nothing is asked
    assert {each[2] for each in site.asked} == {"finecomb-test/1.0 (+test)"}
    assert site.most_open == 1
    assert len(read(**by_index(site, languages=["eng"]))[0]) == 5  # a larger budget fetches only what is new
    assert len(site.asked) == asked + 1


def test_a_throttled_client_waits_as_long_as_it_is_told_and_then_longer_each_time(site):
    slept = []
    site.faults = [(503, "3"), (429, None), (503, None), (500, None)]
    with FileClient(FetchPolicy("test", allow_private=True, backoff=1.0, retries=4), sleep=lambda seconds: slept.append(seconds)) as client:
        body = client.get(f"{site.url}/crawl/a.warc.gz", limit=10**7)
    assert body == site.files["/crawl/a.warc.gz"]
    assert [each for each in slept if each] == [3.0, 2.0, 4.0, 8.0]


def test_patience_ends_with_a_users_error(site):
    site.faults = [(503, None)] * 9
    with pytest.raises(ConfigError, match="cannot fetch after 5 tries: the server answered 503"):
        read(**by_index(site))


def test_a_transfer_that_breaks_or_drips_goes_on_where_it_stopped(site, tmp_path):
    site.files["/crawl/big"] = bytes(range(256)) * 4000
    site.faults = ["cut", "drip"]
    policy = FetchPolicy("test", allow_private=True, backoff=0.01, read_timeout=1.0)
    path = fetch_whole(f"{site.url}/crawl/big", tmp_path, policy, limit=10**7)
    assert path.read_bytes() == site.files["/crawl/big"]
    asked = ranges(site)
    assert asked[0] is None
    assert asked[1] == f"bytes={len(path.read_bytes()) // 2}-"
    assert len(asked) == 3
    assert int(asked[2].split("=")[1].rstrip("-")) > len(path.read_bytes()) // 2  # what dripped is kept
    assert not list(tmp_path.glob("*.partial"))


def test_a_server_without_ranges_is_not_made_to_send_whole_files(site):
    site.ranges = False
    site.lines = site.lines[1:4]  # not from the beginning of the file
    rows, raw = read(**by_index(site))
    assert rows == []
    assert {each["reason"] for each in raw.rejected} == {"not fetched: the server answered 200 the server gives no parts of files"}


def test_an_index_that_is_none_is_the_users_error(site):
    with pytest.raises(ConfigError, match=r"the index cannot be asked|no index of captures"):
        read(**by_index(site) | {"index": f"{site.url}/crawl/a.warc.gz"})


def test_private_addresses_are_refused(site, tmp_path):
    port = site.server_address[1]
    for address in (f"https://localhost:{port}/index", f"https://127.0.0.1:{port}/index"):
        with pytest.raises(ConfigError, match="not a public address"):
            read(**by_index(site, index=address, fetch=QUICK | {"allow_private": False}))
    with pytest.raises(ConfigError, match="not an address that can be fetched"):
        read(**by_index(site, fetch=QUICK | {"allow_private": False}))
    assert site.asked == []


def test_limits_of_size_hold(site, tmp_path):
    site.files["/crawl/big"] = b"x" * 1_000_000
    with pytest.raises(ConfigError, match="more than 500,000 bytes"):
        fetch_whole(f"{site.url}/crawl/big", tmp_path, FetchPolicy("test", allow_private=True, backoff=0.01), limit=500_000)


FETCHING = """
import sys; sys.path.insert(0, {tests!r})
from test_common_crawl import read, QUICK
read(index={url!r} + "/index", data={url!r} + "/", url="site.example", fetch=QUICK | {{"delay": 0.0}})
"""


def test_a_kill_at_any_moment_fetches_no_finished_record_twice(site, tmp_path):
    site.slow = 0.05
    code = FETCHING.format(tests=os.path.dirname(__file__), url=site.url)
    draw = random.Random(0)
    for _ in range(3):
        before = len(ranges(site))
        process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                                   stderr=subprocess.PIPE)  # fmt: skip
        deadline, wanted = time.monotonic() + 60, before + draw.randint(1, 3)
        while len(ranges(site)) < wanted and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    logged = [
        json.loads(line) for log in (tmp_path / "cache").rglob("done.jsonl") for line in log.read_text().splitlines() if line[-1] == "}"
    ]
    done, killed = len(logged), len(ranges(site))
    assert 0 < done < 10
    site.slow = 0.0
    rows, _ = read(**by_index(site))
    assert [row["url"][-1] for row in rows] == [str(number) for number in range(10)]
    starts = [int(each.split("=")[1].split("-")[0]) for each in ranges(site)]
    assert min(starts[killed:]) >= site.places[done][0]  # nothing that was logged is asked for again
    asked = Counter(starts)
    assert sum(count - 1 for count in asked.values()) <= 3  # at most what was under way at each kill
    assert sum(each[0] == "/index" for each in site.asked) <= 4 + 3


@pytest.mark.registry
def test_a_real_archive_gives_its_pages_by_file_and_by_index(site, monkeypatch, write):
    """The pages of iana.org as pywb's sample archive has them, with the index that was made of them."""
    monkeypatch.delenv("FINECOMB_CACHE")
    try:
        path = fetch([PYWB + "warcs/iana.warc.gz"], sha256=PYWB_SHA256).path
        cdxj = fetch([PYWB + "cdxj/iana.cdxj"], sha256=PYWB_SHA256).path
    except ConfigError as error:
        pytest.skip(f"the package registry is out of reach: {error}")
    monkeypatch.setenv("FINECOMB_CACHE", str(write("cache/x", "").parent))
    rows, raw = read(archives=[str(path)], min_characters=200)
    assert raw.funnel[0]["rows_in"] == 343
    assert sum(raw.funnel[0]["reasons"].values()) + len(rows) == 343
    assert len(rows) >= 15
    assert any("Internet Assigned Numbers Authority" in row["text"] for row in rows)
    site.files["/crawl/iana.warc.gz"] = path.read_bytes()
    site.lines = [json.loads(line.split(" ", 2)[2]) | {"filename": "crawl/iana.warc.gz"} for line in cdxj.read_text().splitlines()]
    again, _ = read(**by_index(site, min_characters=200))
    assert {(row["id"], row["text"]) for row in again} == {(row["id"], row["text"]) for row in rows}
