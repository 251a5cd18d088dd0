"""Fetching from servers that many people share: one connection, pauses, patience, nothing fetched twice.

One request at a time over one kept connection. A server that says "not now" (429, 500, 502 to 504; S3's SlowDown is a 503) is left alone
for as long as it asks, or for a time that doubles; a broken transfer goes on at the byte where it stopped; a server that drips is cut.
Addresses that are not public are refused (`addresses`), also behind a redirect.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import os
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from finecomb.assets.addresses import PrivateAddress, PublicHTTPConnection, PublicHTTPSConnection
from finecomb.assets.cache import offline, room_on_disk
from finecomb.core.errors import ConfigError, Problem

_CHUNK = 1 << 18
_LATER = (429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_MOST_PATIENCE = 600.0
_Connection = http.client.HTTPConnection
Given = TypeVar("Given")


@dataclass(frozen=True)
class Manners:
    """How to behave. Times in seconds; delay: between two requests; backoff: before the first repetition, doubled each time.

    retries: repetitions in a row without a byte of progress. answer_timeout: until an answer's head is there.
    least_rate: bytes per second, over `read_timeout`, below which a transfer counts as broken. allow_private: also plain http:.
    """

    user_agent: str
    allow_private: bool = False
    delay: float = 0.0
    retries: int = 8
    backoff: float = 1.0
    connect_timeout: float = 20.0
    read_timeout: float = 30.0
    answer_timeout: float = 60.0
    least_rate: int = 1000


class Refused(Exception):
    """A server's last word on one address: it is not there, not allowed, or not given in parts. `status`: its code."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the server answered {status} {reason}".rstrip())
        self.status = status


class TooLarge(Exception):
    """An answer is larger than was allowed."""


