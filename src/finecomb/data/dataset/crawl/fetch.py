"""One request, within its limits of size and time. Redirects are not followed here: their target is an address like any other."""

from __future__ import annotations

import email.utils
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import TYPE_CHECKING, Any

from finecomb.assets.addresses import public_connector
from finecomb.config.schema.dataset import Crawl

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

REDIRECTS = (301, 302, 303, 307, 308)
_AGAIN = (429, 500, 502, 503, 504)
_CHUNK = 1 << 16


class Failed(Exception):
    """A request that gave no page; the message is the reason it is counted under.

    again: whether it may be asked again. wait: seconds the server wants to be left alone (Retry-After). received: bytes it cost.
    """

    def __init__(self, reason: str, *, again: bool = False, wait: float | None = None, received: int = 0) -> None:
        super().__init__(reason)
        self.again, self.wait, self.received = again, wait, received


@dataclass(frozen=True)
class Answer:
    """A complete response. body: decoded; raw: as it came, for the WARC. location: where a redirect leads, else None."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes
    content_type: str
    charset: str | None
    location: str | None = None

    def header(self, name: str) -> str:
        """All values of a header, joined by commas."""
        return ", ".join(value for key, value in self.headers if key.lower() == name)


def open_session(config: Crawl, knows_host: Callable[[str], bool]) -> ClientSession:
    """A client that keeps no cookies, uses no proxy, resolves only names that `knows_host` allows, and connects only to public addresses
    unless the config says otherwise."""
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar
    from aiohttp.abc import AbstractResolver
    from aiohttp.resolver import ThreadedResolver

    class Guarded(AbstractResolver):
        """Names outside the crawl are not looked up, so that not even a name server learns of them."""

        def __init__(self) -> None:
            self._inner = ThreadedResolver()

        async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> Any:
            if not knows_host(host if port in (80, 443) else f"{host}:{port}"):
                raise OSError(f"{host} is outside the crawl")
            return await self._inner.resolve(host, port, family)

        async def close(self) -> None:
            await self._inner.close()

    connector = public_connector(
        allow_private=config.allow_private, resolver=Guarded(), limit=config.concurrency, limit_per_host=config.host_concurrency
    )
    timeout = ClientTimeout(total=config.total_timeout, sock_connect=config.connect_timeout, sock_read=config.read_timeout)
    headers = {"User-Agent": config.user_agent, "Accept": "text/html,application/xhtml+xml,*/*;q=0.1", "Accept-Encoding": "gzip, deflate"}
    return ClientSession(
        connector=connector, timeout=timeout, headers=headers, cookie_jar=DummyCookieJar(), auto_decompress=False, trust_env=False,
        max_line_size=16_384, max_field_size=32_768,
    )  # fmt: skip


async def ask(session: ClientSession, url: str, *, limit: int, wanted: Callable[[str], bool] | None) -> Answer:
    """Fetch one address. Raises Failed, whatever went wrong.

    limit: most bytes of the decoded body. wanted: whether a content type ("" when none is given) is read at all; None: any.
    """
    import aiohttp
    from yarl import URL

    try:
        async with session.get(URL(url, encoded=True), allow_redirects=False) as response:
            return await _read(response, limit, wanted)
    except aiohttp.ServerTimeoutError as error:
        raise Failed("server does not answer", again=True) from error
    except TimeoutError as error:
        raise Failed("took too long") from error
    except aiohttp.ClientConnectorError as error:
        private = "not a public address" in str(error)  # the connection may have failed for several addresses of one host
        raise Failed("private address" if private else "cannot connect", again=not private) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Failed(f"broken answer ({type(error).__name__})", again=isinstance(error, aiohttp.ClientConnectionError)) from error


async def _read(response: ClientResponse, limit: int, wanted: Callable[[str], bool] | None) -> Answer:
    """The response, read to its end only where it is of use."""
    status = response.status
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers]
    content_type, charset = _content_type(response.headers.get("Content-Type", ""))
    if status in REDIRECTS:
        location = response.headers.get("Location")
        if not location:
            raise Failed("redirect to nowhere")
        return Answer(status, response.reason or "", headers, b"", b"", content_type, charset, location)
    if status != 200:
        raise Failed(f"status {status}", again=status in _AGAIN, wait=_retry_after(response.headers.get("Retry-After")))
    if wanted is not None and not wanted(content_type):
        raise Failed(f"content type {content_type[:60] or 'missing'}")
    announced = response.headers.get("Content-Length", "")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if announced.isdigit() and int(announced) > limit:
        raise Failed("page too large")
    raw, body = bytearray(), bytearray()
    decoder = _Decoder(encoding)
    async for chunk in response.content.iter_chunked(_CHUNK):
        raw += chunk
        body += decoder.feed(chunk, limit + 1 - len(body))
        if len(body) > limit or len(raw) > limit:
            raise Failed("page too large", received=len(raw))
    decoder.finish()
    return Answer(status, response.reason or "", headers, bytes(body), bytes(raw), content_type, charset)


class _Decoder:
    """Decompresses chunk by chunk, never giving more than it is asked for, so that a small body cannot become a huge one."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Failed(f"content encoding {encoding[:30]}")
        self._bare = encoding == "deflate"  # some servers send deflate without its zlib header
        self._state = None if encoding in ("", "identity") else zlib.decompressobj(15 if self._bare else 31)

    def feed(self, chunk: bytes, room: int) -> bytes:
        """At most `room` bytes of what the chunk holds."""
        if self._state is None:
            return chunk[:room]
        first, self._bare = self._bare, False
        try:
            return self._state.decompress(chunk, room)
        except zlib.error as error:
            if not first:
                raise Failed("broken compression") from error
            self._state = zlib.decompressobj(-15)
            return self.feed(chunk, room)

    def finish(self) -> None:
        """Raise Failed where the compressed stream is not whole."""
        if self._state is not None and not self._state.eof:
            raise Failed("broken compression")


def _content_type(header: str) -> tuple[str, str | None]:
    message = Message()
    message["Content-Type"] = header or "x/missing"
    charset = message.get_param("charset")
    kind = message.get_content_type() if header else ""
    return kind, charset if isinstance(charset, str) and charset else None


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number of them or a date."""
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    date = email.utils.parsedate_tz(value)
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())
