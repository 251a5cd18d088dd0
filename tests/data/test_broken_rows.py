"""What cannot be read is set aside with its file, line and reason, and the rest goes on; too much of it is an error."""

import bz2
import gzip
import json
import lzma
import os
import zipfile
import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from reading_rows import places, read, reasons, source

from finecomb.core.errors import ConfigError
from finecomb.data.dataset import broken, compressed, lines

GOOD = [f"line number {n}" for n in range(40)]


def text(extra: bytes, at: int = 20) -> bytes:
    """Forty good lines with something between them."""
    whole = [line.encode() for line in GOOD]
    return b"\n".join([*whole[:at], extra, *whole[at:]]) + b"\n"


def csv(extra: str) -> str:
    return "text,label\n" + "".join(f"{line},a\n" for line in GOOD[:20]) + extra + "".join(f"{line},b\n" for line in GOOD[20:])


LINES = {
    "another encoding": (text("café".encode("latin-1")), broken.ENCODING, "byte 0xe9 is not utf-8"),
    "a cut character": (text("café".encode()[:-1]), broken.ENCODING, "byte 0xc3"),
    "NUL": (text(b"a\0b"), broken.NUL, "a NUL byte"),
}


@pytest.mark.parametrize("case", LINES)
def test_lines_that_are_no_text(write, case):
    content, reason, told = LINES[case]
    rows, raw = read(write("a.txt", content))
    assert rows.text == GOOD
    assert rows.id[20] == "train:21"  # the number of a row does not hang on others
    assert (reasons(raw), places(raw)) == ({reason: 1}, [("a.txt", 21)])
    assert told in raw.rejected[0]["reason"]
    with pytest.raises(ConfigError, match=told) as caught:
        read(write("a.txt", content), strict=True)
    assert "a.txt, line 21" in caught.value.problems[0].where


CELLS = {
    "too many cells": ("one,two,three\n", broken.CELLS, 1),
    "an unclosed quotation mark": ('"open,a\n', broken.QUOTES, 1),
    "text after a quotation mark": ('"closed" too early,a\n', broken.QUOTES, 1),
    "bytes in a quoted cell": ('"one\udce9\ntwo",a\n', broken.ENCODING, 1),
    "no label": ("something,\n", broken.NO_LABEL, 1),
    "two of them": ('x\n"open,a\n', None, 2),
}


@pytest.mark.parametrize("case", CELLS)
def test_rows_of_cells(write, case):
    extra, reason, count = CELLS[case]
    path = write("a.csv", csv(extra).encode("utf-8", "surrogateescape"))
    rows, raw = read(path, "class", columns={"label": "label"})
    assert list(rows.text) == GOOD
    assert sum(reasons(raw).values()) == count
    assert reason is None or set(reasons(raw)) == {reason}
    assert [line for _, line in places(raw)] == ([22] if count == 1 else [22, 23])


def test_every_line_with_an_unclosed_mark_is_read_once_more_only(write):
    """Each unclosed mark ends at the next: the time is linear in the file."""
    path = write("a.csv", "text,n\n" + '"x\n' * 30_000)
    with pytest.raises(ConfigError, match="broken quoting"):
        read(path)


JSON_LINES = {
    "cut": ('{"text": \n', broken.JSON),
    "a list": ("[1]\n", broken.NO_OBJECT),
    "deep": ("[" * 200_000 + "\n", broken.NESTED),
    "a long number": ('{"text": "a", "n": ' + "9" * 5000 + "}\n", broken.JSON),
    "half a surrogate pair": ('{"text": "\\ud800"}\n', broken.SURROGATE),
    "a number as text": ('{"text": 5}\n', broken.NO_TEXT),
}


@pytest.mark.parametrize("case", JSON_LINES)
def test_json_lines(write, case):
    extra, reason = JSON_LINES[case]
    good = [json.dumps({"text": line}) + "\n" for line in GOOD]
    rows, raw = read(write("a.jsonl", "".join([*good[:20], extra, *good[20:]])))
    assert list(rows.text) == GOOD
    assert (reasons(raw), places(raw)) == ({reason: 1}, [("a.jsonl", 21)])
    assert len(raw.rejected[0]["text"]) <= 2000
    json.dumps(raw.rejected).encode()  # can be written


def test_a_line_of_fifty_megabytes_is_left_out_in_little_memory(write):
    content = b"first\n" + b"x" * 50_000_000 + b"\n" + "".join(f"{line}\n" for line in GOOD).encode()
    rows, raw = read(write("a.txt", content))
    assert list(rows.text) == ["first", *GOOD]
    assert list(rows.line)[:3] == [1, 3, 4]
    assert (reasons(raw), places(raw)) == ({broken.LONG: 1}, [("a.txt", 2)])


