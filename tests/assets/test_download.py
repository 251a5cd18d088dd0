"""https: sources, against a server on this machine."""

import contextlib
import hashlib
import http.server
import threading
import time

import pytest

from finecomb.assets import fetch
from finecomb.assets.client import FetchPolicy, fetch_whole
from finecomb.assets.connections import Connections, Expired, body
from finecomb.core.errors import ConfigError

CONTENT = bytes(range(256)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 0.3
    cut_at: int | None = None
    ranges: list[str | None] = []
    opened = 0

    def setup(self):
        Handler.opened += 1
        super().setup()

    def do_GET(self):
        Handler.ranges.append(self.headers.get("Range"))
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x")
                    time.sleep(0.05)
            self.close_connection = True
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        part = CONTENT[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part[: Handler.cut_at])
        self.close_connection = Handler.cut_at is not None
        Handler.cut_at = None

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Handler.cut_at, Handler.ranges, Handler.opened = None, [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


OWN_SERVER = FetchPolicy("test", allow_private=True, retries=0, backoff=0.01)


def test_a_broken_transfer_goes_on_where_it_stopped(server, tmp_path):
    Handler.cut_at = 1000
    with pytest.raises(ConfigError, match="cannot fetch"):
        fetch_whole(f"{server}/file", tmp_path, OWN_SERVER, limit=10**6)
    assert (tmp_path / "file.partial").stat().st_size == 1000
    assert fetch_whole(f"{server}/file", tmp_path, OWN_SERVER, limit=10**6).read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=1000-"]


def test_more_bytes_than_the_limit_are_refused(server, tmp_path):
    with pytest.raises(ConfigError, match="more than 1,000 bytes"):
        fetch_whole(f"{server}/file", tmp_path, OWN_SERVER, limit=1000)
    assert not list(tmp_path.iterdir())


def test_connections_are_kept_and_one_that_the_server_closed_is_opened_again(server):
    limits = {"connect_timeout": 5, "head_timeout": 5, "read_timeout": 5, "proxied": False}
    connections = Connections("test", allow_private=True, **limits)
    for wait in (0, 0, 0.6):
        time.sleep(wait)  # the server closes an idle connection after 0.3 s
        with connections.request(f"{server}/file", {}) as answer:
            assert b"".join(body(answer)) == CONTENT
    connections.close()
    assert Handler.opened == 2


def test_an_answer_without_an_end_is_cut_at_the_time_for_the_whole(server):
    limits = {"connect_timeout": 5, "head_timeout": 5, "read_timeout": 5, "proxied": False, "total_timeout": 0.5}
    connections = Connections("test", allow_private=True, **limits)
    with pytest.raises(Expired), connections.request(f"{server}/endless", {}) as answer:
        b"".join(body(answer))


def test_a_private_address_is_refused_before_a_byte_is_sent(server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    port = server.rsplit(":", 1)[1]
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1, which is not a public address"):
        fetch([f"https://localhost:{port}/file"], sha256="0" * 64)
    assert Handler.ranges == []


def test_only_https_is_spoken(server, tmp_path):
    with pytest.raises(ConfigError, match="not an address that can be fetched"):
        fetch_whole(f"{server}/file", tmp_path, FetchPolicy("test"), limit=10**6)


def test_a_download_is_pinned_kept_and_mended(cache, monkeypatch):
    served = [CONTENT]
    monkeypatch.setattr("finecomb.assets.client.FileClient.save", lambda client, url, target, **_: target.write_bytes(served[0]))
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    local = fetch(["https://example.org/data.tsv"], sha256=sha256)
    assert (local.path.name, local.sha256, local.path.read_bytes()) == ("data.tsv", sha256, CONTENT)
    local.path.write_bytes(b"damaged")
    assert fetch(["https://example.org/data.tsv"], sha256=sha256).path.read_bytes() == CONTENT
    local.path.write_bytes(b"damaged")
    served[0] = b"other"
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        fetch(["https://example.org/data.tsv"], sha256=sha256)
    assert not list((cache / "downloads" / sha256).iterdir())
