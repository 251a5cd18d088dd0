"""Main text of pages: what is read, in which encoding, and what happens to pages that never end."""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path

import pytest
from benchmarks.extraction import Gold, scores

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import extract as module
from finecomb.data.dataset.extract import MODES, Limits, extract, links

PARAGRAPH = "The comb passes through the text again and again, until what is left of it lies straight and can be read without a stop. "
PAGE = (
    "<!doctype html><html lang='en-GB'><head><title> Of  combs </title>"
    "<meta property='article:published_time' content='2024-05-06T07:08:09Z'></head>"
    "<body><nav><ul><li><a href='/a'>Home</a></li><li><a href='/b'>Shop</a></li></ul></nav><main><article>"
    "<h1>Of combs</h1>"
    + f"<p>{PARAGRAPH}</p>" * 8
    + "</article></main><footer><a rel='nofollow license' href='/license'>CC BY</a></footer></body></html>"
)


@pytest.mark.parametrize("mode", ["fast", "cascade", "quality"])
def test_main_text_and_what_the_page_says_of_itself(mode: str) -> None:
    found = extract(PAGE.encode(), "http://site.example/x/", mode=mode)
    assert found.text.count("until what is left of it lies straight") >= 1
    assert "Shop" not in found.text
    assert (found.title, found.language, found.date) == ("Of combs", "en-GB", "2024-05-06T07:08:09Z")
    assert found.license == "http://site.example/license"
    assert found.method == {"fast": "fast", "quality": "quality"}.get(mode, found.method)
    assert found.problem is None


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("Grüße aus Köln, schöne Bücher".encode("latin-1"), "iso-8859-1"),
        ("Grüße aus Köln, schöne Bücher".encode(), "iso-8859-1"),  # the header lies: bytes are UTF-8
        (b"<meta charset=windows-1252>" + "Grüße aus Köln, schöne Bücher".encode("cp1252"), None),
        ("\ufeffGrüße aus Köln, schöne Bücher".encode("utf-16-le"), None),
        ("\ufeffGrüße aus Köln, schöne Bücher".encode(), "latin-1"),
        ("Grüße aus Köln, schöne Bücher".encode("latin-1"), "utf-8"),  # the header lies: bytes are not UTF-8
        ("Grüße\0 aus Köln, schöne\0 Bücher".encode(), None),
        ("Grüße aus Köln, schöne Bücher".encode("latin-1"), "no-such-charset"),
    ],
)
def test_encodings_are_found_out_and_nul_characters_leave(body: bytes, charset: str | None) -> None:
    found = extract(body, None, mode="fast", charset=charset)
    assert found.text == "Grüße aus Köln, schöne Bücher"


def test_chinese_in_its_declared_encoding() -> None:
    found = extract("<p>梳子梳过文字，一遍又一遍。</p>".encode("gb18030"), None, mode="fast", charset="gb2312")
    assert found.text == "梳子梳过文字，一遍又一遍。"


def test_a_page_that_never_ends_is_cut_and_the_next_one_is_read() -> None:
    limits = Limits(seconds=0.5)
    began = time.monotonic()
    found = extract(b"<div>" * 200_000 + b"x", None, mode="fast", limits=limits)
    assert (found.text, found.problem) == ("", "time or memory limit")
    assert time.monotonic() - began < 20
    assert "lies straight" in extract(PAGE.encode(), None, limits=limits).text


def test_a_page_beyond_the_size_limits_is_named() -> None:
    assert extract(b"x" * 1001, None, limits=Limits(page_bytes=1000)).problem == "page too large"
    found = extract(PAGE.encode(), None, mode="quality", limits=Limits(quality_bytes=100))
    assert (found.method, found.problem) == ("fast", "page too large for the better extractor")
    assert "lies straight" in found.text


def test_links_are_absolute_and_what_asks_not_to_be_followed_is_left_out() -> None:
    page = b"""<base href='/q/'><meta name=ROBOTS content='NoIndex, x'><link rel='Canonical' href='c'><a href=a>1</a><a href=a>again</a>
    <a href=../b rel='x NoFollow'>2</a><area href='http://o.example/x'><a href='mailto:x'>m</a><a>none</a>"""
    found = links(page, "http://s.example/u/v")
    assert found.links == ["http://s.example/q/a", "http://o.example/x", "mailto:x"]
    assert (found.noindex, found.nofollow, found.nofollow_links, found.canonical) == (True, False, 1, "http://s.example/q/c")
    many = links(b"".join(b"<a href=%d>x</a>" % n for n in range(10_001)), "http://s.example/")
    assert (len(many.links), many.cut) == (10_000, True)


def test_a_forked_process_gets_a_child_of_its_own() -> None:
    extract(PAGE.encode(), None)
    assert module._CHILD is not None
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writer, b"own" if module._CHILD is None else b"shared")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"own"
    os.close(reader)
    os.close(writer)


def test_missing_packages_are_the_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "trafilatura" else real(name))
    with pytest.raises(ConfigError) as caught:
        module.require_web("dataset=crawl")
    assert "trafilatura" in caught.value.problems[0].what
    assert "finecomb[web]" in caught.value.problems[0].hint


def test_the_cascade_is_never_worse_than_the_fast_extractor_alone() -> None:
    """Five pages of our own; the benchmark of the same name has more."""
    folder = Path(__file__).parent / "pages"
    gold = [
        Gold(name, (folder / name).read_bytes(), segments["wanted"], segments["unwanted"])
        for name, segments in json.loads((folder / "gold.json").read_text()).items()
    ]
    found = {mode: [extract(page.html, None, mode=mode) for page in gold] for mode in MODES}
    f = {mode: scores(gold, [each.text for each in texts])[2] for mode, texts in found.items()}
    assert f["cascade"] > f["fast"]
    assert f["cascade"] >= 0.95
    assert {each.method for each in found["fast"]} == {"fast"}
    assert {each.method for each in found["cascade"]} == {"fast", "quality"}
    for page, fast, cascade in zip(gold, found["fast"], found["cascade"], strict=True):
        assert scores([page], [cascade.text])[2] >= scores([page], [fast.text])[2], page.url