def test_an_empty_file_among_others_is_named_and_alone_is_an_error(write, tmp_path):
    write("d/a.txt", "some text\n"), write("d/b.txt", "")
    rows, raw = read(str(tmp_path / "d/*.txt"))
    assert list(rows.text) == ["some text"]
    assert (reasons(raw), places(raw)) == ({broken.EMPTY_FILE: 1}, [("b.txt", None)])
    with pytest.raises(ConfigError, match=r"b\.txt is empty"):
        read(str(tmp_path / "d/b.*"))


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True)}


@pytest.mark.parametrize("suffix", PACK)
def test_of_a_file_that_is_cut_short_the_first_part_is_kept(tmp_path, suffix):
    many = [f"{zlib.crc32(b'%d' % n):x} {n}" for n in range(100_000)]
    path = tmp_path / f"a.txt.{suffix}"
    packed = PACK[suffix]("\n".join(many).encode())
    path.write_bytes(packed[: len(packed) * 4 // 5])
    with pytest.raises(ConfigError, match=r"cannot read a\.txt\.\w+: the file is cut short .* is not known") as caught:
        read(path)
    assert "dataset.damaged=skip" in caught.value.problems[0].hint
    rows, raw = read(path, damaged="skip")
    assert 10_000 < len(rows) < 100_000
    assert list(rows.text) == many[: len(rows)]
    assert reasons(raw) == {compressed.CUT_SHORT: 1}
    assert places(raw) == [(path.name, None)]
    with pytest.raises(ConfigError, match=r"cannot read a\.txt"):
        read(path, strict=True)


def test_an_archive_that_is_spoilt_is_told_and_its_other_members_are_read(write, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.txt", "a text\n" * 100)
        archive.writestr("two.txt", "another text\n")
    spoilt = path.read_bytes().replace(b"a text\na", b"b text\na", 1)
    write("d/a.zip", spoilt), write("d/b.zip", path.read_bytes()[:-30]), write("d/c.txt", "fine\n" * 5000)
    rows, raw = read(str(tmp_path / "d/*"), max_rejected=0.3)
    assert set(rows.text) >= {"another text", "fine"}
    assert places(raw) == [("a.zip", None), ("b.zip", None)]
    assert "CRC" in raw.rejected[0]["reason"]
    with pytest.raises(ConfigError, match=r"cannot read b\.zip"):
        read(tmp_path / "d/b.zip")


def test_a_bomb_is_stopped(write, tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "FLOOR", 1 << 20)
    bomb = gzip.compress((b"x" * 999 + b"\n") * 40_000)
    write("d/bomb.txt.gz", bomb), write("d/fine.txt", "a text\n" * 5)
    given = []
    original = compressed._unpacked
    monkeypatch.setattr(compressed, "_unpacked", lambda file, raw: _counted(original(file, raw), given))
    rows, raw = read(str(tmp_path / "d/*"), max_rejected=1.0)
    assert reasons(raw)[compressed.BOMB] > 30_000
    assert sum(given) > 1 << 20
    assert rows.text[-1] == "a text"
    assert sum(given) < 10 << 20


def test_rows_lost_in_a_bomb_are_estimated_and_count_as_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(compressed, "FLOOR", 1 << 20)
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress((b"x" * 999 + b"\n") * 40_000))
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert "dataset.max_rejected=0.1" in caught.value.problems[0].allowed
    rows, raw = read(path, max_rejected=1.0)
    lost = reasons(raw)[compressed.BOMB]
    assert len(rows) + lost == pytest.approx(40_000, rel=0.01)
    assert f"about {lost:,} rows are lost" in raw.rejected[0]["reason"]


def test_all_members_of_an_archive_together_are_bounded(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(20):
            archive.writestr(f"{n}.txt", b"x" * 999 + b"\n" + b"0" * (compressed.FLOOR // 16))
    with pytest.raises(ConfigError, match="unpacks to far more than its size"):
        read(path)


@pytest.mark.parametrize("damaged", ["error", "skip"])
def test_of_an_archive_with_a_damaged_member_the_lost_rows_are_estimated(tmp_path, damaged):
    path = tmp_path / "a.zip"
    lines_of = ["".join(f"{zlib.crc32(b'%d' % (n * k)):x} {n}\n" for n in range(100_000)) for k in (1, 2, 3)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, content in enumerate(lines_of):
            archive.writestr(f"{n}.txt", content)
        third = archive.infolist()[2]
    data = bytearray(path.read_bytes())
    at = third.header_offset + 60 + third.compress_size // 4
    data[at : at + 400] = b"\xff" * 400
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="rows"):
        read(path, damaged=damaged)
    rows, raw = read(path, damaged=damaged, max_rejected=0.5)
    lost = sum(reasons(raw).values())
    assert len(rows) + lost == pytest.approx(300_000, rel=0.15)


def test_devices_and_pipes_are_refused_at_once(tmp_path, write):
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (Path("/dev/zero"), tmp_path / "pipe.txt"):
        with pytest.raises(ConfigError, match="device, pipe or socket"):
            read(path)
    write("d/a.txt", "fine\n" * 50)
    os.mkfifo(tmp_path / "d" / "pipe.txt")
    rows, raw = read(str(tmp_path / "d"))
    assert (len(rows), places(raw)) == (50, [("pipe.txt", None)])


def test_files_of_unknown_suffix_are_counted_and_named(write, tmp_path):
    write("d/a.txt", "fine\n" * 50), write("d/README.md", "about"), write("d/notes", "more")
    rows, raw = read(str(tmp_path / "d"), strict=True)
    assert len(rows) == 50
    assert reasons(raw) == {broken.UNKNOWN_SUFFIX: 2}
    assert places(raw) == [("README.md", None), ("notes", None)]


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_blank_rows_of_a_file_with_one_column_are_counted(write, suffix):
    path = write(f"a.{suffix}", "text\n" + "one\n\n" * 40)
    rows, raw = read(path, strict=True)
    assert list(rows.text) == ["one"] * 40
    assert reasons(raw) == {broken.BLANK: 40}
    assert places(raw)[0] == (path.name, 3)
    rows, raw = read(
        write(f"b.{suffix}", ("text,n\n" if suffix == "csv" else "text\tn\n") + ("a,1\n\n" if suffix == "csv" else "a\t1\n\n") * 9)
    )
    assert (len(rows), reasons(raw)) == (9, {})


def _counted(found, given):
    stream, packed = found

    def count(size):
        data = stream(size)
        given.append(len(data))
        return data

    return count, packed


def test_files_that_cannot_be_read_are_named_unless_they_hold_too_much(write, tmp_path):
    table = pyarrow.table({"text": GOOD * 50})
    for n in range(20):
        pyarrow.parquet.write_table(table, tmp_path / f"p{n:02}.parquet")
    (tmp_path / "p05.parquet").write_bytes((tmp_path / "p05.parquet").read_bytes()[:-50])
    rows, raw = read(str(tmp_path / "p*.parquet"))
    assert len(rows) == 19 * 2000
    assert (reasons(raw), places(raw)) == ({compressed.UNREADABLE: 1}, [("p05.parquet", None)])
    for n in range(5):
        (tmp_path / f"p1{n}.parquet").write_bytes(b"no parquet at all" * 100)
    with pytest.raises(ConfigError, match=r"cannot read p05\.parquet") as caught:
        read(str(tmp_path / "p*.parquet"))
    assert "of the bytes" in caught.value.problems[0].allowed


def test_a_row_group_and_a_cell_that_are_spoilt_cost_no_other(tmp_path):
    path = tmp_path / "a.parquet"
    cells = [f"{zlib.crc32(b'%d' % n):x}" * 20 for n in range(400)]
    pyarrow.parquet.write_table(pyarrow.table({"text": cells}), path, row_group_size=20, use_dictionary=False, compression="gzip")
    data = bytearray(path.read_bytes())
    column = pyarrow.parquet.ParquetFile(path).metadata.row_group(10).column(0)
    end = column.data_page_offset + column.total_compressed_size
    data[end - 60 : end - 20] = bytes(40)
    path.write_bytes(data)
    rows, raw = read(path)
    assert reasons(raw) == {broken.ROW_GROUP: 20}
    assert rows.id[199:201] == ["train:199", "train:220"]
    assert set(rows.text) < set(cells)
    raw_cells = pyarrow.array([b"good"] * 30 + [b"\xff"], pyarrow.binary())
    spoilt = pyarrow.StringArray.from_buffers(31, *raw_cells.buffers()[1:])
    pyarrow.parquet.write_table(pyarrow.table({"text": spoilt}), path)
    rows, raw = read(path)
    assert (len(rows), reasons(raw), places(raw)) == (30, {broken.ENCODING: 1}, [("a.parquet", 31)])


def test_too_many_broken_rows_are_an_error_that_names_the_first(write):
    content = "".join(f"{json.dumps({'text': line})}\n{{broken\n" for line in GOOD)
    with pytest.raises(ConfigError, match=r"40 of 80 rows: broken JSON") as caught:
        read(write("a.jsonl", content))
    problem = caught.value.problems[0]
    assert "a.jsonl, line 2, 4, 6, 8, 10, ..." in problem.where
    assert "dataset.max_rejected=0.1" in problem.allowed
    rows, raw = read(write("a.jsonl", content), max_rejected=0.5)
    assert (list(rows.text), len(raw.rejected)) == (GOOD, 40)


def test_folders_and_links_that_lead_in_circles_end(write, tmp_path):
    write("d/a.txt", "one\n"), write("d/deep/b.txt", "two\n"), write("away/c.txt", "three\n")
    (tmp_path / "d/deep/up").symlink_to(tmp_path / "d")
    (tmp_path / "d/self.txt").symlink_to("self.txt")
    (tmp_path / "d/away").symlink_to(tmp_path / "away")
    (tmp_path / "d/is_a_folder.txt").mkdir()
    rows, raw = read(str(tmp_path / "d/**/*.txt"), max_rejected=1.0)
    assert sorted(rows.text) == ["one", "three", "two"]
    assert sorted(places(raw)) == [("deep/up", None), ("self.txt", None)]
    assert all("link" in row["reason"] for row in raw.rejected)
    with pytest.raises(ConfigError, match="leads nowhere or in circles"):
        read(tmp_path / "d/self.txt")


def test_a_file_that_changes_or_vanishes_under_the_hand_is_an_error(write, tmp_path):
    """The cache goes by what was hashed, so nothing else may be read under that name."""
    for name in ("a", "b"):
        write(f"d/{name}.txt", f"text of {name}\n")
    mine = source(str(tmp_path / "d/*.txt"))
    mine.inputs()
    write("d/b.txt", "another text\n")
    with pytest.raises(ConfigError, match=r"b\.txt changed while it was read"):
        list(mine.read("none").splits["train"])
    mine = source(str(tmp_path / "d/*.txt"))
    mine.inputs()
    (tmp_path / "d/b.txt").unlink()
    with pytest.raises(ConfigError, match=r"b\.txt vanished while it was read"):
        list(mine.read("none").splits["train"])


def test_a_file_that_is_gone_before_it_is_looked_at_is_named(write, tmp_path):
    for n in range(12):
        write(f"d/{n:02}.txt", f"text of {n}\n")
    mine = source(str(tmp_path / "d/*.txt"))
    mine._splits()
    (tmp_path / "d/05.txt").unlink()
    assert mine.inputs()["train/05.txt"] == "text:missing"
    raw = mine.read("none")
    assert sum(len(rows) for rows in raw.splits["train"]) == 11
    assert places(raw) == [("05.txt", None)]


def test_a_file_that_may_not_be_read_is_named(write, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    write("d/a.txt", "one\n" * 99), write("d/b.txt", "two\n").chmod(0)
    rows, raw = read(str(tmp_path / "d/*.txt"))
    assert (len(rows), places(raw)) == (99, [("b.txt", None)])


def test_a_document_that_is_no_text_is_one_broken_row(write, tmp_path):
    for n in range(20):
        write(f"d/{n}.txt", f"document {n}\n")
    write("d/picture.txt", b"\x89PNG\r\n\x1a\n\0\0")
    rows, raw = read(str(tmp_path / "d/*.txt"), format="document")
    assert (len(rows), places(raw)) == (20, [("picture.txt", 1)])
    with pytest.raises(ConfigError, match="1 of 2 rows"):
        read([tmp_path / "d/1.txt", tmp_path / "d/picture.txt"], format="document")


def test_what_is_left_out_is_kept_with_its_text_up_to_a_number(write, monkeypatch):
    monkeypatch.setattr(broken, "WITH_TEXT", 3)
    monkeypatch.setattr(broken, "LISTED", 5)
    _, raw = read(write("a.jsonl", "".join('{"text": "x"}\n{x\n' for _ in range(20))), max_rejected=0.5)
    assert [bool(row["text"]) for row in raw.rejected] == [True] * 3 + [False] * 2
    assert reasons(raw) == {broken.JSON: 20}


def test_the_longest_line_is_a_limit_of_characters_not_of_blocks(write, monkeypatch):
    monkeypatch.setattr(lines, "LONGEST", 1000)
    for size in (7, 100, 1 << 20):
        monkeypatch.setattr(compressed, "BLOCK", size)
        content = "a\n" + "x" * 5000 + "\nb\n" + "y" * 900 + "\nc\n" + "z" * 5000
        rows, raw = read(Path(write("a.txt", content)), max_rejected=1.0)
        if size < 1000:  # a line that comes within one block is at hand already
            assert [row[:1] for row in rows.text] == ["a", "b", "y", "c"]
            assert [row["line"] for row in raw.rejected] == [2, 6]
