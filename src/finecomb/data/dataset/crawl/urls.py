"""One spelling for each address, and which addresses a crawl may ask for."""

from __future__ import annotations

import ipaddress
import re
import socket

from finecomb.assets.addresses import is_public
from finecomb.config.schema.dataset import Crawl
from finecomb.core.errors import ConfigError, Problem
from finecomb.data.patterns import compiled

_LONGEST = 2048
_PORTS = {"http": 80, "https": 443}
# Parameters that say who follows a link, not what it leads to.
_TRACKING = re.compile(
    r"(utm_\w+|gclid|gclsrc|dclid|fbclid|msclkid|yclid|igshid|mc_[ce]id|_ga|_gl|_hs(enc|mi)|mkt_tok|wt_mc|phpsessid|jsessionid)", re.I
)
# A host whose last label is a number is an IPv4 address, in one of its many spellings, or nothing.
_NUMBERS = re.compile(r"(.*\.)?(0x[0-9a-f]*|\d+)", re.I)


class Refused(Exception):
    """An address that is not asked for; the message is the reason it is counted under."""


def canonical(url: str) -> str:
    """An address in its one spelling: lower case scheme and host (IDNA; numbers of any form as an IP address), no default port, no
    fragment, dot segments resolved, one way of percent encoding, no tracking parameters. The order of other parameters
    is kept: it may matter.

    Raises Refused for what is no http or https address, carries credentials, or is longer than 2,048 characters.
    """
    from yarl import URL

    url = re.sub(r"[\t\r\n]", "", url.strip())
    if not url.lower().startswith(("http://", "https://")):
        raise Refused("not http or https")
    if len(url) > _LONGEST:
        raise Refused("address too long")
    try:
        parsed = URL(url)
        port, host = parsed.port, _host(parsed.raw_host or "")
        if parsed.user is not None or parsed.password is not None:
            raise Refused("credentials in the address")
        kept = [pair for pair in parsed.raw_query_string.split("&") if pair and not _TRACKING.fullmatch(pair.split("=", 1)[0])]
        authority = f"[{host}]" if ":" in host else host
        if port != _PORTS[parsed.scheme]:
            authority += f":{port}"
        query = "?" + "&".join(kept) if kept else ""
        return f"{parsed.scheme}://{authority}{parsed.raw_path or '/'}{query}"
    except (ValueError, KeyError, UnicodeError) as error:
        raise Refused("malformed address") from error


def _host(raw: str) -> str:
    host = raw.lower().rstrip(".")
    if _NUMBERS.fullmatch(host):
        try:
            return socket.inet_ntoa(socket.inet_aton(host))
        except OSError as error:
            raise ValueError(host) from error
    if ":" in host:
        return str(ipaddress.ip_address(host))
    if not host or any(character.isspace() or character in "<>\"'\\^`{|}" for character in host):
        raise ValueError(raw)
    return host


def origin(url: str) -> str:
    """Scheme, host and port of a canonical address: what robots.txt and politeness go by."""
    return "/".join(url.split("/", 3)[:3])


def host_of(url: str) -> str:
    """The host of a canonical address, with its port where that is not the default."""
    return url.split("/", 3)[2]


def shown(url: str) -> str:
    """An address for messages: without credentials."""
    return re.sub(r"^(\w+://)[^/?#]*@", r"\1", url.strip())[:500]


class Scope:
    """Which addresses a crawl may ask for."""

    def __init__(self, config: Crawl) -> None:
        self._allow_private = config.allow_private
        self._include = [compiled(text, "dataset.include") for text in config.include]
        self._exclude = [compiled(text, "dataset.exclude") for text in config.exclude]
        self.start = _starts(config)
        hosts = [host_of(url) for url in self.start] if config.hosts is None else [host.lower().rstrip(".") for host in config.hosts]
        self._exact = {host for host in hosts if not host.startswith("*.")}
        self._suffixes = tuple(host[1:] for host in hosts if host.startswith("*."))
        hint = "see dataset.hosts, include, exclude and allow_private"
        problems = [Problem(f"{shown(url)} may not be crawled: {why}", "dataset.start", hint=hint)
                    for url in self.start if (why := self.refusal(url))]  # fmt: skip
        if problems:
            raise ConfigError(problems)

    def knows_host(self, host: str) -> bool:
        """Whether a host (with its port where that is not the default) is one that this crawl may speak to, or look up at all."""
        return host in self._exact or host.endswith(self._suffixes)

    def refusal(self, url: str) -> str | None:
        """Why a canonical address is not asked for, or None when it may be."""
        host = host_of(url)
        if not self.knows_host(host):
            return "outside the allowed hosts"
        if not self._allow_private and _is_private(url):
            return "private address"
        if self._include and not any(known.search(url) for known in self._include):
            return "matches no pattern of include"
        if any(known.search(url) for known in self._exclude):
            return "matches a pattern of exclude"
        return None


def bare(host: str) -> str:
    """A host without its port and brackets."""
    return host[1 : host.index("]")] if host.startswith("[") else host.split(":")[0]


def _is_private(url: str) -> bool:
    """Whether the host is written as an IP address that is not public. Names are checked when they are resolved."""
    try:
        return not is_public(bare(host_of(url)))
    except ValueError:
        return False


def _starts(config: Crawl) -> list[str]:
    starts, problems = [], []
    for url in config.start:
        try:
            starts.append(canonical(url))
        except Refused as refused:
            problems.append(
                Problem(f"cannot start at {shown(url)}: {refused}", "dataset.start", "addresses that begin with http:// or https://")
            )
    if problems or not starts:
        raise ConfigError(problems or Problem("no address to start at", "dataset.start", hint="dataset.start=[https://site.example/]"))
    return list(dict.fromkeys(starts))
