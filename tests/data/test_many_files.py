"""Patterns, folders and lists of files: which files, in which order, with which ids; every format and compression; a chunk at a time."""

import bz2
import gzip
import io
import json
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from reading_rows import places, read, reasons, source

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import row_stream
from finecomb.data.dataset.formats import columnar, delimited, objects, piece, plain

ITEMS = [{"text": f"wörd {n}", "label": "ab"[n % 2], "key": f"k{n}"} for n in range(40)]


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def packed(data, kind):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, kind) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def zipped(files):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


@pytest.fixture
def small_pieces(monkeypatch):
    for module in (piece, delimited, objects, plain, columnar, row_stream):
        monkeypatch.setattr(module, "PIECE", 200)


def test_a_pattern_takes_files_in_order_whatever_their_packing(write, tmp_path):
    write("d/b/2.jsonl.gz", gzip.compress(lines(ITEMS[20:25])))
    write("d/b/10.jsonl.bz2", bz2.compress(lines(ITEMS[15:20])))
    write("d/a.jsonl.zst", packed(lines(ITEMS[:5]), "zstd"))
    write("d/c/c/c.jsonl.xz", lzma.compress(lines(ITEMS[25:30])))
    write("d/aa.jsonl.lz4", packed(lines(ITEMS[5:10]), "lz4"))
    write("d/ab.jsonl.br", packed(lines(ITEMS[10:15]), "brotli"))
    write("d/notes.md", "not this"), write("d/.hidden/x.jsonl.gz", gzip.compress(lines(ITEMS[:1])))
    rows, raw = read(str(tmp_path / "d/**/*.jsonl*"))
    assert rows.text == [item["text"] for item in ITEMS[:30]]
    assert rows.id[:2] == ["train:a.jsonl.zst:0", "train:a.jsonl.zst:1"]
    assert rows.id[-1] == "train:c/c/c.jsonl.xz:4"
    assert rows.place(17) == "b/10.jsonl.bz2, line 3"
    assert rows.provenance["url"][17] == "b/10.jsonl.bz2"
    assert set(rows.provenance["source"]) == {"files"}
    assert not raw.funnel


def test_lists_folders_and_archives_may_be_mixed(write, tmp_path):
    write("d/one.csv", "text,n\nfirst,1\n"), write("d/two.tsv", "n\ttext\n2\tsecond\n"), write("d/readme.md", "no table")
    archive = write("z/all.zip", zipped({"in/3.jsonl": lines([{"text": "third"}]), "__MACOSX/x": b"", "in/4.csv": b"text\nfourth\n"}))
    rows, _ = read([tmp_path / "d", archive, tmp_path / "d/one.csv"])
    assert rows.text == ["first", "second", "third", "fourth"]
    assert rows.id[2:] == ["train:z/all.zip!in/3.jsonl:0", "train:z/all.zip!in/4.csv:0"]
    parquet = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["fifth"]}), parquet)
    assert read(write("p.zip", zipped({"a.parquet": parquet.getvalue()})))[0].text == ["fifth"]


def test_ids_of_a_file_do_not_hang_on_its_neighbours(write, tmp_path):
    write("d/b.jsonl", lines(ITEMS[:2]))
    before, _ = read(str(tmp_path / "d/*.jsonl"))
    write("d/a.jsonl", lines(ITEMS[2:4]))
    after, _ = read(str(tmp_path / "d/*.jsonl"))
    assert set(before.id) < set(after.id)
    assert read(tmp_path / "d/b.jsonl")[0].id == ["train:0", "train:1"]


def test_a_document_is_a_row_named_by_its_path_with_its_folder_as_label(write, tmp_path):
    for n in range(4):
        write(f"d/{['neg', 'pos'][n % 2]}/{n}.txt.gz", gzip.compress(f"line one\nline two of {n}\n".encode()))
    rows, _ = read(str(tmp_path / "d/*/*.gz"), "class", format="document", columns={"label": "folder"})
    assert rows.id == ["neg/0.txt.gz", "neg/2.txt.gz", "pos/1.txt.gz", "pos/3.txt.gz"]
    assert rows.label == ["neg", "neg", "pos", "pos"]
    assert rows.text[2] == "line one\nline two of 1\n"


