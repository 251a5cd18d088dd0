"""CSV and TSV: a block of lines without quotation marks is split at once, with the rows and errors of the line-by-line readers."""

import random

import pytest

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import compressed
from finecomb.data.dataset.compressed import Damaged
from finecomb.data.dataset.file_search import File
from finecomb.data.dataset.formats import delimited as module
from finecomb.data.dataset.formats.piece import How

CELLS = ("a", "", "two words", "naïve 東京", "\U0001f600", " x ", "1.5", "b" * 30)
ODD = ('"q"', '"a, b\tc"', '"two\nlines"', '"crlf\r\nin"', '"say ""hi"""', '5" screen', '"open', "nul\0", "cr\rin", "\ufeffmark",
       "\u2028", "\x0b\x0c", "\x85")  # fmt: skip


def content(draw, separator):
    """A random file: mostly clean lines, some with what only one of the readers may read."""
    newline, oddness = draw.choice(("\n", "\r\n", "mixed")), draw.choice((0.0, 0.0, 0.01, 0.1))
    width = draw.choice((1, 2, 3))
    pieces = [draw.choice(("", "", "\ufeff")), separator.join(["text", "label", "id"][:width]), "\n"]
    for _ in range(draw.randint(0, 60)):
        cells = [draw.choice(ODD if draw.random() < oddness else CELLS) for _ in range(width)]
        if draw.random() < oddness:
            cells = draw.choice(([], cells[:-1], [*cells, "more"]))
        pieces += [separator.join(cells), draw.choice(("\n", "\r\n")) if newline == "mixed" else newline]
    data = "".join(pieces[: draw.choice((-1, None))]).encode()
    return data.replace(b"two", b"tw\xff", 1) if draw.random() < oddness else data


def read(path, quotes, separator, encoding="utf-8"):
    """Rows with their lines and numbers, what is broken, and the error at the end."""
    rows, broken = [], []
    try:
        for table in module.delimited(File(path, path.name), How(encoding, quotes), separator):
            columns = [table.column(name) for name in table.names]
            rows += zip(table.line, table.row, *columns, strict=True)
            broken += [(item.line, item.reason, item.message, item.text) for item in table.broken]
    except (ConfigError, Damaged) as error:
        return rows, broken, str(error)
    return rows, broken, None


@pytest.mark.parametrize("quotes", ["auto", "csv", "none"])
@pytest.mark.parametrize("separator", [",", "\t"])
def test_blocks_give_what_lines_give(quotes, separator, tmp_path, monkeypatch):
    draw, by_block, path = random.Random(0), 0, tmp_path / "file"
    block = module._block
    for _ in range(300):
        path.write_bytes(content(draw, separator))
        monkeypatch.setattr(compressed, "BLOCK", draw.choice((7, 64, 300, 1 << 20)))
        monkeypatch.setattr(module, "PIECE", draw.choice((50, 1 << 20)))
        monkeypatch.setattr(module, "_block", block)
        given = read(path, quotes, separator)
        monkeypatch.setattr(module, "_block", lambda *_, **__: None)
        assert given == read(path, quotes, separator), path.read_bytes()
        lines = path.read_text("utf-8", "replace").splitlines()
        by_block += block(module.Group(1, lines), separator, quotes=True) is not None
    assert by_block > 50
