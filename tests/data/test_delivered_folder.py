"""A delivered folder holds rows as Parquet; training maps them as Arrow from the cache, on any machine."""

import shutil

import pyarrow.parquet
import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.config.schema.dataset import Require
from finecomb.core.errors import ConfigError
from finecomb.data.dataset.prepared import content_hash, read_rows
from finecomb.data.prepare import open_prepared, prepare
from finecomb.data.prepare.delivery import deliver

ROWS = [
    {
        "text": f"text number {number} é",
        "pair": f"other {number}",
        "label": ["bad", "good"][number % 2],
        "value": number / 7,
        "site": f"s{number % 9}",
    }
    for number in range(120)
]
CLASSES = [row | {"label": ["x", "y"][: number % 3]} for number, row in enumerate(ROWS)]
NO_REQUIREMENT = Require(None, None, None, None, None)


@pytest.fixture
def delivered(prepared, write, tmp_path):
    def run(rows=ROWS, **more):
        found = prepared(write("rows.jsonl", rows), **more)
        deliver(found, tmp_path / "out", name="it", require=NO_REQUIREMENT)
        return found, tmp_path / "out"

    return run


KINDS = {
    "class": {"columns": {"text_pair": "pair", "group": "site"}},
    "number": {"task": "regression", "columns": {"label": "value"}},
    "classes": {"rows": CLASSES, "task": "sequence_classification multi_label"},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_rows_of_a_folder_from_another_machine_are_those_that_were_prepared(delivered, tmp_path, monkeypatch, kind):
    here, folder = delivered(**KINDS[kind])
    assert not list(folder.rglob("*.arrow"))
    assert open_prepared(folder).arrow == here.directory, "what is in the cache is made again"
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "another machine"))
    there = open_prepared(folder)
    assert there.label_kind == kind
    for split, table in here.load().items():
        assert there.load()[split].to_dict() == table.to_dict()
        assert there.load()[split].features == table.features
    hashes = {split: rows.sha256() for split, rows in read_rows(there).items()}
    assert content_hash(hashes, kind, there.label_names) == here.content_hash == there.content_hash
    again = prepare(
        make_dataset("prepared", path=str(folder)), make_cleaner("none"), task_variant=KINDS[kind].get("task", "sequence_classification")
    )
    assert again == there
    shutil.rmtree(there.arrow)
    assert open_prepared(folder).load()["train"].to_dict() == here.load()["train"].to_dict()


def test_classes_are_names_in_the_parquet_file(delivered):
    _, folder = delivered()
    assert set(pyarrow.parquet.read_table(folder / "train.parquet")["label"].to_pylist()) == {"bad", "good"}


def test_a_damaged_parquet_file_is_the_users_error(delivered):
    _, folder = delivered()
    (folder / "test.parquet").write_bytes((folder / "train.parquet").read_bytes())
    with pytest.raises(ConfigError, match=r"test\.parquet is damaged"):
        open_prepared(folder)
