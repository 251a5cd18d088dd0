"""Questions with answers that are parts of a context: from columns, and from SQuAD's nested files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from finecomb.core.errors import ConfigError
from finecomb.data.dataset.kinds.answers import canonical

CONTEXT = "Ada Lovelace wrote notes in 1843. Ada died in 1852."
QA = {"task": "question_answering"}


def squad(articles: int = 20, **changes: Any) -> dict[str, Any]:
    """A file of SQuAD's layout: two paragraphs an article, two questions a paragraph, of which the second has no answer."""
    data = []
    for article in range(articles):
        paragraphs = []
        for paragraph in range(2):
            context = f"Ada number {article}-{paragraph} lived in town {article}."
            answer = {"text": f"town {article}", "answer_start": context.index("town")}
            where = {"id": f"{article}-{paragraph}-a", "question": "Where?", "answers": [answer], "is_impossible": False}
            when = {
                "id": f"{article}-{paragraph}-b",
                "question": "When?",
                "answers": [],
                "is_impossible": True,
                "plausible_answers": [answer],
            }
            qas = [where, when]
            paragraphs.append({"context": context, "qas": qas})
        data.append({"title": f"Town {article}", "paragraphs": paragraphs})
    return {"version": "v2.0", "data": data, **changes}


def rows(count: int, **cells: Any) -> list[dict[str, Any]]:
    row = {"question": "Who?", "context": CONTEXT, "answers": {"text": ["Ada"], "answer_start": [0]}}
    return [row | {"context": f"{CONTEXT} Note {number}."} | cells for number in range(count)]


@pytest.mark.parametrize(
    ("cell", "texts", "starts"),
    [
        ({"text": ["Ada"], "answer_start": [34]}, ["Ada"], [34]),
        ({"text": ["1843", "in 1843"], "answer_start": [28, 25]}, ["1843", "in 1843"], [28, 25]),
        ('{"text": ["Ada"], "answer_start": [34]}', ["Ada"], [34]),
        ([{"text": "Ada", "answer_start": 34}, {"text": "1852", "answer_start": 46}], ["Ada", "1852"], [34, 46]),
        ({"text": "Ada", "answer_start": 34}, ["Ada"], [34]),
        ({"text": ["Ada"]}, ["Ada"], [0]),
        ("Ada", ["Ada"], [0]),
        (["1852", "Ada died"], ["1852", "Ada died"], [46, 34]),
        ('["1852"]', ["1852"], [46]),
        ({"text": [], "answer_start": []}, [], []),
        ([], [], []),
        ("[]", [], []),
    ],
)
def test_every_form_of_answers_becomes_the_same(cell: Any, texts: list[str], starts: list[int]) -> None:
    assert json.loads(canonical(CONTEXT, cell)) == {"text": texts, "answer_start": starts}


def test_a_text_that_looks_like_json_is_an_answer() -> None:
    assert json.loads(canonical("See [1] and {a}.", "[1]")) == {"text": ["[1]"], "answer_start": [4]}
    assert json.loads(canonical("See [1] and {a}.", "{a}")) == {"text": ["{a}"], "answer_start": [12]}


