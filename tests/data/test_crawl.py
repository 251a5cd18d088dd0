"""`dataset=crawl`: what it fetches, in which spelling, and what becomes of servers that misbehave. All traffic stays on loopback."""

from __future__ import annotations

import gzip
import itertools
import threading
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from crawl_site import SENTENCE, Page, Site, crawl, html, reasons
from data_configs import make_dataset

from finecomb.core.errors import ConfigError, problems_text
from finecomb.data.dataset import build
from finecomb.data.dataset.crawl.fetch import Answer, _Decoder
from finecomb.data.dataset.crawl.warc import Warc


def test_every_reachable_page_is_fetched_once_and_says_where_it_is_from() -> None:
    license = "<link rel='license' href='/terms'>"
    pages = {
        "/": html("start", "/a", "b", "/a#part", "/a?utm_source=x"),
        "/a": html("first", "/", "/b"),
        "/b": html("second", head=license),
    }
    with Site(pages) as site:
        found = crawl(site)
        assert sorted(site.asked) == ["/", "/a", "/b", "/robots.txt"]
        assert found.urls == [f"{site.url}/", f"{site.url}/a", f"{site.url}/b"]
        assert "first: " + SENTENCE.strip() in found.texts[f"{site.url}/a"]
        second = found.rows[2]
        assert second.label == [None]
        assert (second.provenance["source"], second.provenance["license"]) == (["crawl"], [f"{site.url}/terms"])
        assert second.provenance["time"][0].startswith("20")
        assert len({rows.id[0] for rows in found.rows}) == 3
        assert found.funnel["crawl"] | {"rows_in": 3, "rows_out": 3, "reasons": {}} == found.funnel["crawl"]


def test_a_finished_crawl_is_used_again_and_refresh_crawls_again() -> None:
    with Site({"/": html("start", "/a"), "/a": html("first")}) as site:
        before = crawl(site)
        count = len(site.asked)
        assert crawl(site).inputs == before.inputs
        assert len(site.asked) == count
        site.pages["/a"] = html("first, changed")
        after = crawl(site, refresh="again")
        assert len(site.asked) == 2 * count
        assert after.inputs["crawl"] != before.inputs["crawl"]
        assert [rows.id for rows in after.rows] == [rows.id for rows in before.rows]


def test_robots_txt_is_obeyed_and_its_delay_kept() -> None:
    rules = b"User-agent: *\nDisallow: /\n\nUser-agent: testbot\nDisallow: /secret\nAllow: /secret/open\nCrawl-delay: 0.3\n"
    pages: dict[str, Page] = {
        "/robots.txt": (200, {"Content-Type": "text/plain"}, rules),
        "/": html("start", "/a", "/secret/x", "/secret/open"), "/a": html("a"), "/secret/open": html("open"), "/secret/x": html("x"),
    }  # fmt: skip
    times: list[float] = []
    with Site(pages) as site:
        answer = site.answer
        site.answer = lambda handler: (times.append(time.monotonic()), answer(handler))[1]  # type: ignore[method-assign]
        found = crawl(site, user_agent="testbot/1.0 (+mailto:test@site.example)")
        assert site.asked == ["/robots.txt", "/", "/a", "/secret/open"]
        assert found.rejected == {f"{site.url}/secret/x": "robots.txt"}
        assert min(after - before for before, after in itertools.pairwise(times)) > 0.25
        assert {headers["user-agent"] for headers in site.headers} == {"testbot/1.0 (+mailto:test@site.example)"}


@pytest.mark.parametrize(("status", "kept"), [(404, 1), (403, 1), (500, 0)])
def test_without_robots_txt_all_is_allowed_but_a_broken_one_allows_nothing(status: int, kept: int) -> None:
    with Site({"/robots.txt": (status, {}, b""), "/": html("start")}) as site:
        found = crawl(site, retries=1)
        assert len(found.rows) == kept
        assert kept or found.rejected == {f"{site.url}/": "robots.txt cannot be had: status 500"}


