"""Web archives made for tests, and the rows that are read of them."""

import io
import random

from data_configs import make_dataset

from finecomb.data.dataset import build

LIMIT = 9999
PYWB = "dist:pywb==2.10.0!pywb-2.10.0/sample_archive/"
PYWB_SHA256 = "5ae43c9b2a5321e39b9c8e16538bfbc0146eeb6fe26713232e45378b774a1a96"
LANGUAGE = "WARC-Identified-Content-Language"
QUICK = {"user_agent": "finecomb-test/1.0 (+test)", "allow_private": True, "delay": 0.0, "retries": 4, "backoff": 0.01,
         "connect_timeout": 5.0, "read_timeout": 1.0, "answer_timeout": 2.0, "least_rate": 1000, "max_bytes": 10**8}  # fmt: skip


def html(number, words=60):
    draw = random.Random(number)
    text = " ".join(draw.choice(("river", "stone", "house", "light", "garden", "winter")) for _ in range(words))
    body = f"<main><h1>Page {number}</h1><p>It is said that {text}.</p></main>"
    return f"<html><head><title>Page {number}</title></head><body>{body}</body></html>"


def warc(records, *, packed=True):
    """A WARC file of (kind, url, body, changes) and the place of each record in it."""
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    out, places = io.BytesIO(), []
    writer = WARCWriter(out, gzip=packed)
    for number, (kind, url, body, changes) in enumerate(records):
        start = out.tell()
        headers = {"WARC-Record-ID": f"<urn:uuid:00000000-0000-0000-0000-{number:012}>", "WARC-Date": "2026-01-02T03:04:05Z"}
        headers |= {name: value for name, value in changes.items() if name.startswith("WARC-")}
        http_headers = None
        if kind == "response":
            fields = [("Content-Type", changes.get("type", "text/html; charset=utf-8")), *changes.get("http", [])]
            http_headers = StatusAndHeaders(changes.get("status", "200 OK"), fields, protocol="HTTP/1.1")
        body = body.encode() if isinstance(body, str) else body
        kind_of = "application/http; msgtype=response" if kind == "response" else "text/plain"
        record = writer.create_warc_record(url, kind, payload=io.BytesIO(body), length=len(body), http_headers=http_headers,
                                           warc_content_type=kind_of, warc_headers_dict=headers)  # fmt: skip
        writer.write_record(record)
        places.append((start, out.tell() - start))
    return out.getvalue(), places


def pages(count):
    return [("response", f"https://site.example/{number}", html(number), {}) for number in range(count)]


def read(**changes):
    raw = build(make_dataset("common_crawl", **{"extraction": "fast", "min_characters": 20, "fetch": QUICK, **changes})).read("none")
    rows = []
    for chunk in raw.splits["train"]:
        cells = zip(chunk.id, chunk.text, chunk.line, *chunk.provenance.values(), strict=True)
        rows += [dict(zip(("id", "text", "line", *chunk.provenance), row, strict=True)) for row in cells]
    return rows, raw
