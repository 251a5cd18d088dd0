"""One request, within its limits of size and time. Redirects are not followed here: their target is an address like any other."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from finecomb.assets.addresses import PrivateAddress
from finecomb.assets.connections import LATER, REDIRECTS, CannotConnect, Connections, Expired, body, retry_after
from finecomb.config.schema.dataset import Crawl
from finecomb.data.dataset.crawl.urls import host_of

_HEADERS = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.1", "Accept-Encoding": "gzip, deflate"}


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


class Fetcher:
    """Fetches pages in threads: keeps no cookies, uses no proxy, connects only to hosts that `knows_host` allows, and only to public
    addresses unless the config says otherwise."""

    def __init__(self, config: Crawl, knows_host: Callable[[str], bool]) -> None:
        self._knows_host = knows_host
        self._threads = ThreadPoolExecutor(config.concurrency, "crawl")
        self._connections = Connections(
            config.user_agent,
            allow_private=config.allow_private,
            connect_timeout=config.connect_timeout,
            head_timeout=config.read_timeout,
            read_timeout=config.read_timeout,
            total_timeout=config.total_timeout,
            proxied=False,
            keep=config.concurrency,
        )

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(self, url: str, *, limit: int, wanted: Callable[[str], bool] | None) -> Answer:
        """Fetch one address. Raises Failed, whatever went wrong.

        limit: most bytes of the decoded body. wanted: whether a content type ("" when none is given) is read at all; None: any.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._fetch(url, limit, wanted))

    def _fetch(self, url: str, limit: int, wanted: Callable[[str], bool] | None) -> Answer:
        # Names outside the crawl are not looked up, so that not even a name server learns of them.
        if not self._knows_host(host_of(url)):
            raise Failed("cannot connect", again=True)
        try:
            with self._connections.request(url, _HEADERS) as response:
                return _read(response, limit, wanted)
        except PrivateAddress as error:
            raise Failed("private address") from error
        except CannotConnect as error:
            raise Failed("cannot connect", again=True) from error
        except Expired as error:
            raise Failed("took too long") from error
        except TimeoutError as error:
            raise Failed("server does not answer", again=True) from error
        except (OSError, HTTPException, ValueError) as error:
            raise Failed(f"broken answer ({type(error).__name__})", again=isinstance(error, OSError)) from error


def _read(response: HTTPResponse, limit: int, wanted: Callable[[str], bool] | None) -> Answer:
    """The response, read to its end only where it is of use."""
    status, headers = response.status, response.getheaders()
    content_type = response.headers.get_content_type() if response.headers.get("Content-Type") else ""
    named = response.headers.get_param("charset")
    charset = named if isinstance(named, str) and named else None
    if status in REDIRECTS:
        location = response.headers.get("Location")
        if not location:
            raise Failed("redirect to nowhere")
        return Answer(status, response.reason or "", headers, b"", b"", content_type, charset, location)
    if status != 200:
        raise Failed(f"status {status}", again=status in LATER, wait=retry_after(response.headers.get("Retry-After")))
    if wanted is not None and not wanted(content_type):
        raise Failed(f"content type {content_type[:60] or 'missing'}")
    if (response.length or 0) > limit:
        raise Failed("page too large")
    raw, content = bytearray(), bytearray()
    decoder = _Decoder(response.headers.get("Content-Encoding", "").strip().lower())
    for chunk in body(response):
        raw += chunk
        content += decoder.feed(chunk, limit + 1 - len(content))
        if len(content) > limit or len(raw) > limit:
            raise Failed("page too large", received=len(raw))
    decoder.finish()
    return Answer(status, response.reason or "", headers, bytes(content), bytes(raw), content_type, charset)


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