def test_documents_of_two_splits_with_the_same_path_get_the_splits_name(write, tmp_path):
    write("a/x.txt", "one"), write("b/x.txt", "two")
    raw = source(str(tmp_path / "a"), files={"test": tmp_path / "b"}, format="document").read("none")
    assert [rows.id for split in raw.splits.values() for rows in split] == [["train:x.txt"], ["test:x.txt"]]


def test_main_text_is_taken_out_of_pages(write):
    pytest.importorskip("resiliparse")
    page = "<html><body><nav>Home</nav><article><h1>Title</h1>" + "<p>A paragraph of the text itself.</p>" * 9 + "</article></body></html>"
    plain_text = read(write("page.html", page), format="document")[0].text[0]
    taken = read(write("page.html", page), format="document", extract="fast")[0].text[0]
    assert plain_text == page
    assert "A paragraph of the text itself." in taken
    assert "<p>" not in taken


def test_sentences_of_conll_are_rows(write):
    content = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n\nbad line\n\n# NNP x O\n"
    rows, raw = read(write("x.conll", content), max_rejected=0.5)
    assert (rows.text, rows.line) == (["EU rejects", "Peter", "#"], [3, 6, 10])
    assert reasons(raw) == {"another number of columns in a sentence": 1}
    assert read(write("y.conll", content), columns={"text": "tags"}, max_rejected=0.5)[0].text[0] == "B-ORG O"


FORMATS = {
    "csv": b"text,label,key\n" + "".join(f'"{i["text"]}",{i["label"]},{i["key"]}\n' for i in ITEMS).encode(),
    "tsv": b"text\tlabel\tkey\n" + "".join(f"{i['text']}\t{i['label']}\t{i['key']}\n" for i in ITEMS).encode(),
    "jsonl": lines(ITEMS),
    "json": json.dumps(ITEMS).encode(),
    "txt": "".join(i["text"] + "\n" for i in ITEMS).encode(),
    "parquet": None,
    "arrow": None,
}


