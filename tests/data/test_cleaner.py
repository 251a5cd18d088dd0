"""Cleaning: every row is accounted for with its reason, ids stay, test wins over train."""

import numpy as np
import pytest
from data_configs import clean, make_cleaner

from finecomb.config.schema.cleaner import Cleaner
from finecomb.core.errors import ConfigError
from finecomb.data import cleaner
from finecomb.data.cleaner.recipe import Recipe
from finecomb.data.cleaner.stage import EXAMPLES
from finecomb.data.cleaner.step import CorpusStep, Decision
from finecomb.data.dataset.rows import Rows


def make(texts, pairs=None, labels=None):
    count = len(texts)
    return Rows([str(n) for n in range(count)], texts, pairs, labels or ["x"] * count, None, range(1, count + 1), "file")


def run(splits, **steps):
    return clean(cleaner.build(make_cleaner(**steps)), splits)


def reasons(cleaned, step, split="train"):
    return next(entry["reasons"] for entry in cleaned.funnel if (entry["step"], entry["split"]) == (step, split))


def test_texts_are_brought_into_one_form():
    cleaned = run({"train": make(["cafe\u0301", " a\u00a0 b\n\tc ", "plain"])})
    assert cleaned.splits["train"].text == ["café", "a b c", "plain"]
    assert [entry["changed"] for entry in cleaned.funnel] == [1, 1, 0, 0]


def test_compatibility_forms_and_inner_white_space_are_choices():
    cleaned = run({"train": make(["ﬁne", " a  b "])}, unicode={"form": "NFKC"}, whitespace={"collapse": False})
    assert cleaned.splits["train"].text == ["fine", "a  b"]
    assert run({"train": make(["ﬁne"])}).splits["train"].text == ["ﬁne"]


def test_empty_rows_go_with_either_text_of_a_pair():
    cleaned = run({"train": make(["a", "", "b", "  "], ["x", "y", "\u2003", "z"])})
    assert cleaned.splits["train"].id == ["0"]
    assert reasons(cleaned, "empty") == {"fewer than 1 characters": 2, "fewer than 1 characters (text_pair)": 1}


def test_the_first_duplicate_stays_and_another_label_is_told():
    cleaned = run({"train": make(["a", "a ", "b", "a"], labels=["x", "x", "x", "y"])})
    assert cleaned.splits["train"].id == ["0", "2"]
    assert reasons(cleaned, "duplicates") == {"duplicate": 1, "duplicate with another label": 1}


def test_pairs_are_duplicates_as_pairs():
    assert len(run({"train": make(["a", "a", "a"], ["x", "y", "x"])}).splits["train"]) == 2


def test_test_wins_then_validation():
    splits = {"train": make(["a", "b", "c"]), "validation": make(["a", "b"]), "test": make(["a", "d"])}
    cleaned = run(splits)
    assert {name: rows.text for name, rows in cleaned.splits.items()} == {"train": ["c"], "validation": ["b"], "test": ["a", "d"]}
    assert reasons(cleaned, "duplicates") == {"duplicate of a row in test": 1, "duplicate of a row in validation": 1}
    apart = run(splits, duplicates={"across": False})
    assert apart.splits["train"].text == ["a", "b", "c"]


def test_every_row_is_accounted_for_in_each_step_and_split():
    texts = [["", " a ", "a", "b", "cafe\u0301", "b"] * 3, ["a", "q"], ["z"]]
    cleaned = run(dict(zip(("train", "validation", "test"), map(make, texts), strict=True)))
    for entry in cleaned.funnel:
        assert entry["rows_in"] - entry["rows_out"] == sum(entry["reasons"].values())
    for split in cleaned.splits:
        entries = [entry for entry in cleaned.funnel if entry["split"] == split]
        assert [entry["rows_in"] for entry in entries[1:]] == [entry["rows_out"] for entry in entries[:-1]]
        assert entries[-1]["rows_out"] == len(cleaned.splits[split])


def test_examples_of_each_reason_are_few_and_do_not_depend_on_batches(monkeypatch):
    rows = make([f"text {n % 3000}" + " " * (n % 2) for n in range(20_007)])
    first = run({"train": rows})
    monkeypatch.setattr("finecomb.data.shards.SHARD_ROWS", 1300)
    second = run({"train": rows})
    assert (first.funnel, first.examples) == (second.funnel, second.examples)
    assert first.splits["train"].text == second.splits["train"].text
    kept = [example for example in first.examples if example["reason"] == "duplicate"]
    assert len(kept) == EXAMPLES
    assert all(example["after"] is None for example in kept)
    changed = next(example for example in first.examples if example["reason"] == "changed")
    assert changed["before"] != changed["after"]


def test_none_keeps_everything():
    rows = make(["", "a", "a"])
    cleaned = clean(cleaner.build(make_cleaner("none")), {"train": rows})
    assert cleaned.splits["train"].sha256() == rows.sha256()
    assert cleaned.funnel == []


def test_a_step_may_come_twice_and_be_removed():
    recipe = cleaner.build(
        Cleaner("mine", {"a": {"step": "empty", "min_characters": 1}, "b": {"step": "empty", "min_characters": 3}, "unicode": None}, False)
    )
    assert [name for name, _ in recipe.steps] == ["a", "b"]
    assert clean(recipe, {"train": make(["", "ab", "abc"])}).splits["train"].text == ["abc"]


class KeepLongest(CorpusStep):
    """A step of one's own that compares all rows."""

    def sketch(self, batch):
        return {"lengths": np.array([len(text) for text in batch.text])}

    def plan(self, sketches, corpus):
        lengths = np.concatenate([each.facts["lengths"] for each in sketches])
        assert [len(corpus.text(row)) for row in range(len(lengths))] == lengths.tolist()
        return {"longest": int(lengths.argmax())}

    def carry_out(self, batch, state):
        return Decision({row: "not the longest" for row in range(len(batch)) if row + batch.start != state["longest"]})


def test_a_step_of_ones_own_may_see_the_whole_corpus(monkeypatch):
    monkeypatch.setattr("finecomb.data.shards.SHARD_ROWS", 2)
    given = {"train": make(["a", "bbb", "cc", "dddd", "e"]), "test": make(["x", "yy"])}
    cleaned = clean(Recipe((("longest", KeepLongest),), ()), given)
    assert {name: list(rows.text) for name, rows in cleaned.splits.items()} == {"train": ["dddd"], "test": []}
    assert reasons(cleaned, "longest", "test") == {"not the longest": 2}
    assert reasons(cleaned, "longest") == {"not the longest": 4}


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"unicod": {"form": "NFC"}}, "did you mean unicode"),
        ({"empty": {"min_character": 1}}, "did you mean min_characters"),
        ({"empty": {}}, "missing value"),
    ],
)
def test_a_misspelt_step_is_told(steps, said):
    with pytest.raises(ConfigError) as caught:
        cleaner.build(Cleaner("mine", steps, False))
    assert said in caught.value.problems[0].hint + caught.value.problems[0].what
