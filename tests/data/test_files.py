"""One's own files: every format gives the same rows, columns are mapped, several labels and pairs are read."""

import bz2
import gzip
import json
import lzma

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

ROWS = [{"text": f'a "quoted", {n}\tth text é', "label": "good" if n % 3 else "bad"} for n in range(30)]


def csv_text(separator=","):
    quote = lambda cell: '"' + cell.replace('"', '""') + '"'  # noqa: E731
    return "\n".join(separator.join(map(quote, row)) for row in [("text", "label"), *(row.values() for row in ROWS)]) + "\n"


def arrow(tmp_path, kind):
    table, path = pyarrow.Table.from_pylist(ROWS), tmp_path / f"rows.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(table, path)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, path, compression="uncompressed")
    else:
        with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    return path


def test_every_format_gives_the_same_rows(prepared, write, tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    paths = [
        write("rows.csv", csv_text()),
        write("bom.csv", b"\xef\xbb\xbf" + csv_text().replace("\n", "\r\n").encode()),
        write("rows.tsv", csv_text("\t")),
        write("rows.jsonl", lines),
        write("array.json", json.dumps(ROWS)),
        write("lines.json", lines),
        write("rows.csv.gz", gzip.compress(csv_text().encode())),
        write("rows.jsonl.bz2", bz2.compress(lines.encode())),
        write("rows.tsv.xz", lzma.compress(csv_text("\t").encode())),
        *(arrow(tmp_path, kind) for kind in ("parquet", "feather", "arrow")),
    ]
    hashes = {path.name: prepared(path).content_hash for path in paths}
    assert len(set(hashes.values())) == 1, hashes


def test_text_is_kept_to_the_letter_without_cleaning(prepared, write):
    from data_configs import make_cleaner

    data = prepared(write("rows.csv", csv_text()), cleaner=make_cleaner("none")).load()
    assert {text for split in data.values() for text in split["text"]} == {row["text"] for row in ROWS}


def test_a_tsv_with_bare_quotation_marks_is_not_quoted(prepared, write):
    lines = [f'{n} he said "hi\tgood' if n % 2 else f'"{n}" is "a number"\tbad' for n in range(20)]
    data = prepared(write("rows.tsv", "text\tlabel\n" + "\n".join(lines)))
    texts = [text for split in data.load().values() for text in split["text"]]
    assert sorted(texts) == sorted(line.split("\t")[0] for line in lines)


def test_quoted_cells_may_hold_line_ends(prepared, write):
    text = "text,label\n" + "".join(f'"line one\nline two {n}",{"ab"[n % 2]}\n' for n in range(20))
    data = prepared(write("rows.csv", text)).load()
    assert sorted(data["train"]["text"])[0].startswith("line one line two")


def test_another_encoding_and_an_odd_suffix_are_named(prepared, write):
    plain = prepared(write("rows.csv", csv_text()))
    for encoding in ("latin-1", "utf-16"):
        path = write(f"{encoding}.export", csv_text().encode(encoding))
        assert prepared(path, encoding=encoding, format="csv").content_hash == plain.content_hash


def test_quoting_may_be_named(prepared, write):
    path = write("rows.tsv", "text\tlabel\n" + "".join(f'"number {n}"\t{"ab"[n % 2]}\n' for n in range(20)))
    assert '"number' not in prepared(path).load()["train"][0]["text"]
    assert '"number' in prepared(path, quotes="none").load()["train"][0]["text"]


def test_columns_are_mapped_and_pairs_read(prepared, write):
    rows = [{"s1": f"one {n}", "s2": f"two {n}", "y": n % 2, "key": f"k{n}", "who": f"w{n % 7}", "more": [1]} for n in range(40)]
    columns = {"text": "s1", "text_pair": "s2", "label": "y", "id": "key", "group": "who"}
    found = prepared(write("rows.jsonl", rows), columns=columns, label_names=["no", "yes"])
    assert found.columns == ["id", "text", "text_pair", "label", "group"]
    assert found.label_names == ["no", "yes"]
    for split in found.load().values():
        for row in split:
            number = int(row["id"][1:])
            assert row == {
                "id": f"k{number}",
                "text": f"one {number}",
                "text_pair": f"two {number}",
                "label": number % 2,
                "group": f"w{number % 7}",
            }


def test_numbers_are_numbers(prepared, write):
    rows = [{"text": f"text {n}", "label": str(n / 4)} for n in range(40)]
    found = prepared(write("rows.jsonl", rows), task="regression")
    assert (found.label_kind, found.label_names) == ("number", None)
    data = found.load()
    assert all(row["label"] == int(row["text"].split()[1]) / 4 for split in data.values() for row in split)
    assert {split: len(data[split]) for split in data} == {"train": 32, "validation": 4, "test": 4}


@pytest.mark.parametrize("cell", [lambda names: "|".join(names), lambda names: json.dumps(names), lambda names: names])
def test_several_labels_in_a_cell(prepared, write, cell):
    every = [["red"], ["blue", "red"], [], ["green", "blue"]]
    rows = [{"text": f"text {n}", "label": cell(every[n % 4])} for n in range(80)]
    found = prepared(write("rows.jsonl", rows), task="sequence_classification multi_label")
    assert (found.label_kind, found.label_names) == ("classes", ["blue", "green", "red"])
    for split in found.load().values():
        for row in split:
            names = [found.label_names[index] for index in row["label"]]
            assert names == sorted(every[int(row["text"].split()[1]) % 4])
    assert found.manifest.label_counts["test"] == {"blue": 4, "green": 2, "red": 4}


def test_label_order_is_by_number_where_labels_are_numbers(prepared, write):
    rows = [{"text": f"text {n}", "label": [10, 9, 1][n % 3]} for n in range(60)]
    found = prepared(write("rows.jsonl", rows))
    assert found.label_names == ["1", "9", "10"]


def test_fasttext_lines_carry_labels(prepared, write):
    lines = "".join(f"__label__{'ab'[n % 2]} text {n}\n" for n in range(40))
    assert prepared(write("rows.txt", lines)).label_names == ["a", "b"]


def test_ids_that_two_files_share_get_the_splits_name(prepared, write):
    rows = [{"id": n, "text": f"text {n}", "label": n % 2} for n in range(20)]
    more = [{"id": n, "text": f"other {n}", "label": n % 2} for n in range(10)]
    found = prepared(write("a.jsonl", rows), test=write("b.jsonl", more), columns={"id": "id"}).load()
    assert sorted(found["test"]["id"])[0] == "test:0"
    assert {identifier.split(":")[0] for identifier in found["validation"]["id"]} == {"train"}
