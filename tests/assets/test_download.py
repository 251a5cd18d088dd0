"""https: sources, against a server on this machine."""

import hashlib
import http.server
import threading
import urllib.request

import pytest

from finecomb.assets import fetch
from finecomb.assets.download import download
from finecomb.core.errors import ConfigError

CONTENT = bytes(range(256)) * 400


class Handler(http.server.BaseHTTPRequestHandler):
    cut_at: int | None = None
    ranges: list[str | None] = []

    def do_GET(self):
        Handler.ranges.append(self.headers.get("Range"))
        if self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "https://127.0.0.1:1/secret")
            self.end_headers()
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: Handler.cut_at])
        Handler.cut_at = None

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Handler.cut_at, Handler.ranges = None, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


@pytest.fixture
def plain():
    """An opener that may talk to this machine without TLS."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_a_broken_transfer_goes_on_where_it_stopped(server, plain, tmp_path):
    Handler.cut_at = 1000
    with pytest.raises(ConfigError, match="cannot fetch"):
        download(f"{server}/file", tmp_path / "file", opener=plain)
    assert (tmp_path / "file").stat().st_size == 1000
    download(f"{server}/file", tmp_path / "file", opener=plain)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Handler.ranges == [None, "bytes=1000-"]


def test_more_bytes_than_the_limit_are_refused(server, plain, tmp_path):
    with pytest.raises(ConfigError, match="more than the 1,000 allowed"):
        download(f"{server}/file", tmp_path / "file", opener=plain, limit=1000)
    assert not (tmp_path / "file").exists()


def test_a_private_address_is_refused_before_a_byte_is_sent(server, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    port = server.rsplit(":", 1)[1]
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1, which is not a public address"):
        download(f"https://localhost:{port}/file", tmp_path / "file")
    assert Handler.ranges == []


def test_only_https_is_spoken(server, tmp_path):
    with pytest.raises(ConfigError, match="unknown url type"):
        download(f"{server}/file", tmp_path / "file")


def test_a_download_is_pinned_kept_and_mended(cache, monkeypatch):
    served = [CONTENT]
    monkeypatch.setattr("finecomb.assets.source.download", lambda url, target, progress: target.write_bytes(served[0]))
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    local = fetch(["https://example.org/data.tsv"], sha256=sha256)
    assert (local.path.name, local.sha256, local.path.read_bytes()) == ("data.tsv", sha256, CONTENT)
    local.path.write_bytes(b"damaged")
    assert fetch(["https://example.org/data.tsv"], sha256=sha256).path.read_bytes() == CONTENT
    local.path.write_bytes(b"damaged")
    served[0] = b"other"
    with pytest.raises(ConfigError, match="not the file that was pinned"):
        fetch(["https://example.org/data.tsv"], sha256=sha256)
    assert not list((cache / "partial").iterdir())