def test_redirects_loops_and_chains() -> None:
    def to(target: str) -> Page:
        return (302, {"Location": target}, b"")

    pages = {"/": html("start", "/loop1", "/self", "/old", "/c0"), "/loop1": to("/loop2"), "/loop2": to("/loop1"), "/self": to("/self"),
             "/old": to("new"), "/new": html("new"), **{f"/c{n}": to(f"/c{n + 1}") for n in range(20)}}  # fmt: skip
    with Site(pages) as site:
        found = reasons(site, max_redirects=3)
        assert found["/loop2"] == found["/self"] == "redirect loop"
        assert found["/loop1"] == found["/old"] == "redirect"
        assert found["/c3"] == "too many redirects"
        assert "/c4" not in site.asked
        assert site.asked.count("/new") == site.asked.count("/loop1") == 1


def test_errors_are_retried_only_where_that_may_help_and_counted() -> None:
    answers = {"/busy": [503, 429, 200], "/broken": [500] * 9, "/gone": [410] * 9}

    def by_turns(path: str) -> Callable[[BaseHTTPRequestHandler], None]:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            status = answers[path].pop(0)
            body = html("back").encode() if status == 200 else b""
            handler.send_response(status)
            for name, value in (("Content-Type", "text/html"), ("Content-Length", str(len(body))), ("Retry-After", "0")):
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        return answer

    with Site({"/": html("start", "/busy", "/broken", "/gone", "/none"), **{path: by_turns(path) for path in answers}}) as site:
        found = crawl(site, retries=2)
        assert {url.removeprefix(site.url): why for url, why in found.rejected.items()} == {
            "/broken": "status 500", "/gone": "status 410", "/none": "status 404"}  # fmt: skip
        assert [site.asked.count(path) for path in ("/busy", "/broken", "/gone", "/none")] == [3, 3, 1, 1]
        assert found.funnel["crawl"]["reasons"] == {"status 404": 1, "status 410": 1, "status 500": 1}
        assert found.funnel["crawl"]["rows_in"] == 5


def test_retry_after_is_waited_for_and_a_long_one_gives_up() -> None:
    times: list[float] = []

    def later(handler: BaseHTTPRequestHandler) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            site.pages["/wait"] = later
            handler.send_response(503)
            handler.send_header("Retry-After", "1")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        else:
            site.pages["/wait"] = html("waited")
            site.answer(handler)

    with Site({"/": html("start", "/wait", "/never"), "/wait": later, "/never": (429, {"Retry-After": "86400"}, b"")}) as site:
        found = reasons(site)
        assert found == {"/never": "status 429"}
        assert times[1] - times[0] >= 0.95


def test_a_server_that_drips_bytes_is_cut() -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            if stop.wait(0.1):
                break

    def silent(handler: BaseHTTPRequestHandler) -> None:
        stop.wait(10)

    with Site({"/": html("start", "/drip", "/silent"), "/drip": drip, "/silent": silent}) as site:
        began = time.monotonic()
        found = reasons(site, total_timeout=1.0, read_timeout=0.5, retries=1)
        assert found == {"/drip": "took too long", "/silent": "server does not answer"}
        assert time.monotonic() - began < 8
        assert (site.asked.count("/drip"), site.asked.count("/silent")) == (1, 2)
        stop.set()


