"""What preparing keeps in memory for each row: places and labels, neither texts nor ids nor scores."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from finecomb.data.chance import rank, ranked
from finecomb.data.dataset.prepared import write_parquet
from finecomb.data.dataset.rows import Rows, from_tables, to_table
from finecomb.data.dataset.split import shuffled
from finecomb.data.prepare import clusters, delivery
from finecomb.data.shards import read_arrow, write_arrow


def peak(work) -> int:
    """Bytes of Python and NumPy memory that `work` has at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def shard(path, number, rows=2000):
    ids = [f"train:{number}:{row}" for row in range(rows)]
    write_arrow(path, to_table(Rows(ids, [f"text {name}" for name in ids], None, ["ab"[row % 2] for row in range(rows)], None,
                                    range(rows), "a.csv")))  # fmt: skip
    return read_arrow(path)


def test_rows_of_shards_are_opened_and_shuffled_in_a_few_bytes_each(tmp_path):
    tables = [shard(tmp_path / f"{number}.arrow", number) for number in range(20)]
    small = peak(lambda: shuffled({"train": from_tables(tables[:5])}, 0))
    large = peak(lambda: shuffled({"train": from_tables(tables)}, 0))
    assert (large - small) / 30_000 < 100
    rows = shuffled({"train": from_tables(tables)}, 0)["train"]
    assert rows.id[0] == next(iter(rows.id))
    assert [f"text {name}" for name in rows.id] == list(rows.text)
    names = [f"train:{number}:{row}" for number in range(20) for row in range(2000)]
    assert list(rows.id) == sorted(names, key=lambda name: rank(0, "order", name))


@pytest.mark.parametrize("names", [[f"n{number}" for number in range(500)], ["a", "b", "a", "c", "a"], []])
def test_names_are_ranked_as_sorted_does(names):
    assert ranked(3, "order", names).tolist() == sorted(range(len(names)), key=lambda row: rank(3, "order", names[row]))


def scores(path, parts, rows=3000):
    """A table of two scores of one step, of which the second numbers clusters of two rows."""
    draw = np.random.default_rng(0)
    values = {"similarity": draw.random((parts, rows)), clusters.CLUSTER: np.arange(parts * rows).reshape(parts, rows) // 2.0}

    def tables():
        for score, of_score in values.items():
            for number, part in enumerate(of_score):
                columns = {"step": ["near"] * rows, "score": [score] * rows, "split": ["train"] * rows,
                           "id": [f"train:{number}:{row}" for row in range(rows)], "value": part}  # fmt: skip
                yield pa.table(columns | {"low": pa.array([None] * rows, pa.float64()), "high": pa.array([0.5] * rows)})

    write_parquet(path, tables())
    return values


def test_histograms_of_scores_are_read_a_shard_at_a_time(tmp_path):
    expected = scores(tmp_path / "long.parquet", 20)["similarity"].ravel()
    scores(tmp_path / "short.parquet", 5)
    (found,) = delivery._histograms(tmp_path / "long.parquet")
    counts, edges = np.histogram(expected, bins=40)
    assert (found["counts"], found["edges"]) == (counts.tolist(), edges.tolist())
    assert (found["step"], found["score"], found["low"], found["high"]) == ("near", "similarity", None, 0.5)
    short, long = (peak(lambda name=name: delivery._histograms(tmp_path / f"{name}.parquet")) for name in ("short", "long"))
    assert long < 1.5 * short


def test_equal_scores_have_a_histogram(tmp_path):
    part = {"step": ["a"] * 3, "score": ["x"] * 3, "split": ["train"] * 3, "id": ["1", "2", "3"], "value": [2.0] * 3}
    write_parquet(tmp_path / "scores.parquet", [pa.table(part | {"low": [0.0] * 3, "high": [0.0] * 3})])
    (found,) = delivery._histograms(tmp_path / "scores.parquet")
    counts, edges = np.histogram([2.0] * 3, bins=40)
    assert (found["counts"], found["edges"]) == (counts.tolist(), edges.tolist())


def test_the_table_of_clusters_has_every_row_of_several(tmp_path):
    scores(tmp_path / "scores.parquet", 3, rows=101)
    found = clusters.table(tmp_path / "scores.parquet").to_pydict()
    assert len(found["id"]) == 302
    assert found["cluster"] == [number // 2 for number in range(302)]
    assert set(found["size"]) == {2}
    assert found["id"][101:103] == ["train:1:0", "train:1:1"]
