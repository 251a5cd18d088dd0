"""No training row shares a long run of words with a held-out split, whether that split came with the data or was split from train."""

import json
import random
from types import SimpleNamespace

import pyarrow.parquet
import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.config.compose import compose
from finecomb.config.schema.dataset import Require
from finecomb.data.engine import LocalEngine
from finecomb.data.prepare import prepare
from finecomb.data.prepare.delivery import deliver
from finecomb.runs.record import Inputs, PreparedInput, RunRecord
from finecomb.studies.summary import print_data_summary

DECONTAMINATE = {"decontaminate": {"ngram": 13, "max_matches": 10}}


def passages(count, seed=0):
    """Rows of which many share 15 words with one other and nothing else."""
    draw = random.Random(seed)
    vocabulary = [f"w{number}" for number in range(3000)]

    def text(size):
        return " ".join(draw.choice(vocabulary) for _ in range(size))

    found = []
    for _ in range(0, count, 4):
        shared = text(15)
        found += [f"{text(9)} {shared} {text(6)}", f"{text(7)} {shared} {text(11)}", text(25), text(30)]
    draw.shuffle(found)
    return [{"id": f"{seed}-{number}", "text": each, "label": "ab"[number % 2]} for number, each in enumerate(found)]


@pytest.fixture
def delivered(write, tmp_path):
    def run(cleaner=None, workers=1, near=None, split=None, **splits):
        files = {split: str(write(f"{split}.jsonl", rows)) for split, rows in splits.items()}
        cleaner = cleaner or make_cleaner(**({"near_duplicates": near} if near else {}), **DECONTAMINATE)
        columns = {"id": "id", "text": "text", "label": "label"}
        given = {name: files.get(name) for name in ("train", "validation", "test")}
        config = make_dataset("files", files=given, columns=columns, split=split or {})
        prepared = prepare(config, cleaner, task_variant="sequence_classification", engine=LocalEngine(workers))
        told = deliver(prepared, tmp_path / "out", name="it", require=Require(None, None, None, None, None))
        return prepared, told, {name: table["id"][:] for name, table in prepared.load().items()}

    return run


def test_a_test_set_split_from_train_shares_no_long_run_of_words_with_train(delivered, tmp_path):
    rows = passages(400)
    _, shared, whole = delivered(make_cleaner(), train=rows)
    assert shared["overlap"]["train/test"]["ngram_13"] > 10
    after, told, kept = delivered(train=rows)
    assert {pair: found["ngram_13"] for pair, found in told["overlap"].items()} == dict.fromkeys(told["overlap"], 0)
    # The test set is the one that is split off without the step; what shares words with it leaves the other splits.
    assert kept["test"] == whole["test"]
    [*_, step] = [step for step in told["steps"] if step["name"] == "decontaminate"]
    assert step["splits"]["train"]["reasons"].keys() == {"shares 13 words with test", "shares 13 words with validation"}
    assert step["splits"]["train"]["reasons"]["shares 13 words with test"] == shared["overlap"]["train/test"]["ngram_13"]
    for split in ("train", "validation"):
        found = step["splits"][split]
        assert (found["rows_in"], found["rows_out"]) == (len(whole[split]), len(kept[split]))
        assert found["rows_in"] - found["rows_out"] == sum(found["reasons"].values()) > 0
    dropped = pyarrow.parquet.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    gone = {(row["split"], row["id"]) for row in dropped if row["step"] == "decontaminate"}
    assert gone == {(split, name) for split in whole for name in set(whole[split]) - set(kept[split])}
    assert {row["label"] for row in dropped} == {"a", "b"}
    scores = pyarrow.parquet.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    assert {row["id"] for row in scores if row["value"] > 0} == {name for _, name in gone}
    assert after.manifest.records["decontaminate"]["protected"] == ["test", "validation"]
    assert any(example["step"] == "decontaminate" for example in told["examples"])


def test_neither_workers_nor_a_second_time_show(delivered, cache):
    rows = passages(120)
    first, told, _ = delivered(train=rows)
    json.dumps(told)
    for path in (cache / "prepared").iterdir():
        (path / "manifest.json").unlink()
    again, _, _ = delivered(workers=2, train=rows)
    assert again.content_hash == first.content_hash


def test_rows_that_are_nearly_the_same_are_split_together_and_then_compared(delivered):
    """keep=all: clusters stay whole, so that contamination is only what they do not hold together."""
    draw = random.Random(1)
    rows = passages(200)
    for number, row in enumerate(rows[:40]):
        words = row["text"].split()
        words[-1] = f"other{number}"
        rows.append({"id": f"near-{number}", "text": " ".join(words), "label": row["label"]})
    draw.shuffle(rows)
    near = {"threshold": 0.6, "ngram": 3, "permutations": 64, "keep": "all", "max_cluster_share": 1.0}
    _, told, kept = delivered(near=near, train=rows)
    assert {pair: found["ngram_13"] for pair, found in told["overlap"].items()} == dict.fromkeys(told["overlap"], 0)
    place = {name: split for split, names in kept.items() for name in names}
    pairs = [(f"near-{number}", rows_id) for number, rows_id in enumerate(row["id"] for row in passages(200)[:40])]
    assert all(place[one] == place[two] for one, two in pairs if one in place and two in place)
    assert sum(one in place and two in place for one, two in pairs) > 20


def test_a_test_set_that_is_given_is_compared_before_and_after_the_split(delivered):
    rows = passages(200)
    _, told, kept = delivered(train=rows[:150], test=rows[150:])
    assert {pair: found["ngram_13"] for pair, found in told["overlap"].items()} == dict.fromkeys(told["overlap"], 0)
    assert len(kept["test"]) == 50


def test_given_splits_are_compared_with_test_alone(delivered):
    rows = passages(200)
    prepared, told, _ = delivered(train=rows[:120], validation=rows[120:160], test=rows[160:])
    assert told["overlap"]["train/test"]["ngram_13"] == told["overlap"]["validation/test"]["ngram_13"] == 0
    assert told["overlap"]["train/validation"]["ngram_13"] > 0
    assert prepared.manifest.records["decontaminate"]["protected"] == ["test"]


def test_without_a_split_to_protect_it_says_so(delivered, tmp_path, capsys):
    rows = passages(80)
    prepared, told, kept = delivered(train=rows[:60], validation=rows[60:])
    assert [len(kept[split]) for split in ("train", "validation")] == [60, 20]
    [step] = [step for step in told["steps"] if step["name"] == "decontaminate"]
    assert "no test split" in step["record"]["warnings"][0]
    # Training prints the same before it starts.
    record = RunRecord("abc", "it", inputs=Inputs(PreparedInput(str(prepared.directory))))
    config = compose(["dataset=files", "dataset.files.train=train.csv", "trainer.max_epochs=1"]).config
    print_data_summary([SimpleNamespace(run=SimpleNamespace(path=tmp_path), record=record, config=config)])
    assert "warning: decontaminate: there is no test split" in capsys.readouterr().err


def test_a_step_after_it_in_the_recipe_runs_before_the_split(delivered):
    cleaner = make_cleaner(**DECONTAMINATE, lowercase={})
    rows = [row | {"text": row["text"].upper()} for row in passages(80)]
    _, told, _ = delivered(cleaner, train=rows)
    assert [step["name"] for step in told["steps"]][-3:] == ["lowercase", "split", "decontaminate"]
    assert told["overlap"]["train/test"]["ngram_13"] == 0
