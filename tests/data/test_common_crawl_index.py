"""Archives by an index: servers are asked politely and for nothing twice. All traffic stays on loopback."""

import http.server
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import Counter

import pytest
from warc_archives import PYWB, PYWB_SHA256, QUICK, pages, read, warc

from finecomb.assets import fetch
from finecomb.assets.client import FetchPolicy, FileClient, fetch_whole
from finecomb.core.errors import ConfigError

pytest.importorskip("warcio")
pytest.importorskip("fastwarc")

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
from warc_archives import read, QUICK
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