class _Later(Exception):
    """Not now. `wait`: how long the server asks to be left alone, where it says."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Polite:
    """A client for few servers. `requests` and `received` (bytes of answers) count what was asked and given."""

    def __init__(self, manners: Manners, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._manners, self._sleep = manners, sleep
        self._kept: tuple[tuple[str, str, int], _Connection] | None = None
        self._next = 0.0
        self.requests = 0
        self.received = 0

    def __enter__(self) -> Polite:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._kept is not None:
            self._kept[1].close()
            self._kept = None

    def get(self, url: str, *, limit: int) -> bytes:
        """A whole answer of at most `limit` bytes. Raises Refused, TooLarge, or ConfigError when the server cannot be reached."""

        def once() -> bytes:
            body = bytearray()
            with self._answer(url, {}) as answer:
                if answer.status != 200:
                    raise Refused(answer.status, answer.reason)
                for chunk in self._chunks(answer):
                    body += chunk
                    if len(body) > limit:
                        raise TooLarge(f"more than {limit:,} bytes")
            return bytes(body)

        return self._patiently(url, once, lambda: 0)

    def save(self, url: str, target: Path, *, start: int = 0, length: int | None = None, begun: int = 0, limit: int) -> int:
        """Append bytes of `url` to `target`, which ends in the first `begun` bytes of the wanted ones already. Returns how many came.

        start, length: the wanted range; length None: to the end. limit: most bytes in all.
        Raises Refused (with status 200 where a server ignores the range), TooLarge, or ConfigError when the server cannot be reached.
        """
        if length is not None and length > limit:
            raise TooLarge(f"{length:,} bytes, more than {limit:,}")
        base = (target.stat().st_size if target.exists() else 0) - begun

        def have() -> int:
            return (target.stat().st_size if target.exists() else 0) - base

        def once() -> None:
            self._append(url, target, base, start, length, limit)

        if length is None or begun < length:
            self._patiently(url, once, have)
        return have() - begun

    def _append(self, url: str, target: Path, base: int, start: int, length: int | None, limit: int) -> None:
        """One request for what is still missing."""
        have = (target.stat().st_size if target.exists() else 0) - base
        first, last = start + have, "" if length is None else str(start + length - 1)
        whole = first == 0 and length is None
        with self._answer(url, {} if whole else {"Range": f"bytes={first}-{last}"}) as answer:
            if answer.status == 416 and have and length is None:
                return  # it was complete
            if answer.status not in (200, 206) or (answer.status == 200 and start > 0):
                raise Refused(answer.status, "the server gives no parts of files" if answer.status == 200 else answer.reason)
            if answer.status == 206 and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {first}-"):
                raise Refused(206, "another part of the file than was asked for")
            if answer.status == 200:  # from the beginning, whatever was asked
                have = 0
            with room_on_disk(target.parent), target.open("r+b" if target.exists() else "wb") as file:
                file.truncate(base + have)
                file.seek(base + have)
                for chunk in self._chunks(answer):
                    wanted = chunk if length is None else chunk[: length - have]
                    file.write(wanted)
                    have += len(wanted)
                    if have > limit:
                        raise TooLarge(f"more than {limit:,} bytes")
                    if length is not None and have >= length:
                        break
            if length is not None and have < length:
                raise _Later("the connection broke")

    def _patiently(self, url: str, once: Callable[[], Given], progress: Callable[[], int]) -> Given:
        """Ask again, later and later, until it works or `retries` requests in a row brought nothing."""
        if offline():
            hint = "unset FINECOMB_OFFLINE and HF_HUB_OFFLINE, or name a local copy"
            raise ConfigError(Problem("this is not in the cache, and the network is switched off", url, hint=hint))
        failures, before = 0, progress()
        while True:
            try:
                return once()
            except PrivateAddress as error:
                hint = "name a public address; or, for a server of your own, set dataset.fetch.allow_private=true"
                raise ConfigError(Problem(str(error), url, hint=hint)) from error
            except (_Later, OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.filename is not None:
                    raise  # the disk's, not the network's
                self.close()
                failures = 0 if progress() > before else failures
                before = progress()
                if failures >= self._manners.retries:
                    hint = "asked again, it goes on where it stopped"
                    raise ConfigError(Problem(f"cannot fetch after {failures + 1} tries: {error}", url, hint=hint)) from error
                asked = error.wait if isinstance(error, _Later) else None
                self._sleep(min(asked if asked is not None else self._manners.backoff * 2**failures, _MOST_PATIENCE))
                failures += 1

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The head of an answer, after redirects. A connection whose answer was not read to its end is closed."""
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._ask(url, headers)
            if answer.status not in _REDIRECTS:
                break
            where = answer.headers.get("Location")
            self.close()
            if not where:
                raise Refused(answer.status, "a redirect to nowhere")
            url = urllib.parse.urljoin(url, where)
        else:
            raise Refused(310, f"more than {_MOST_REDIRECTS} redirects")
        try:
            if answer.status in _LATER:
                raise _Later(f"the server answered {answer.status} {answer.reason}", _asked_wait(answer.headers.get("Retry-After")))
            yield answer
        finally:
            if not answer.isclosed():
                self.close()

    def _ask(self, url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        parts = urllib.parse.urlsplit(url)
        allowed = ("https", "http") if self._manners.allow_private else ("https",)
        if parts.scheme not in allowed or not parts.hostname:
            raise ConfigError(Problem(f"not an address that can be fetched: {url[:200]}", "", f"{' or '.join(allowed)}://HOST/PATH",
                                    "plain http: needs dataset.fetch.allow_private=true" if parts.scheme == "http" else ""))  # fmt: skip
        self._sleep(max(0.0, self._next - time.monotonic()))
        connection = self._connection(parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        self.requests += 1
        # A server that drips the head of its answer is never silent for long; the whole head has a time of its own.
        with _cut_after(connection, self._manners.answer_timeout):
            try:
                connection.request(
                    "GET", target, headers={"User-Agent": self._manners.user_agent, "Accept-Encoding": "identity", **headers}
                )
                answer = connection.getresponse()
            finally:
                self._next = time.monotonic() + self._manners.delay
        if connection.sock is not None:
            connection.sock.settimeout(self._manners.read_timeout)
        return answer

    def _connection(self, scheme: str, host: str, port: int) -> _Connection:
        key = (scheme, host, port)
        if self._kept is not None and self._kept[0] == key and self._kept[1].sock is not None:
            return self._kept[1]
        self.close()
        connection = _open(scheme, host, port, self._manners)
        self._kept = key, connection
        return connection

    def _chunks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """The body as it comes; a transfer that is slower than `least_rate`, or shorter than announced, is broken."""
        window, came = time.monotonic(), 0
        length, total = answer.headers.get("Content-Length"), 0
        while chunk := answer.read1(_CHUNK):
            came += len(chunk)
            total += len(chunk)
            self.received += len(chunk)
            yield chunk
            now = time.monotonic()
            if now - window > self._manners.read_timeout:
                if came < self._manners.least_rate * (now - window):
                    raise _Later(f"the server sends less than {self._manners.least_rate:,} bytes per second")
                window, came = now, 0
        if length and length.isdigit() and total < int(length):
            raise _Later(f"the connection broke after {total:,} of {int(length):,} bytes")


def _open(scheme: str, host: str, port: int, manners: Manners) -> _Connection:
    """A connection, through the proxy that the environment names, if any."""
    proxy = None if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
    checked: tuple[type[_Connection], type[_Connection]] = (PublicHTTPConnection, PublicHTTPSConnection)
    plain, secure = (http.client.HTTPConnection, http.client.HTTPSConnection) if manners.allow_private else checked
    kind = secure if scheme == "https" else plain
    if proxy is None:
        return kind(host, port, timeout=manners.connect_timeout)
    parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    connection = kind(parts.hostname or "", parts.port or 80, timeout=manners.connect_timeout)
    headers = {}
    if parts.username:
        secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    connection.set_tunnel(host, port, headers)
    return connection


@contextmanager
def _cut_after(connection: _Connection, seconds: float) -> Iterator[None]:
    """Shut the connection's socket down when the work inside takes longer."""

    def cut() -> None:
        sock = connection.sock
        if sock is not None:
            try:
                # Below TLS, whose own shutdown would wait for the other side.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
            except OSError:
                return

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _asked_wait(header: str | None) -> float | None:
    """Seconds that Retry-After asks for, written as a number or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def fetch_whole(url: str, place: Path, manners: Manners, *, limit: int) -> Path:
    """A file kept under `place`, a folder of its own: from there if it is whole, else fetched, on from where an earlier try stopped."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]) or "file"
    kept = place / "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    if kept.exists():
        return kept
    partial = kept.with_name(kept.name + ".partial")
    with room_on_disk(place):
        place.mkdir(parents=True, exist_ok=True)
    try:
        with Polite(manners) as client:
            client.save(url, partial, begun=partial.stat().st_size if partial.exists() else 0, limit=limit)
    except (Refused, TooLarge) as error:
        raise ConfigError(
            Problem(f"cannot fetch: {error}", url, hint="check the address; a larger limit is dataset.fetch.max_bytes")
        ) from error
    os.replace(partial, kept)
    return kept
