"""Several labels in one cell are not taken for one class with a long name."""

from __future__ import annotations

from typing import Any

import pytest

from finecomb.core.errors import ConfigError


def labeled(names: list[str], count: int = 120) -> list[dict[str, Any]]:
    return [{"text": f"sentence number {n}", "label": names[n % len(names)]} for n in range(count)]


@pytest.mark.parametrize(
    ("names", "separator"),
    [
        (["long;neg", "short;neg", "long;pos", "short;pos"], ";"),
        (["sports", "politics", "sports|politics"], "|"),
        (["anger, joy", "joy", "anger", "joy, fear", "fear"], ","),
        ([*["a"] * 8, *["b"] * 8, "a;b"], ";"),
    ],
)
def test_several_labels_in_a_cell_are_an_error_that_names_the_separator(
    prepared: Any, write: Any, names: list[str], separator: str
) -> None:
    path = write("a.jsonl", labeled(names))
    with pytest.raises(ConfigError, match="several labels in one cell") as caught:
        prepared(path)
    (problem,) = caught.value.problems
    assert f"task.multi_label=true dataset.label_separator='{separator}'" in problem.hint
    assert "dataset.label_names" in problem.hint
    found = prepared(path, label_names=sorted(set(names)))
    assert found.label_names == sorted(set(names))


@pytest.mark.parametrize(
    "names",
    [
        ["Paris, France", "Lyon, France", "Rome, Italy"],
        ["1,5", "2,5", "3,0"],
        ["yes", "no", "don't know; no answer"],
        ["arts & entertainment", "food, drink and travel", "home|garden"],
        [*["a"] * 20, *["b"] * 20, "a;b"],
    ],
)
def test_single_labels_with_a_separator_in_them_are_let_through(prepared: Any, write: Any, names: list[str]) -> None:
    assert set(prepared(write("a.jsonl", labeled(names))).label_names) == set(names)


def test_many_fractions_where_classes_are_expected_are_an_error_that_names_regression(prepared: Any, write: Any) -> None:
    names = [str(n / 4) for n in range(12)]
    path = write("a.jsonl", labeled(names))
    with pytest.raises(ConfigError, match=r"12 different numbers, from 0 to 2\.75") as caught:
        prepared(path)
    assert "task=regression" in caught.value.problems[0].hint
    assert prepared(path, label_names=names).label_names == names


@pytest.mark.parametrize("names", [[str(n) for n in range(40)], ["0.5", "1", "1.5", "2"], [*(str(n / 4) for n in range(12)), "none"]])
def test_numbers_that_may_be_classes_are_let_through(prepared: Any, write: Any, names: list[str]) -> None:
    assert set(prepared(write("a.jsonl", labeled(names, 400))).label_names) == set(names)
