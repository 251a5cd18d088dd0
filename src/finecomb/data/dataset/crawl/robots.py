"""What a site's robots.txt allows (RFC 9309), how long it wants to be left alone between requests, and where its sitemaps are."""

from __future__ import annotations

from typing import Any

LIMIT_BYTES = 512 * 1024  # RFC 9309 2.5: at least 500 KiB are parsed
# A site that wants to be asked less often than this is not crawled at all.
LONGEST_DELAY = 300.0


class Rules:
    """The rules of one origin for one crawler.

    text: the file; None: there is none, so everything is allowed; `refused`: why nothing may be asked for.
    """

    def __init__(self, text: str | None, user_agent: str, *, refused: str | None = None) -> None:
        from protego import Protego

        self._agent = user_agent.split("/")[0].split(" ")[0]
        self._rules: Any = Protego.parse(text or "")
        delays = [self._rules.crawl_delay(self._agent) or 0.0]
        if (rate := self._rules.request_rate(self._agent)) is not None:
            delays.append(rate.seconds / max(1, rate.requests))
        self.delay = float(max(delays))
        self.refused = refused or (
            f"robots.txt asks for more than {LONGEST_DELAY:.0f} s between requests" if self.delay > LONGEST_DELAY else None
        )

    def refusal(self, url: str) -> str | None:
        """Why this address is not asked for, or None."""
        if self.refused is not None:
            return self.refused
        return None if self._rules.can_fetch(url, self._agent) else "robots.txt"

    def sitemaps(self) -> list[str]:
        """The sitemaps that the file names."""
        return list(self._rules.sitemaps)
