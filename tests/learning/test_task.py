from __future__ import annotations

from typing import Any

import pytest
import torch

from finecomb.config.schema import task as schema
from finecomb.config.schema.model import CLASSIFIERS
from finecomb.learning import task

REGRESSION = task.build(schema.Regression(name="regression"), label_kind="number", label_names=None)
LONG = "the worst film i have ever seen"


def test_a_text_is_cut_at_max_length_and_what_is_cut_is_counted(make: Any) -> None:
    tokenizer = make.backbone("bert").tokenizer
    encoded = make.task().encode(tokenizer, {"text": ["fun", LONG]}, 6)
    whole = tokenizer([LONG])["input_ids"][0]
    assert [len(ids) for ids in encoded["input_ids"]] == [len(tokenizer("fun")["input_ids"]), 6]
    assert encoded["truncated"] == [0, len(whole) - 6]
    assert encoded["input_ids"][1][-1] == tokenizer.sep_token_id
    assert set(encoded) == {"input_ids", "token_type_ids", "attention_mask", "truncated"}


def test_of_a_pair_the_longer_text_is_cut_first(make: Any) -> None:
    tokenizer = make.backbone("bert").tokenizer
    encoded = make.task().encode(tokenizer, {"text": [LONG, "fun"], "text_pair": ["great", "great"]}, 9)
    kept = tokenizer.decode(encoded["input_ids"][0])
    assert "great" in kept
    assert len(encoded["input_ids"][0]) == 9
    assert encoded["truncated"] == [len(tokenizer(LONG, "great")["input_ids"]) - 9, 0]
    assert sorted(set(encoded["token_type_ids"][1])) == [0, 1]


def _longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths after the longer of two texts has lost its last token, again and again, until both fit; of equal ones the second."""
    while first + second > room:
        first, second = (first - 1, second) if first > second else (first, second - 1)
    return first, second


@pytest.mark.parametrize("model_type", ["bert", "roberta", "gpt2"])
@pytest.mark.parametrize(("first", "second"), [(20, 12), (12, 20), (30, 4), (4, 30), (16, 16), (13, 12)])
def test_of_a_pair_whose_texts_are_both_long_each_keeps_its_share(make: Any, model_type: str, first: int, second: int) -> None:
    tokenizer, room = make.backbone(model_type).tokenizer, 16
    max_length = room + tokenizer.num_special_tokens_to_add(pair=True)
    encoded = make.task().encode(tokenizer, {"text": [" ".join(["good"] * first)], "text_pair": [" ".join(["film"] * second)]}, max_length)
    tokens = tokenizer.convert_ids_to_tokens(encoded["input_ids"][0])
    kept = tokens.count("good"), tokens.count("film")
    assert kept == _longest_first(first, second, room)
    assert encoded["truncated"] == [first + second - room]


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_an_empty_text_has_a_token_to_read(make: Any, model_type: str) -> None:
    tokenizer = make.backbone(model_type).tokenizer
    rows = make.rows(tokenizer, ["", "a good movie"])
    assert len(rows[0]["input_ids"]) >= 1
    assert rows[0]["attention_mask"] == [1] * len(rows[0]["input_ids"])


@pytest.mark.parametrize("model_type", CLASSIFIERS)
def test_only_what_the_architecture_reads_is_encoded(make: Any, model_type: str) -> None:
    rows = make.rows(make.backbone(model_type).tokenizer)
    assert ("token_type_ids" in rows[0]) is (model_type in ("bert", "electra", "xlnet"))


def test_a_batch_is_padded_to_its_longest_on_the_tokenizers_side(make: Any) -> None:
    for model_type, column in (("bert", -1), ("xlnet", 0)):
        tokenizer = make.backbone(model_type).tokenizer
        rows = make.rows(tokenizer)
        batch = make.task().collate(tokenizer, rows, [2, 0, 1])
        assert batch.inputs["input_ids"].shape == (3, max(len(row["input_ids"]) for row in rows))
        assert batch.inputs["input_ids"][2, column] == tokenizer.pad_token_id
        assert batch.inputs["attention_mask"].sum(1).tolist() == [len(row["input_ids"]) for row in rows]
        assert batch.targets.tolist() == [2, 0, 1]
        assert batch.index.tolist() == [0, 1, 2]


def test_rows_keep_their_index(make: Any) -> None:
    tokenizer = make.backbone("bert").tokenizer
    rows = [{**row, "index": index} for row, index in zip(make.rows(tokenizer), (9, 4, 7), strict=True)]
    batch = make.task().collate(tokenizer, rows, None)
    assert batch.index.tolist() == [9, 4, 7]
    assert batch.index.dtype == torch.int64
    assert batch.targets is None
    assert len(batch.to("cpu")) == 3


def test_targets(make: Any) -> None:
    single = make.task().targets([2, 0])
    assert (single.tolist(), single.dtype) == ([2, 0], torch.int64)
    several = make.task(multi_label=True).targets([[0, 2], []])
    assert (several.tolist(), several.dtype) == ([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]], torch.float32)
    numbers = REGRESSION.targets([1, 2.5])
    assert (numbers.tolist(), numbers.dtype, numbers.shape) == ([1.0, 2.5], torch.float32, (2,))


def test_decode(make: Any) -> None:
    row = make.task().decode(torch.tensor([[0.0, 2.0, 1.0]]))[0]
    assert (row["label"], row["index"]) == ("fair", 1)
    assert sum(row["probabilities"]) == pytest.approx(1.0)
    row = make.task(multi_label=True, threshold=0.6).decode(torch.tensor([[3.0, 0.1, 0.5]]))[0]
    assert (row["label"], row["index"]) == (["bad", "good"], [0, 2])
    assert REGRESSION.decode(torch.tensor([[1.5], [2.0]])) == [{"value": 1.5}, {"value": 2.0}]


def test_outputs_and_problem_types(make: Any) -> None:
    assert (make.task().num_outputs, make.task().problem_type) == (3, "single_label_classification")
    assert make.task(multi_label=True).problem_type == "multi_label_classification"
    assert (REGRESSION.num_outputs, REGRESSION.problem_type, REGRESSION.label_names) == (1, "regression", None)


def test_a_task_refuses_labels_that_it_cannot_use() -> None:
    with pytest.raises(ValueError, match="cannot use labels of kind class"):
        task.build(schema.Regression(name="regression"), label_kind="class", label_names=["a"])


def test_no_texts_make_empty_columns(make: Any) -> None:
    encoded = make.task().encode(make.backbone("bert").tokenizer, {"text": []}, 8)
    assert encoded == {"input_ids": [], "token_type_ids": [], "attention_mask": [], "truncated": []}
