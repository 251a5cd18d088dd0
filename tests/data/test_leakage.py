"""What splits share, against plain Python over all pairs."""

import random

import pyarrow
import pytest
from test_near_duplicates import corpus, exact, sequence

from finecomb.data.cleaner.word_pattern import spaced
from finecomb.data.engine import LocalEngine
from finecomb.data.prepare.leakage import Piece, overlap


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Texts as an Arrow stream in the cache, in pieces of some rows."""
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path))

    def run(name: str, texts: list[str], size: int) -> list[Piece]:
        table = pyarrow.table({"id": [str(row) for row in range(len(texts))], "text": pyarrow.array(texts, pyarrow.string())})
        with pyarrow.ipc.new_stream(str(tmp_path / f"{name}-{size}.arrow"), table.schema) as writer:
            writer.write_table(table)
        starts = range(0, len(texts), size)
        return [Piece(tmp_path / f"{name}-{size}.arrow", start, min(start + size, len(texts)), 1) for start in starts]

    return run


@pytest.fixture(scope="module")
def splits():
    texts = corpus(300, seed=5) + ["!!!", "???", "ok", "OK.", "", "short text", "中文这家酒店的服务非常好房间也很干净"] * 3
    random.Random(0).shuffle(texts)
    return {"train": texts[:200], "validation": texts[200:260], "test": texts[260:]}


@pytest.mark.parametrize("size", [7, 1000])
def test_overlap_counts_rows_as_plain_python_does_whatever_the_pieces(splits, stored, size):
    shared = overlap({name: stored(name, texts, size) for name, texts in splits.items()}, LocalEngine(1))
    for first, second in (("train", "validation"), ("train", "test"), ("validation", "test")):
        one, two = splits[first], splits[second]
        same = {spaced(text.lower()) or text for text in two}
        long = {gram for text in two for gram in sequence(text, 13)}
        found = shared[f"{first}/{second}"]
        assert found["exact"] == sum((spaced(text.lower()) or text) in same for text in one)
        assert found["ngram_13"] == sum(any(gram in long for gram in sequence(text, 13)) for text in one)
        best = [max((exact(text, other) for other in two if sequence(text, 5) and sequence(other, 5)), default=0.0) for text in one]
        assert found["near"] <= sum(value >= 0.8 for value in best)
        assert found["near"] >= 0.95 * sum(value >= 0.8 for value in best)
        assert [each["similarity"] for each in found["examples"]] == [round(v, 4) for v in sorted(best, reverse=True)[:5]]
        for example in found["examples"]:
            mine, other = (int(name) for name in example["ids"])
            assert round(exact(one[mine], two[other]), 4) == example["similarity"]
            assert example["texts"] == [one[mine][:200], two[other][:200]]


def test_a_split_without_rows_shares_nothing(splits, stored):
    shared = overlap({"train": stored("train", splits["train"], 50), "test": []}, LocalEngine(1))
    assert shared == {"train/test": {"exact": 0, "near": 0, "examples": [], "ngram_13": 0}}


def test_pieces_follow_the_bytes_and_leave_no_row_out():
    from finecomb.data.texts import Texts, pieces

    texts = ["a" * 5, "b" * 20, "", "c" * 3, "é" * 3, "d" * 100]
    for given in (texts, Texts.of(texts), Texts.of(["x", *texts]).take(range(1, 7))):
        found = list(pieces(given, 12))
        assert [row for piece in found for row in piece] == list(range(6))
        assert [len(piece) for piece in found] == [1, 1, 3, 1]
    assert [len(piece) for piece in pieces(texts, 1 << 20, 4)] == [4, 2]
    assert list(pieces([])) == [range(0)]
