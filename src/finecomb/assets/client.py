"""The HTTP client for files: one request at a time, pauses, patience, nothing fetched twice.

A server that answers "not now" (429, 500, 502 to 504) is left alone for as long as it requests, or for a time that doubles; a broken
transfer resumes at the byte where it stopped; a server that drips is cut. Addresses that are not public are refused, also behind redirects.
"""

from __future__ import annotations

import dataclasses
import http.client
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from finecomb.assets.addresses import PrivateAddress
from finecomb.assets.cache import hash_file, offline, room_on_disk
from finecomb.assets.connections import LATER, REDIRECTS, Connections, body, retry_after
from finecomb.config.schema.dataset import Fetch
from finecomb.core import atomic
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.progress import Meter

_MOST_REDIRECTS = 5
_LONGEST_WAIT = 600.0
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class FetchPolicy:
    """How servers are treated. Times in seconds; delay: between two requests; backoff: before the first repetition, doubled each time.

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

    @classmethod
    def of(cls, fetch: Fetch) -> FetchPolicy:
        """The policy that a data set's `fetch` options describe."""
        return cls(**{field.name: getattr(fetch, field.name) for field in dataclasses.fields(cls)})


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


class FileClient:
    """A client for few servers. `requests` and `received` (bytes of answers) count its traffic."""

    def __init__(self, policy: FetchPolicy, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._policy, self._sleep = policy, sleep
        self._connections = Connections(
            policy.user_agent,
            allow_private=policy.allow_private,
            connect_timeout=policy.connect_timeout,
            head_timeout=policy.answer_timeout,
            read_timeout=policy.read_timeout,
        )
        self._next = 0.0
        self.requests = 0
        self.received = 0

    def __enter__(self) -> FileClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()

    def get(self, url: str, *, limit: int) -> bytes:
        """A whole answer of at most `limit` bytes. Raises Refused, TooLarge, or ConfigError when the server cannot be reached."""

        def once() -> bytes:
            content = bytearray()
            with self._answer(url, {}) as answer:
                if answer.status != 200:
                    raise Refused(answer.status, answer.reason)
                for chunk in self._chunks(answer):
                    content += chunk
                    if len(content) > limit:
                        raise TooLarge(f"more than {limit:,} bytes")
            return bytes(content)

        return self._patiently(url, once, lambda: 0)

    def save(
        self, url: str, target: Path, *, start: int = 0, length: int | None = None, begun: int = 0, limit: int, progress: bool = False
    ) -> int:
        """Append bytes of `url` to `target`, which already ends in the first `begun` bytes of the range.

        start, length: the range at `url`; length None: to the end. limit: most bytes in all. progress: show a bar on the terminal.
        Returns how many bytes were added. Raises Refused (with status 200 where a server ignores the range), TooLarge, or ConfigError when
        the server cannot be reached.
        """
        if length is not None and length > limit:
            raise TooLarge(f"{length:,} bytes, more than {limit:,}")
        base = _size(target) - begun
        if length is None or begun < length:
            with Meter(f"fetching {url}", shown=progress) as meter:
                self._patiently(url, lambda: self._append(url, target, base, start, length, limit, meter), lambda: _size(target))
        return _size(target) - base - begun

    def _append(self, url: str, target: Path, base: int, start: int, length: int | None, limit: int, meter: Meter) -> None:
        """One request for what is still missing."""
        have = _size(target) - base
        first, last = start + have, "" if length is None else str(start + length - 1)
        whole = first == 0 and length is None
        with self._answer(url, {} if whole else {"Range": f"bytes={first}-{last}"}) as answer:
            if answer.status == 416 and have and length is None:
                return  # it was complete
            if answer.status not in (200, 206) or (answer.status == 200 and start > 0):
                raise Refused(answer.status, "the server gives no parts of files" if answer.status == 200 else answer.reason)
            if answer.status == 206 and not (answer.headers.get("Content-Range") or "").startswith(f"bytes {first}-"):
                raise Refused(206, "another part of the file than was requested")
            if answer.status == 200:  # from the beginning, whatever was requested
                have = 0
            total = length if length is not None else None if answer.length is None else have + answer.length
            if total is not None and total > limit:
                raise TooLarge(f"{total:,} bytes, more than {limit:,} bytes")
            with room_on_disk(target.parent, total), target.open("r+b" if target.exists() else "wb") as file:
                file.truncate(base + have)
                file.seek(base + have)
                for chunk in self._chunks(answer):
                    kept = chunk if length is None else chunk[: length - have]
                    file.write(kept)
                    have += len(kept)
                    meter.at(have, total)
                    if have > limit:
                        raise TooLarge(f"more than {limit:,} bytes")
                    if length is not None and have >= length:
                        break
            if length is not None and have < length:
                raise _Later("the connection broke")

    def _patiently(self, url: str, once: Callable[[], Result], progress: Callable[[], int]) -> Result:
        """Try again, later and later, until it works or `retries` requests in a row brought nothing."""
        if offline():
            hint = "unset FINECOMB_OFFLINE and HF_HUB_OFFLINE, or name a local copy"
            raise ConfigError(Problem("this is not in the cache, and the network is switched off", url, hint=hint))
        failures, before = 0, progress()
        while True:
            try:
                return once()
            except PrivateAddress as error:
                hint = (
                    "name a public https: address or a local file; for a data set on a server of your own: dataset.fetch.allow_private=true"
                )
                raise ConfigError(Problem(str(error), url, hint=hint)) from error
            except (_Later, OSError, http.client.HTTPException) as error:
                if isinstance(error, OSError) and error.filename is not None:
                    raise  # the disk's, not the network's
                failures = 0 if progress() > before else failures
                before = progress()
                if failures >= self._policy.retries:
                    hint = "check the network; the next try resumes where this one stopped"
                    raise ConfigError(Problem(f"cannot fetch after {failures + 1} tries: {error}", url, hint=hint)) from error
                wait = error.wait if isinstance(error, _Later) else None
                self._sleep(min(wait if wait is not None else self._policy.backoff * 2**failures, _LONGEST_WAIT))
                failures += 1

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        """An answer, after redirects."""
        for _ in range(_MOST_REDIRECTS + 1):
            self._check(url)
            self._sleep(max(0.0, self._next - time.monotonic()))
            self.requests += 1
            try:
                with self._connections.request(url, headers) as answer:
                    self._next = time.monotonic() + self._policy.delay
                    if answer.status in LATER:
                        raise _Later(f"the server answered {answer.status} {answer.reason}", retry_after(answer.headers.get("Retry-After")))
                    if answer.status not in REDIRECTS:
                        yield answer
                        return
                    where = answer.headers.get("Location")
            finally:
                self._next = max(self._next, time.monotonic() + self._policy.delay)
            if not where:
                raise Refused(answer.status, "a redirect to nowhere")
            url = urllib.parse.urljoin(url, where)
        raise Refused(310, f"more than {_MOST_REDIRECTS} redirects")

    def _check(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        allowed = ("https", "http") if self._policy.allow_private else ("https",)
        if parts.scheme not in allowed or not parts.hostname:
            raise ConfigError(Problem(f"not an address that can be fetched: {url[:200]}", "", f"{' or '.join(allowed)}://HOST/PATH",
                                    "plain http: needs dataset.fetch.allow_private=true" if parts.scheme == "http" else ""))  # fmt: skip

    def _chunks(self, answer: http.client.HTTPResponse) -> Iterator[bytes]:
        """The body as it arrives; a transfer that is slower than `least_rate` is broken."""
        window, since = time.monotonic(), 0
        for chunk in body(answer):
            since += len(chunk)
            self.received += len(chunk)
            yield chunk
            now = time.monotonic()
            if now - window > self._policy.read_timeout:
                if since < self._policy.least_rate * (now - window):
                    raise _Later(f"the server sends less than {self._policy.least_rate:,} bytes per second")
                window, since = now, 0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def fetch_whole(url: str, folder: Path, policy: FetchPolicy, *, limit: int, sha256: str | None = None, progress: bool = False) -> Path:
    """A file kept in `folder`, its own: from there if it is whole, else fetched, resumed where an earlier try stopped.

    limit: most bytes. sha256: hash that the file must have; None: any, and a file that is there is taken as it is. progress: show a bar.
    Raises ConfigError where the file cannot be fetched, is too large, or is another one.
    """
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2]) or "file"
    kept = folder / "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    if kept.exists():
        if sha256 is None or hash_file(kept) == sha256:
            return kept
        kept.unlink()  # damaged: fetch it again
    partial = kept.with_name(kept.name + ".partial")
    with room_on_disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileClient(policy) as client:
            client.save(url, partial, begun=_size(partial), limit=limit, progress=progress)
    except (Refused, TooLarge) as error:
        hint = "check the address; a larger limit is dataset.fetch.max_bytes"
        raise ConfigError(Problem(f"cannot fetch: {error}", url, hint=hint)) from error
    if sha256 is not None and (actual := hash_file(partial)) != sha256:
        partial.unlink()
        raise ConfigError(Problem(f"{url} is not the file that was pinned", f"sha256 {actual}", allowed=f"sha256 {sha256}"))
    atomic.replace(partial, kept)
    return kept
