"""JSON lines read by pyarrow and by Python's reader: the same rows, places and faults."""

import json
import random

import pytest

from finecomb.data.dataset import compressed
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats import objects
from finecomb.data.dataset.formats.piece import How

WORDS = ["word", "straße", "日本", '"quoted"', "back\\slash", "tab\t", "nl\n", "\x85", "\u2028", "😀", "Information", "NaN", "value"]
ODD = [
    '{"text":"a"', "[1]", '{"text":"a"} {"text":"b"}', '{"text":', '"b","label":1}', '{"text":"x","text":"y"}', '{"text":1,"label":2}',
    '{"text":"a","x":Inf}', '{"text":"a","x":-NaN}', '{"text":"a","x":NaN}', "", "  ", '{"text":"\\ud83d"}', '{"text":"a","label":1.5}',
    '{"text":"a","label":null}', "null", '{"x":' + "[" * 1200 + "]" * 1200 + "}", '{"text":"a","x":' + "1" * 5000 + "}",
    '{"text":"a\tb"}', '{"text":"a"}\r', '{"text":"a"}x', '{"text":"\\u0000"}', '{"text":"a","label":1e2}', '{"text":"a","label":true}',
    '{"text":"\x00"}', '{"text":"a","label":12345678901234567890}', '{"text":"2020-01-01","label":3}', '{"text":"a" ,"label": 01}',
]  # fmt: skip


def line(draw):
    text = " ".join(draw.choices(WORDS, k=draw.randint(0, 20)))
    return json.dumps({"text": text, "label": draw.randint(-9, 99), "x": {"a": [1, 2.5, None, text[:9]]}}, ensure_ascii=draw.random() < 0.5)


def pieces(path):
    names = ["text", "label"]
    tables = objects.json_lines(File(path, path.name), How(choose=lambda _: names))
    return [(list(table.line), list(table.row), [table.column(name) for name in names], table.broken) for table in tables]


@pytest.mark.parametrize("odd", [None, *range(len(ODD))])
def test_blocks_are_read_as_line_by_line(tmp_path, monkeypatch, odd):
    draw = random.Random(odd)
    lines = [line(draw) for _ in range(1500)]
    if odd is not None:
        lines[-7] = ODD[odd]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(objects, "PIECE", 50_000)
    monkeypatch.setattr(compressed, "BLOCK", 40_000)
    by_arrow, blocks = objects._by_arrow, []

    def counted(*given):
        blocks.append(by_arrow(*given))
        return blocks[-1]

    monkeypatch.setattr(objects, "_by_arrow", counted)
    mixed = pieces(path)
    monkeypatch.setattr(objects, "_by_arrow", lambda *_: None)
    assert mixed == pieces(path)
    assert any(blocks)
