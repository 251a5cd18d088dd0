"""HTTP over kept connections, within limits of time, to public addresses unless the user allows others. Redirects are not followed here."""

from __future__ import annotations

import base64
import email.utils
import http.client
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from finecomb.assets.addresses import PrivateAddress, PublicHTTPConnection, PublicHTTPSConnection

REDIRECTS = (301, 302, 303, 307, 308)
LATER = (429, 500, 502, 503, 504)  # S3's SlowDown is a 503
CHUNK = 1 << 18


class CannotConnect(OSError):
    """No connection to the server could be opened."""


class Expired(OSError):
    """The answer took longer than it may."""


class Connections:
    """Connections to servers, kept and used again; for any number of threads.

    connect_timeout: seconds to connect. head_timeout: until the head of an answer is there. read_timeout: between two pieces of its body.
    total_timeout: for a whole answer; None: only the head has a limit as a whole. allow_private: any address. proxied: through the proxy
    that the environment names, if any. keep: most idle connections.
    """

    def __init__(
        self,
        user_agent: str,
        *,
        allow_private: bool,
        connect_timeout: float,
        head_timeout: float,
        read_timeout: float,
        total_timeout: float | None = None,
        proxied: bool = True,
        keep: int = 1,
    ) -> None:
        self._user_agent, self._allow_private, self._proxied, self._keep = user_agent, allow_private, proxied, keep
        self._connect_timeout, self._head_timeout = connect_timeout, head_timeout
        self._read_timeout, self._total_timeout = read_timeout, total_timeout
        self._lock = threading.Lock()
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []
        self._busy: set[socket.socket] = set()

    def close(self) -> None:
        """Close every connection, and cut those under way."""
        with self._lock:
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()
            for sock in self._busy:
                _cut(sock)

    @contextmanager
    def request(self, url: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer to GET. Its connection is kept where the body was read to its end.

        Raises PrivateAddress, CannotConnect, Expired, another OSError or HTTPException.
        """
        parts = urllib.parse.urlsplit(url)
        key = f"{parts.scheme}://{parts.netloc}"
        target = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
        fields = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **headers}
        expired = threading.Event()
        for connection, used in self._candidates(key, parts):
            sock = connection.sock
            assert sock is not None
            with self._lock:
                self._busy.add(sock)
            # A server that drips its answer is never silent for long.
            timer = threading.Timer(self._total_timeout or self._head_timeout, _expire, (expired, sock))
            timer.daemon = True
            timer.start()
            try:
                try:
                    connection.request("GET", target, headers=fields)
                    sock.settimeout(self._head_timeout)
                    answer = connection.getresponse()
                except ConnectionError:
                    if used and not expired.is_set():
                        continue  # the server closed it while it was idle
                    raise
                if self._total_timeout is None:
                    timer.cancel()
                sock.settimeout(self._read_timeout)
                yield answer
                if expired.is_set():
                    raise Expired("the answer takes too long")
                if answer.isclosed() and connection.sock is not None:
                    self._release(key, connection)
                    return
            except (OSError, http.client.HTTPException) as error:
                if expired.is_set():
                    raise Expired("the answer takes too long") from error
                raise
            finally:
                timer.cancel()
                with self._lock:
                    self._busy.discard(sock)
                    kept = any(each is connection for _, each in self._idle)
                if not kept:
                    connection.close()
            return

    def _candidates(self, key: str, parts: urllib.parse.SplitResult) -> Iterator[tuple[http.client.HTTPConnection, bool]]:
        """An idle connection to the server, if there is one; then a new one."""
        with self._lock:
            place = next((place for place, (name, _) in enumerate(self._idle) if name == key), None)
            idle = None if place is None else self._idle.pop(place)[1]
        if idle is not None:
            yield idle, True
        connection = self._open(parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        try:
            connection.connect()
        except (PrivateAddress, TimeoutError):
            raise
        except OSError as error:
            raise CannotConnect(str(error)) from error
        yield connection, False

    def _release(self, key: str, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._idle.append((key, connection))
            while len(self._idle) > self._keep:
                self._idle.pop(0)[1].close()

    def _open(self, scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        proxy = None if not self._proxied or urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
        plain: type[http.client.HTTPConnection] = http.client.HTTPConnection if self._allow_private else PublicHTTPConnection
        secure: type[http.client.HTTPConnection] = http.client.HTTPSConnection if self._allow_private else PublicHTTPSConnection
        kind = secure if scheme == "https" else plain
        if proxy is None:
            return kind(host, port, timeout=self._connect_timeout)
        parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        connection = kind(parts.hostname or "", parts.port or 80, timeout=self._connect_timeout)
        fields = {}
        if parts.username:
            secret = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            fields["Proxy-Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        connection.set_tunnel(host, port, fields)
        return connection


def body(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it arrives. Raises IncompleteRead where it is shorter than announced."""
    while chunk := answer.read1(CHUNK):
        yield chunk
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    answer.read()  # marks the answer as read to its end, so that the connection is kept


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header requests, written as a number or a date; None without a valid one."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _expire(expired: threading.Event, sock: socket.socket) -> None:
    expired.set()
    _cut(sock)


def _cut(sock: socket.socket) -> None:
    try:
        # Below TLS, whose own shutdown would wait for the other side.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return
