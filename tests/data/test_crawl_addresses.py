"""Addresses of a crawl: one spelling each, nothing private, and no name looked up that is not of the crawl. On loopback."""

from __future__ import annotations

import asyncio
import socket

import pytest
from crawl_site import Site, crawl, html
from data_configs import make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.dataset.crawl.fetch import Failed, Fetcher
from finecomb.data.dataset.crawl.urls import Refused, canonical


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("HTTP://Example.COM:80/a/../b?utm_source=x&b=2&a=1&fbclid=7#part", "http://example.com/b?b=2&a=1"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com/a%7eb/%e2%82%ac?q=a b", "http://example.com/a~b/%E2%82%AC?q=a+b"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://example.com./x", "http://example.com/x"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://0177.0.0.1/", "http://127.0.0.1/"),
        ("http://[0:0::1]:80/x", "http://[::1]/x"),
        (" http://example.com/a\nb ", "http://example.com/ab"),
        ("http://example.com/?print", "http://example.com/?print"),
    ],
)
def test_an_address_has_one_spelling(url: str, wanted: str) -> None:
    assert canonical(url) == wanted
    assert canonical(wanted) == wanted


@pytest.mark.parametrize("url", ["mailto:a@b.example", "javascript:x", "http://", "http://a b/", "http://[::1", "http://u:p@h.example/", "http://h.example:99999/",
                                 "http://1.2.3.4.5/", "http://h.example/" + "x" * 3000, "ftp://h.example/", ""])  # fmt: skip
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        canonical(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "10.1.2.3", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]",
                                  "[fe80::1]", "0.0.0.0", "100.64.0.1", "[64:ff9b::7f00:1]"])  # fmt: skip
def test_private_addresses_are_refused_before_anything_is_sent(host: str) -> None:
    with pytest.raises(ConfigError, match="private address"):
        build(make_dataset("crawl", start=[f"http://{host}/"]))


def test_names_that_lead_to_private_addresses_are_refused_after_resolving(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a name server answers, the address that is checked is the one that is connected to."""
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: real("127.0.0.1" if host == "rebind.example" else host, *rest, **more)
    )
    with Site({"/": html("start")}) as site:
        found = crawl(site, start=[f"http://rebind.example:{site.port}/"], allow_private=False)
        assert list(found.rejected.values()) == ["robots.txt cannot be had: private address"]
        assert site.asked == []


def test_a_redirect_is_checked_like_any_address_and_no_other_name_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    real, looked_up = socket.getaddrinfo, []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: looked_up.append(host) or real("127.0.0.1", *rest, **more))
    away = (302, {"Location": "http://elsewhere.example/"}, b"")
    with Site({"/away": away}) as site:
        site.pages["/"] = html("start", "/away", "http://other.example/", f"http://10.0.0.1:{site.port}/", "/inner")
        site.pages["/inner"] = (302, {"Location": f"http://127.0.0.2:{site.port}/"}, b"")
        name = f"http://home.example:{site.port}"
        found = crawl(site, start=[f"{name}/"])
        assert found.urls == [f"{name}/"]
        assert found.rejected[f"{name}/away"] == found.rejected[f"{name}/inner"] == "redirect: outside the allowed hosts"
        assert found.rejected["http://other.example/"] == found.rejected[f"http://10.0.0.1:{site.port}/"] == "outside the allowed hosts"
        assert set(looked_up) == {"home.example"}


def test_the_client_itself_looks_up_no_name_outside_the_crawl(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: looked_up.append(host) or [])
    config = make_dataset("crawl", start=["http://home.example/"])

    async def run() -> None:
        with Fetcher(config, lambda host: host == "home.example") as fetcher:
            await fetcher.fetch("http://other.example/", limit=10, wanted=None)

    with pytest.raises(Failed, match="cannot connect"):
        asyncio.run(run())
    assert looked_up == []
