"""`https:` sources: bounded in size and time, resumed where they broke off, and never led to a private address."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from finecomb.assets.addresses import PrivateAddress, PublicHTTPSConnection
from finecomb.assets.cache import room_on_disk
from finecomb.core.errors import ConfigError, Problem
from finecomb.core.progress import Meter

LIMIT_BYTES = 16 * 10**9
TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 20


class _PublicHandler(urllib.request.HTTPSHandler):
    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(PublicHTTPSConnection, request)


def public_opener() -> urllib.request.OpenerDirector:
    """Opens https: only, also after a redirect, and only to public addresses."""
    opener = urllib.request.OpenerDirector()
    handlers: tuple[Any, ...] = (
        urllib.request.ProxyHandler(), _PublicHandler(), urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(), urllib.request.HTTPErrorProcessor(), urllib.request.UnknownHandler(),
    )  # fmt: skip
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def download(
    url: str,
    target: Path,
    *,
    progress: bool = False,
    limit: int = LIMIT_BYTES,
    opener: urllib.request.OpenerDirector | None = None,
) -> None:
    """Fetch `url` into `target`, going on after the bytes that `target` already holds where the server can.

    limit: more bytes than this are refused. opener: for tests; else `public_opener()`.
    """
    begun = target.stat().st_size if target.exists() else 0
    headers = {"User-Agent": "finecomb", "Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
    try:
        with (opener or public_opener()).open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
            resumed = response.status == http.client.PARTIAL_CONTENT
            _save(response, target, begun if resumed else 0, limit, progress, url)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and begun:
            return  # It was complete; its hash, which the caller checks, decides.
        raise ConfigError(Problem(f"the server answered {error.code} {error.reason}", url, hint="check the address")) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        private = isinstance(reason, PrivateAddress)
        hint = "name a public https: address, or a local file" if private else "check the network; asked again, it goes on where it stopped"
        raise ConfigError(Problem(f"cannot fetch: {reason}", url, hint=hint)) from error


def _save(response: Any, target: Path, begun: int, limit: int, progress: bool, url: str) -> None:
    length = response.headers.get("Content-Length")
    total = begun + int(length) if length and length.isdigit() else None
    if total is not None and total > limit:
        raise ConfigError(Problem(f"{total:,} bytes are more than the {limit:,} allowed", url))
    mode = "ab" if begun else "wb"
    with room_on_disk(target.parent, total), target.open(mode) as file, Meter(f"fetching {url}", shown=progress) as meter:
        while chunk := response.read(_CHUNK):
            begun += len(chunk)
            if begun > limit:
                os.truncate(target, 0)
                raise ConfigError(Problem(f"more than the {limit:,} bytes allowed", url))
            file.write(chunk)
            meter.at(begun, total)
    if total is not None and begun < total:
        raise http.client.IncompleteRead(b"", total - begun)
