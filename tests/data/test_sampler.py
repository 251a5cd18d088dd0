"""Balancing: which rows count how often, or how much; the same whatever the order of the rows."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pyarrow.parquet as parquet
import pytest
from data_configs import make_cleaner, make_dataset
from sklearn.utils.class_weight import compute_class_weight

from finecomb import cli
from finecomb.config.compose import compose
from finecomb.config.schema.sampler import Balanced
from finecomb.core.errors import ConfigError
from finecomb.data import sampler
from finecomb.data.prepare import prepare
from finecomb.data.sampler import balance

# 60 and 30 of label x in groups a and b, 6 and 24 of label y.
CELLS = [("x", "a")] * 60 + [("x", "b")] * 30 + [("y", "a")] * 6 + [("y", "b")] * 24
IDS, LABELS, GROUPS = [f"r{n}" for n in range(len(CELLS))], [label for label, _ in CELLS], [group for _, group in CELLS]


def config(**changes: Any) -> Balanced:
    return Balanced(**{"name": "balanced", "by": "label", "method": "oversample", "target": "equal", "strength": 1.0, "seed": 0} | changes)


def sizes(by: str, method: str, strength: float = 1.0, target: str = "equal") -> dict[Any, int]:
    found = balance(IDS, LABELS, GROUPS, config(by=by, method=method, strength=strength, target=target))
    cells = {"label": LABELS, "group": GROUPS, "label_group": CELLS}[by]
    return dict(Counter(cells[row] for row in found.rows))


@pytest.mark.parametrize("by", ["label", "group", "label_group"])
def test_at_full_strength_all_cells_are_as_large_as_the_largest_or_the_smallest(by: str) -> None:
    counts = Counter({"label": LABELS, "group": GROUPS, "label_group": CELLS}[by])
    assert set(sizes(by, "oversample").values()) == {max(counts.values())}
    assert set(sizes(by, "undersample").values()) == {min(counts.values())}
    for method in ("oversample", "undersample"):
        assert sizes(by, method, strength=0.0) == counts


def test_half_strength_balances_by_square_roots() -> None:
    assert sizes("label", "oversample", 0.5) == {"x": 90, "y": round((90 * 30) ** 0.5)}
    assert sizes("label", "undersample", 0.5) == {"x": round((90 * 30) ** 0.5), "y": 30}


def test_copies_come_in_whole_rounds_and_no_row_is_lost() -> None:
    found = balance(IDS, LABELS, GROUPS, config(by="label_group"))
    times = Counter(found.rows)
    assert set(times) == set(range(len(IDS)))
    for cell in set(CELLS):
        mine = [times[row] for row, other in enumerate(CELLS) if other == cell]
        assert max(mine) - min(mine) <= 1
    assert sorted(zip(found.rows, found.copies, strict=True)) == [(row, n) for row in range(len(IDS)) for n in range(1, times[row] + 1)]


@pytest.mark.parametrize("method", ["oversample", "undersample", "weights"])
def test_what_becomes_of_a_row_hangs_on_its_id_alone(method: str) -> None:
    order = list(range(len(IDS)))
    random.Random(3).shuffle(order)
    one = balance(IDS, LABELS, GROUPS, config(by="label_group", method=method))
    other = balance(*([column[row] for row in order] for column in (IDS, LABELS, GROUPS)), config(by="label_group", method=method))

    def by_id(found: sampler.Sampled, ids: list[str]) -> set[tuple[str, int, float]]:
        weights = found.weights or [0.0] * len(found.rows)
        return {(ids[row], copy, weight) for row, copy, weight in zip(found.rows, found.copies, weights, strict=True)}

    assert by_id(one, IDS) == by_id(other, [IDS[row] for row in order])
    if method != "weights":
        assert balance(IDS, LABELS, GROUPS, config(by="label_group", method=method, seed=1)).rows != one.rows


def test_a_weaker_undersampling_keeps_what_a_stronger_one_keeps() -> None:
    kept = [set(balance(IDS, LABELS, GROUPS, config(method="undersample", strength=s)).rows) for s in (0.2, 0.6, 1.0)]
    assert kept[0] > kept[1] > kept[2]


def test_weights_are_the_known_ones_and_their_mean_is_one() -> None:
    by_label = balance(IDS, LABELS, GROUPS, config(method="weights")).weights
    assert by_label is not None
    expected = dict(zip("xy", compute_class_weight("balanced", classes=np.array(["x", "y"]), y=LABELS), strict=True))
    assert by_label == pytest.approx([expected[label] for label in LABELS])
    # Kamiran & Calders 2012: P(label) P(group) / P(label, group).
    n, labels, groups, cells = len(IDS), Counter(LABELS), Counter(GROUPS), Counter(CELLS)
    reweighed = balance(IDS, LABELS, GROUPS, config(method="weights", by="label_group", target="independent")).weights
    assert reweighed == pytest.approx([labels[a] * groups[b] / (n * cells[a, b]) for a, b in CELLS])
    for by in ("label", "group", "label_group"):
        for strength in (0.0, 0.3, 1.0):
            weights = balance(IDS, LABELS, GROUPS, config(method="weights", by=by, strength=strength)).weights
            assert weights is not None
            assert sum(weights) / n == pytest.approx(1.0)
            assert (weights == pytest.approx([1.0] * n)) == (strength == 0.0)


def test_independent_resampling_makes_label_and_group_independent() -> None:
    for method in ("oversample", "undersample"):
        found = sizes("label_group", method, target="independent")
        ratio = {label: found[label, "a"] / found[label, "b"] for label in "xy"}
        assert ratio["x"] == pytest.approx(ratio["y"], rel=0.06)  # rows are whole


def test_cells_without_rows_are_told() -> None:
    found = balance(IDS[:96], LABELS[:96], GROUPS[:96], config(by="label_group"))
    assert found.record["cells_without_a_row"] == ["y / b"]


def test_what_cannot_be_balanced_is_refused() -> None:
    with pytest.raises(ConfigError, match="no column of groups"):
        balance(IDS, LABELS, None, config(by="group"))
    for labels in ([0.5] * len(IDS), [["x"]] * len(IDS)):
        with pytest.raises(ConfigError, match="needs one class for each text"):
            balance(IDS, labels, GROUPS, config())
    assert balance(IDS, [0.5] * len(IDS), GROUPS, config(by="group")).record["cells"]["b"] == {"rows": 54, "rows_out": 66}


def files(write: Any) -> Any:
    rows = [
        {"id": f"{split}{n}", "text": f"sentence {n} of {split}", "label": label, "group": group}
        for split, step in (("train", 1), ("validation", 5), ("test", 5))
        for n, (label, group) in enumerate(CELLS[::step])
    ]
    paths = {
        split: write(f"{split}.jsonl", [row for row in rows if row["id"].startswith(split)]) for split in ("train", "validation", "test")
    }
    return {split: str(path) for split, path in paths.items()}


def prepared(write: Any, sampling: Balanced | None, **changes: Any) -> Any:
    dataset = make_dataset("files", files=files(write), columns={"id": "id", "group": "group"}, **changes)
    return prepare(dataset, make_cleaner(), sampler=sampling, task_variant="sequence_classification")


def test_preparing_balances_train_alone_and_counts_it(write: Any) -> None:
    plain = prepared(write, None)
    found = prepared(write, config(by="label_group"))
    assert found.key != plain.key
    assert {split: rows for split, rows in found.manifest.rows.items() if split != "train"} == {"validation": 24, "test": 24}
    ids = found.load()["train"]["id"]
    assert len(ids) == len(set(ids)) == 240
    assert sum("#" in each for each in ids) == 120
    assert "train95#10" in ids or "train95#11" in ids
    entry = found.manifest.funnel[-1]
    assert (entry["step"], entry["split"], entry["rows_in"], entry["rows_out"]) == ("sampler", "train", 120, 240)
    assert entry["reasons"] == {"copies added": 120}
    assert found.manifest.records["sampler"]["cells"]["y / a"] == {"rows": 6, "rows_out": 60}


def test_weights_are_a_column_and_without_them_the_content_is_what_it_was(write: Any) -> None:
    plain = prepared(write, None)
    found = prepared(write, config(method="weights"))
    table = found.load()["train"]
    assert table.column_names[-1] == "weight"
    assert "weight" not in found.load()["test"].column_names
    assert found.content_hash != plain.content_hash
    assert prepared(write, config(method="weights", strength=0.0)).load()["train"]["weight"][:] == pytest.approx([1.0] * 120)
    hashes = {split: digest for split, digest in found.manifest.hashes.items() if split != "train"}
    assert hashes.items() <= plain.manifest.hashes.items()


def test_rows_left_out_are_among_the_dropped(write: Any) -> None:
    found = prepared(write, config(method="undersample"))
    dropped = parquet.read_table(found.directory / "dropped.parquet").to_pylist()
    assert len(dropped) == 60
    assert {(row["step"], row["reason"], row["label"]) for row in dropped} == {("sampler", "left out for balance", "x")}
    assert not {row["id"] for row in dropped} & set(found.load()["train"]["id"])


def test_a_prepared_folder_can_be_balanced_once_and_not_cut_afterwards(write: Any) -> None:
    plain = prepared(write, None)

    def reuse(directory: Any, sampling: Balanced | None = None, **limit: int) -> Any:
        dataset = make_dataset("prepared", path=str(directory), limit=limit)
        return prepare(dataset, make_cleaner(), sampler=sampling, task_variant="sequence_classification")

    found = reuse(plain.directory, config(by="group"))
    assert found.manifest.rows["train"] == 132
    with pytest.raises(ConfigError, match="have been balanced before: sampler"):
        reuse(found.directory, config())
    with pytest.raises(ConfigError, match="a part of rows that were balanced"):
        reuse(found.directory, train=50)
    assert reuse(found.directory, test=5).manifest.rows == {"train": 132, "validation": 24, "test": 5}


def test_weights_twice_and_labels_that_are_no_classes_are_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["sampler.method=weights", "loss.class_weights=balanced"], "weighs the loss twice"),
        (["dataset.target=rating", "task=regression", "loss=mse"], "needs one class for each text"),
        (["sampler.target=independent"], "sampler.by=label_group"),
    ):
        assert cli.main(["train", "model=tiny", "logger=none", "sampler=balanced", *words]) == 2
        assert message in capsys.readouterr().err


def test_copies_do_not_count_as_rows_that_were_collected(write: Any, tmp_path: Any, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"dataset.files.{split}={path}" for split, path in files(write).items()]
    words = ["prepare", "dataset=files", *words, "dataset.columns.id=id", "sampler=balanced", "--output=mine"]
    assert cli.main([*words, "dataset.require.rows=121"]) == 2
    assert "train has 120 rows" in capsys.readouterr().err
    assert cli.main([*words, "dataset.require.rows=120", "dataset.require.min_label_share=0.5"]) == 0
    facts = json.loads((tmp_path / "mine" / "data.json").read_text())
    assert (facts["rows"]["train"], facts["train_rows_before_balancing"]) == (180, 120)


def test_the_default_is_none() -> None:
    assert sampler.build(compose([]).config.sampler) is None
    assert json.dumps(compose(["sampler=balanced"]).config.sampler.__dict__) == json.dumps(config().__dict__)