def test_offsets_count_characters_not_bytes() -> None:
    assert json.loads(canonical("é😀 b", {"text": ["b"], "answer_start": [3]})) == {"text": ["b"], "answer_start": [3]}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"text": ["Ada"], "answer_start": [35]}, r"'Ada' is not at character 35 of the context, where 'da ' is; it is at character 0"),
        ({"text": ["Bob"], "answer_start": [0]}, "it is nowhere in the context"),
        ({"text": ["Ada"], "answer_start": [-17]}, "is not at character -17"),
        ("Bob", "'Bob' is not in the context"),
        ({"text": ["Ada"], "answer_start": []}, "1 answers and 0 offsets"),
        ({"text": ["Ada"], "answer_start": ["0"]}, "not whole numbers"),
        ({"text": [1843], "answer_start": [28]}, "is not"),
        (1843, "is not"),
        ([" "], "an answer is empty"),
    ],
)
def test_answers_that_are_none_have_a_reason(cell: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical(CONTEXT, cell)


def test_squads_layout_is_read_with_its_ids_and_one_article_stays_in_one_split(prepared: Any, write: Any) -> None:
    path = write("train.json", json.dumps(squad()))
    found = prepared(path, **QA)
    splits = found.load()
    assert found.manifest.columns == ["id", "text", "text_pair", "label"]
    assert {identity for rows in splits.values() for identity in rows["id"]} == {
        f"{a}-{p}-{q}" for a in range(20) for p in (0, 1) for q in "ab"
    }
    articles = [{identity.split("-")[0] for identity in rows["id"]} for rows in splits.values()]
    assert sum(map(len, articles)) == 20
    row = next(row for row in splits["train"] if row["id"].endswith("a"))
    assert row["text"] == "Where?"
    answer = json.loads(row["label"])
    assert row["text_pair"][answer["answer_start"][0] :].startswith(answer["text"][0])
    none = next(row for row in splits["train"] if row["id"].endswith("b"))
    assert json.loads(none["label"]) == {"text": [], "answer_start": []}


def test_splits_have_equal_shares_of_questions_without_an_answer(prepared: Any, write: Any) -> None:
    cells = [{"answers": [] if number % 4 == 0 else "Ada"} for number in range(200)]
    found = prepared(write("a.jsonl", [row | cell for row, cell in zip(rows(200), cells, strict=True)]), **QA)
    for split in found.load().values():
        assert sum(not json.loads(label)["text"] for label in split["label"]) / len(split) == pytest.approx(0.25, abs=0.02)


def test_a_pretty_printed_file_with_other_keys_first_is_read_too(prepared: Any, write: Any) -> None:
    content = {"version": 1.1, "note": "made up", **squad(version=1.1)}
    assert sum(prepared(write("train.json", json.dumps(content, indent=2)), **QA).manifest.rows.values()) == 80


def test_questions_on_one_context_stay_in_one_split(prepared: Any, write: Any) -> None:
    several = [row | {"question": f"Who? {number}"} for row in rows(30) for number in range(4)]
    found = prepared(write("a.jsonl", several), **QA)
    contexts = [set(rows["text_pair"]) for rows in found.load().values()]
    assert sum(map(len, contexts)) == 30
    assert "group" not in found.manifest.columns


def test_a_named_column_of_groups_is_kept(prepared: Any, write: Any) -> None:
    several = [row | {"source": f"s{number // 10}"} for number, row in enumerate(rows(60))]
    found = prepared(write("a.jsonl", several), columns={"group": "source"}, **QA)
    assert "group" in found.manifest.columns


def test_two_files_with_the_same_ids_get_the_splits_name_in_front(prepared: Any, write: Any) -> None:
    found = prepared(write("train.json", json.dumps(squad())), write("dev.json", json.dumps(squad(3))), **QA)
    assert found.load()["validation"]["id"][0].startswith("validation:")


def test_answers_that_are_not_in_their_context_are_skipped_and_counted(prepared: Any, write: Any) -> None:
    table = rows(100)
    table[7]["answers"] = {"text": ["Ada"], "answer_start": [3]}
    found = prepared(write("a.jsonl", table), **QA)
    assert found.manifest.funnel[0]["reasons"] == {"an answer is not in its context": 1}
    assert sum(found.manifest.rows.values()) == 99


def test_too_many_of_them_are_one_error_with_file_line_and_hint(prepared: Any, write: Any) -> None:
    table = [row | ({"answers": "Bob"} if number % 2 else {}) for number, row in enumerate(rows(20))]
    with pytest.raises(ConfigError) as error:
        prepared(write("a.jsonl", table), **QA)
    [problem] = error.value.problems
    assert problem.what == "10 of 20 rows: the answer 'Bob' is not in the context"
    assert problem.where.startswith("a.jsonl, line 2, 4, 6")
    assert "counts characters of the context" in problem.hint


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"answers": None}, "the label is missing"),
        ({"context": 3}, "no text in the text column"),
        ({"question": None}, "no text in the text column"),
        ({"answers": 7}, "the label does not fit"),
    ],
)
def test_other_broken_rows_are_counted_with_their_reason(cells: dict[str, Any], reason: str, prepared: Any, write: Any) -> None:
    found = prepared(write("a.jsonl", [*rows(40), *rows(1, **cells)]), **QA)
    assert found.manifest.funnel[0]["reasons"] == {reason: 1}


def test_a_missing_column_is_named(prepared: Any, write: Any) -> None:
    with pytest.raises(ConfigError, match="no column 'context'") as error:
        prepared(write("a.jsonl", [{"question": "Who?", "passage": CONTEXT, "answers": "Ada"}] * 5), **QA)
    assert "dataset.columns.context=" in error.value.problems[0].hint


def test_a_question_that_is_no_object_is_counted(prepared: Any, write: Any) -> None:
    content = squad()
    content["data"][0]["paragraphs"][0]["qas"][1] = "When?"
    found = prepared(write("train.json", json.dumps(content)), **QA)
    assert sum(found.manifest.rows.values()) == 79
    assert found.manifest.funnel[0]["reasons"] == {"no JSON object": 1}


def test_steps_that_change_the_context_are_refused(prepared: Any, write: Any) -> None:
    with pytest.raises(ConfigError, match="labels of kind 'answers' point into the text"):
        prepared(write("a.jsonl", rows(30, context=f"  {CONTEXT}  twice  spaced ", answers="Ada")), **QA)
