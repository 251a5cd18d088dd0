"""Splits: seeded by the data's own seed, stratified, grouped, steady when other rows come and go, nested limits."""

from collections import Counter

import pytest
from data_configs import make_cleaner, rows

LABELS = ("a", "a", "a", "a", "a", "b", "b", "b", "c", "c")


def ids(found):
    return {name: list(table["id"]) for name, table in found.load().items()}


def test_what_is_given_decides_what_is_carved(prepared, write):
    train, validation, test = (write(f"{name}.jsonl", rows(100, start=start)) for name, start in (("a", 0), ("b", 100), ("c", 200)))
    sizes = lambda **given: prepared(train, **given).manifest.rows  # noqa: E731
    assert sizes() == {"train": 80, "validation": 10, "test": 10}
    assert sizes(test=test) == {"train": 90, "validation": 10, "test": 100}
    assert sizes(validation=validation) == {"train": 100, "validation": 100}
    assert sizes(validation=validation, test=test) == {"train": 100, "validation": 100, "test": 100}
    assert sizes(split={"test": 0.0}) == {"train": 90, "validation": 10}
    assert sizes(split={"test": 0.3, "validation": 0.2}) == {"train": 50, "validation": 20, "test": 30}


def test_every_split_has_the_shares_of_the_labels(prepared, write):
    counts = prepared(write("a.jsonl", rows(1000, LABELS))).manifest.label_counts
    assert counts == {
        "train": {"a": 400, "b": 240, "c": 160},
        "validation": {"a": 50, "b": 30, "c": 20},
        "test": {"a": 50, "b": 30, "c": 20},
    }


def test_a_rare_label_stays_in_train(prepared, write):
    counts = prepared(write("a.jsonl", [*rows(99), {"text": "the only one", "label": "rare"}])).manifest.label_counts
    assert [counts[split]["rare"] for split in ("train", "validation", "test")] == [1, 0, 0]


def test_numbers_are_stratified_by_size(prepared, write):
    items = [{"text": f"text {n}", "label": n} for n in range(200)]
    test = prepared(write("a.jsonl", items), task="regression").load()["test"]
    assert Counter(int(label) // 20 for label in test["label"]) == dict.fromkeys(range(10), 2)


def test_the_seed_of_the_split_decides_and_nothing_else(prepared, write):
    path = write("a.jsonl", rows(200))
    first = ids(prepared(path))
    assert ids(prepared(path)) == first
    assert ids(prepared(path, split={"seed": 1})) != first


def test_a_row_keeps_its_split_when_others_go(prepared, write):
    items = rows(300)
    before = ids(prepared(write("a.jsonl", items)))
    for item in items[50:60]:
        item["text"] = ""  # dropped by the cleaner; every id stays
    after = ids(prepared(write("a.jsonl", items)))
    moved = [name for split in after for name in after[split] if name not in before[split]]
    assert len(moved) <= 6
    assert sum(map(len, after.values())) == 290


def test_limits_are_nested_and_come_after_splitting(prepared, write):
    path = write("a.jsonl", rows(500))
    whole, more, less = (ids(prepared(path, limit={"train": limit, "test": 7})) for limit in (None, 200, 100))
    assert less["train"] == more["train"][:100] == whole["train"][:100]
    assert len(more["train"]) == 200
    assert less["validation"] == whole["validation"]
    assert len(less["test"]) == 7


def test_limited_rows_are_counted(prepared, write):
    funnel = prepared(write("a.jsonl", rows(500)), limit={"train": 100}).manifest.funnel
    assert funnel[-1] == {
        "step": "limit",
        "split": "train",
        "rows_in": 400,
        "rows_out": 100,
        "changed": 0,
        "reasons": {"beyond the limit": 300},
    }


@pytest.mark.parametrize("stratify", [True, False])
def test_groups_never_straddle_what_is_carved(prepared, write, stratify):
    items = [row | {"who": f"person {n // 7 % 60}"} for n, row in enumerate(rows(1000, LABELS))]
    found = prepared(write("a.jsonl", items), columns={"group": "who"}, split={"stratify": stratify})
    groups = {split: set(table["group"]) for split, table in found.load().items()}
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["validation"]
    assert not groups["validation"] & groups["test"]
    assert found.manifest.straddling_groups == 0
    assert 80 <= found.manifest.rows["test"] <= 120
    assert 80 <= found.manifest.rows["validation"] <= 120


def test_groups_that_straddle_given_files_are_counted(prepared, write):
    one, two = ([row | {"who": who} for row, who in zip(rows(20, start=start), "ab" * 10, strict=True)] for start in (0, 50))
    found = prepared(write("a.jsonl", one), validation=write("b.jsonl", two), columns={"group": "who"})
    assert found.manifest.straddling_groups == 2


def test_duplicates_never_straddle_carved_splits(prepared, write):
    items = [{"text": f"text {n % 150}", "label": "ab"[n % 2]} for n in range(600)]
    found = prepared(write("a.jsonl", items))
    texts = [text for table in found.load().values() for text in table["text"]]
    assert len(texts) == len(set(texts)) == 150
    assert prepared(write("a.jsonl", items), cleaner=make_cleaner("none")).manifest.rows["train"] == 480