@pytest.mark.parametrize("format", FORMATS)
def test_pieces_make_no_difference(write, small_pieces, format, monkeypatch):
    path = write(f"a.{format}", FORMATS[format] or b"")
    table = pyarrow.Table.from_pylist(ITEMS)
    if format == "parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=7)
    elif format == "arrow":
        with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=7)
    raw = source(path).read("none")
    chunks = list(raw.splits["train"])
    assert len(chunks) > 2 or format in ("csv", "tsv", "jsonl", "txt")  # lines come in groups of 1 MB
    assert [text for rows in chunks for text in rows.text] == [item["text"] for item in ITEMS]
    assert [identifier for rows in chunks for identifier in rows.id] == [f"train:{n}" for n in range(40)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252", "gbk", "utf-16-le"])
def test_blocks_cut_no_character_and_no_line(write, monkeypatch, encoding):
    letter = "字" if encoding == "gbk" else "é"
    texts = [f"{letter * (n % 5 + 1)} {n}" for n in range(50)]
    path = write("a.txt", "\r\n".join(texts).encode(encoding))
    for size in (1, 2, 3, 7, 1 << 20):
        monkeypatch.setattr("finecomb.data.dataset.compressed.BLOCK", size)
        rows, raw = read(path, encoding=encoding)
        assert (rows.text, rows.line, raw.rejected) == (texts, list(range(1, 51)), [])


def test_a_quoted_cell_may_span_blocks(write, monkeypatch):
    cells = [f'a "{n}"\nb,\r\n{n}' for n in range(30)]
    quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
    path = write("a.csv", "text,n\r\n" + "".join(f"{cell},{n}\r\n" for n, cell in enumerate(quoted)))
    for size in (1, 5, 64):
        monkeypatch.setattr("finecomb.data.dataset.compressed.BLOCK", size)
        rows, raw = read(path)
        assert (rows.text, raw.rejected) == (cells, [])
        assert rows.line[:3] == [2, 5, 8]


def test_nothing_is_read_ahead_of_two_chunks(write, small_pieces, monkeypatch):
    path = write("a.jsonl", lines([{"text": "x" * 50} for _ in range(4000)]))
    monkeypatch.setattr("finecomb.data.dataset.compressed.BLOCK", 1000)
    given = []
    original = delimited.groups
    monkeypatch.setattr(objects, "groups", lambda *words: (given.append(1) or group for group in original(*words)))
    raw = source(path).read("none")
    assert len(given) <= 4
    stream = iter(raw.splits["train"])
    next(stream)
    assert len(given) <= 5
    assert sum(len(rows) for rows in stream) + 15 >= 3990


def test_ids_are_unique_over_chunks_and_splits(write, small_pieces, monkeypatch):
    monkeypatch.setattr("finecomb.data.dataset.compressed.BLOCK", 100)
    train = write("a.jsonl", lines([*ITEMS, ITEMS[3]]))
    rows, raw = read(train, columns={"id": "key"})
    assert rows.id == [item["key"] for item in ITEMS]
    assert (reasons(raw), places(raw)) == ({"an id occurs more than once": 1}, [("a.jsonl", 41)])
    test = write("b.jsonl", lines([{"text": "y", "key": "z"}] * 1 + [{"text": "x", "key": "k39"}]))
    raw = source(train, files={"test": test}, columns={"id": "key"}).read("none")
    assert [identifier for rows in raw.splits["train"] for identifier in rows.id][:2] == ["train:k0", "train:k1"]
    assert [identifier for rows in raw.splits["test"] for identifier in rows.id] == ["test:z", "test:k39"]


def test_only_the_columns_that_are_needed_are_read(tmp_path):
    table = pyarrow.table({"text": ["a b"], "huge": pyarrow.array([b"\xff"], pyarrow.binary()).cast(pyarrow.binary())})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    opened = next(columnar.parquet(_file(tmp_path / "a.parquet"), piece.How(choose=lambda names: ["text"])))
    assert opened.names == ["text", "huge"]
    with pytest.raises(KeyError):
        opened.column("huge")


def _file(path: Path):
    from finecomb.data.dataset.file_search import File

    return File(path, path.name)


def test_inputs_name_every_file_by_content(write, tmp_path):
    write("d/a.csv", "text\nx\n"), write("d/b.csv", "text\ny\n")
    first = source(str(tmp_path / "d/*.csv")).inputs()
    assert set(first) == {"train/a.csv", "train/b.csv"}
    os.utime(tmp_path / "d/a.csv", (0, 0))
    assert source(str(tmp_path / "d")).inputs() == first
    (tmp_path / "d/a.csv").rename(tmp_path / "d/c.csv")
    assert source(str(tmp_path / "d")).inputs() != first


def test_a_name_that_leads_to_no_file_is_told(write, tmp_path):
    write("d/a.csv", "text\nx\n"), write("e/b.md", "x")
    for given, what in ((f"{tmp_path}/d/*.jsonl", "no file in it fits"), (f"{tmp_path}/x/*.csv", "no such file"), ([], "no file is named")):
        with pytest.raises(ConfigError, match=what) as caught:
            source(given).read("none")
        assert "dataset.files.train" in caught.value.problems[0].where
    with pytest.raises(ConfigError, match="without a file of known format") as caught:
        source(tmp_path / "e").read("none")
    assert "b.md" in caught.value.problems[0].allowed


def test_a_missing_column_of_a_later_file_is_an_error(write, tmp_path):
    write("d/a.csv", "text\nx\n"), write("d/b.csv", "body\ny\n")
    with pytest.raises(ConfigError, match=r"no column 'text' in b\.csv"):
        read(str(tmp_path / "d/*.csv"))