def test_huge_pages_are_cut_whether_they_say_so_or_not() -> None:
    sent = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal sent
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        handler.close_connection = True
        for _ in range(2000):
            handler.wfile.write(b"x" * 100_000)
            sent += 100_000

    def announced(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.send_header("Content-Length", "10000000000")
        handler.end_headers()

    bomb = (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(bytes(200_000_000), 1))
    with Site({"/": html("start", "/endless", "/announced", "/bomb"), "/endless": endless, "/announced": announced, "/bomb": bomb}) as site:
        assert reasons(site, page_bytes=1_000_000) == dict.fromkeys(["/endless", "/announced", "/bomb"], "page too large")
        assert sent < 50_000_000


def test_decompression_never_gives_more_than_it_is_asked_for() -> None:
    bomb = gzip.compress(bytes(100_000_000))
    assert len(_Decoder("gzip").feed(bomb, 1000)) == 1000
    body = b"some text " * 100
    bare = zlib.compressobj(wbits=-15)
    for encoding, sent in (
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("deflate", bare.compress(body) + bare.flush()),
    ):
        decoder = _Decoder(encoding)
        assert decoder.feed(sent[:5], 5000) + decoder.feed(sent[5:], 5000) == body
        decoder.finish()


def test_kinds_of_content_and_encodings() -> None:
    text = "<html><body><p>Grüße aus Köln, " + "und noch ein Satz über schöne Bücher. " * 5 + "</p></body></html>"
    pages: dict[str, Page] = {
        "/pdf": (200, {"Content-Type": "application/pdf"}, b"%PDF"),
        "/untyped": (200, {}, html("untyped").encode()),
        "/binary": (200, {}, bytes(range(256))),
        "/no_charset": (200, {"Content-Type": "text/html"}, text.encode("latin-1")),
        "/wrong_charset": (200, {"Content-Type": "text/html; charset=iso-8859-1"}, text.encode()),
        "/unknown_charset": (200, {"Content-Type": "text/html; charset=klingon"}, text.encode()),
        "/nul": (200, {"Content-Type": "text/html"}, text.encode().replace(b" ", b" \0")),
        "/cut_gzip": (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(text.encode())[:-9]),
        "/brotli": (200, {"Content-Type": "text/html", "Content-Encoding": "br"}, b"x"),
        "/empty": (200, {"Content-Type": "text/html"}, b""),
        "/gzip": (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(text.encode())),
    }
    with Site({"/": html("start", *pages), **pages}) as site:
        found = crawl(site)
        assert {url.removeprefix(site.url): why for url, why in found.rejected.items()} == {
            "/pdf": "content type application/pdf", "/binary": "content type missing", "/cut_gzip": "broken compression",
            "/brotli": "content encoding br", "/empty": "no main text",
        }  # fmt: skip
        for path in ("/no_charset", "/wrong_charset", "/unknown_charset", "/nul", "/gzip"):
            assert found.texts[site.url + path].startswith("Grüße aus Köln, und noch ein Satz über schöne Bücher."), path


def test_a_trap_of_links_without_end_is_left_at_the_budget() -> None:
    with Site(
        {}, find=lambda path: None if path == "/robots.txt" else html(path, f"{path}/a", f"{path}/b?n=1", "/?deep=" + "x" * len(site.asked))
    ) as site:
        found = crawl(site, max_pages=30, concurrency=3)
        assert len(site.asked) == 31
        assert len(found.rows) == 30
        assert found.funnel["crawl"]["reasons"]["page budget"] > 0
        deep = crawl(site, max_depth=2, max_pages=1000)
        assert max(url.removeprefix(site.url).split("?")[0].count("/a") for url in deep.urls) <= 2
        assert "deeper than max_depth" in deep.funnel["crawl"]["reasons"]


def test_the_byte_budget_ends_a_crawl() -> None:
    with Site({"/": html("start", *[f"/{n}" for n in range(40)])}, find=lambda path: html(path, words=SENTENCE * 100)) as site:
        found = crawl(site, max_bytes=100_000, concurrency=2, host_concurrency=2)
        assert 5 <= len(found.rows) <= 12
        assert found.funnel["crawl"]["reasons"]["byte budget"] == 41 - len(found.rows)


def test_nofollow_noindex_and_canonical_addresses() -> None:
    same, ad = "<link rel=canonical href='/list'>", "<a rel='ugc nofollow' href='/ad'>ad</a>"
    pages: dict[str, Page] = {
        "/": html("start", "/hidden", "/dead_end", "/list?sort=a", "/list?sort=b", "/list", "/x_robots") + ad,
        "/hidden": html("hidden", "/behind", head="<meta name='robots' content='noindex'>"), "/behind": html("behind"),
        "/dead_end": html("dead end", "/unreachable", head="<meta name='ROBOTS' content='NoFollow'>"),
        "/list": html("list", head=same), "/list?sort=a": html("list a", head=same), "/list?sort=b": html("list b", head=same),
        "/x_robots": (200, {"Content-Type": "text/html", "X-Robots-Tag": "none"}, html("x", "/unreachable").encode()),
    }  # fmt: skip
    with Site(pages) as site:
        found = crawl(site)
        assert {url.removeprefix(site.url) for url in found.urls} == {"/", "/behind", "/dead_end", "/list"}
        assert found.texts[f"{site.url}/list"].startswith("list")
        assert not {"/ad", "/unreachable"} & set(site.asked)
        assert found.funnel["crawl"]["reasons"] == {"links marked nofollow": 3}
        assert found.funnel["extract"]["reasons"] == {"noindex": 2, "same canonical address": 2}


def test_only_addresses_that_patterns_allow_and_labels_by_address() -> None:
    with Site(
        {"/": html("start", "/docs/a", "/docs/b.old", "/news/c")}, find=lambda path: None if "robots" in path else html(path)
    ) as site:
        found = crawl(site, include=[r"/docs/", r"/$"], exclude=[r"\.old$"], labels={"manual": "/docs/"})
        assert [url.removeprefix(site.url) for url in found.urls] == ["/docs/a"]
        assert [rows.label[0] for rows in found.rows] == ["manual"]
        assert {url.removeprefix(site.url): reason for url, reason in found.rejected.items()} == {
            "/docs/b.old": "matches a pattern of exclude", "/news/c": "matches no pattern of include",
            "/": "no label for its address"}  # fmt: skip


def test_sitemaps_are_read_when_wanted() -> None:
    with Site({}) as site:
        index = f"<sitemapindex><sitemap><loc>{site.url}/map2.xml.gz</loc></sitemap></sitemapindex>"
        inner = f"<urlset><url><loc> {site.url}/a?x=1&amp;y=2 </loc></url><url><loc>http://other.example/</loc></url></urlset>"
        site.pages |= {
            "/robots.txt": (200, {}, f"Sitemap: {site.url}/map.xml".encode()), "/": html("start"), "/a?x=1&y=2": html("a"),
            "/map.xml": (200, {"Content-Type": "text/xml"}, index.encode()),
            "/map2.xml.gz": (200, {"Content-Type": "application/gzip"}, gzip.compress(inner.encode())),
        }  # fmt: skip
        found = crawl(site, sitemap=True)
        assert [url.removeprefix(site.url) for url in found.urls] == ["/", "/a?x=1&y=2"]
        assert found.rejected == {"http://other.example/": "outside the allowed hosts", f"{site.url}/sitemap.xml": "sitemap: status 404"}


def test_what_a_kill_left_half_written_in_the_warc_is_cut_off(tmp_path: Path) -> None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    answer = Answer(200, "OK", [("Content-Type", "text/html")], b"<p>x", b"<p>x", "text/html", None)
    path = tmp_path / "pages.warc.gz"
    warc = Warc(path, 0, "test")
    whole = warc.write("http://site.example/1", answer)
    warc.write("http://site.example/half", answer)
    warc.close()
    path.write_bytes(path.read_bytes()[:-20])
    warc = Warc(path, whole, "test")
    warc.write("http://site.example/2", answer)
    warc.close()
    with path.open("rb") as file:
        found = [record.headers["WARC-Target-URI"] for record in ArchiveIterator(file, record_types=WarcRecordType.response)]
    assert found == ["http://site.example/1", "http://site.example/2"]


def test_no_cookies_are_kept() -> None:
    with Site({"/": (200, {"Content-Type": "text/html", "Set-Cookie": "id=1"}, html("start", "/a").encode()), "/a": html("a")}) as site:
        crawl(site, start=[f"http://localhost:{site.port}/"])  # a name: no client keeps cookies for numbers
        assert len(site.headers) == 3
        assert not any("cookie" in headers for headers in site.headers)


def test_the_users_mistakes_are_told_without_secrets() -> None:
    with pytest.raises(ConfigError) as caught:
        build(make_dataset("crawl", start=["http://user:hunter2@site.example/", "site.example"]))
    told = problems_text(caught.value.problems)
    assert len(caught.value.problems) == 2
    assert "hunter2" not in told
    for changes in ({"start": []}, {"include": ["(?=x)"]}, {"user_agent": "a\nb"}, {"path": "folder"}, {"hosts": ["other.example"]}):
        with pytest.raises(ConfigError):
            build(make_dataset("crawl", **{"start": ["http://site.example/"], **changes}))


def test_offline_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    with Site({"/": html("start")}) as site:
        monkeypatch.setenv("FINECOMB_OFFLINE", "1")
        with pytest.raises(ConfigError, match="switched off"):
            crawl(site)
        assert site.asked == []
