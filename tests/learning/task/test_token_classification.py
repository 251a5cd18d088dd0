"""Tags of tokens: entities as seqeval finds them, sub-words and tokens, what truncation costs, and what a user gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from finecomb.config.schema.task import TokenClassification as Schema
from finecomb.learning import task as tasks
from finecomb.learning.model.tokenizer import tiny_tokenizer
from finecomb.learning.task.token_classification import LOST, TOKEN, TokenClassification
from finecomb.runs import entities

NAMES = ["O", "B-A", "I-A", "B-B", "I-B"]
CASES = json.loads((Path(__file__).parent / "seqeval_cases.json").read_text())


def make(names: list[str] = NAMES, subwords: str = "first") -> TokenClassification:
    made = tasks.build(Schema(name="token_classification", subwords=subwords), label_kind="tags", label_names=names)
    assert isinstance(made, TokenClassification)
    return made


def kept(task: TokenClassification, answers: list[list[str]]) -> torch.Tensor:
    """What evaluation would keep of these answers."""
    width = task.width(max(map(len, answers)))
    numbers = [[0.0, 1.0, *(task.names.index(tag) + 1 for tag in tags)] for tags in answers]
    return torch.tensor([row + [0.0] * (width - len(row)) for row in numbers], dtype=torch.float64)


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_those_of_seqeval(case: dict[str, Any]) -> None:
    task = make()
    examples = {"label": [[NAMES.index(tag) for tag in tags] for tags in case["truth"]]}
    metrics = task.metrics(kept(task, case["answer"]), examples)
    for name, value in case["values"].items():
        assert metrics[name] == pytest.approx(value, abs=1e-9), name


def test_an_entity_that_does_not_begin_is_one_by_the_default_rules_alone() -> None:
    tags = ["I-A", "I-A", "O", "B-A", "I-B"]
    assert entities.strict(tags) == {("A", 3, 4)}
    assert entities.lenient(tags) == {("A", 0, 2), ("A", 3, 4), ("B", 4, 5)}


def test_each_sub_word_knows_its_token_in_every_tokenizer() -> None:
    text = "a good film-plot , the best !"
    for family in ("bert", "roberta", "gpt2", "xlnet", "deberta-v2", "llama"):
        tokenizer = tiny_tokenizer(family)
        [numbers] = make().encode(tokenizer, {"text": [text]}, 64)[TOKEN]
        ids = tokenizer(text)["input_ids"]
        assert len(numbers) == len(ids)
        assert set(numbers) - {0} == set(range(1, 8)), family
        assert [number for number in numbers if number] == sorted(number for number in numbers if number), family


def test_tokens_that_truncation_cuts_are_counted_and_count_as_missed() -> None:
    task, tokenizer = make(), tiny_tokenizer("bert")
    encoded = task.encode(tokenizer, {"text": ["a good film the best plot", "a"]}, 5)
    assert encoded[LOST] == [[3], [0]]
    examples = {"label": [[0, 1, 0, 0, 3, 4], [0]], "text": ["a good film the best plot", "a"]}
    table = task.table(kept(task, [["O", "B-A", "O"], ["O"]]), examples)
    assert table["prediction"] == [["O", "B-A", "O", "O", "O", "O"], ["O"]]
    assert table["sum.labeled"] == [2.0, 0.0]
    assert table["sum.hit"] == [1.0, 0.0]
    assert table["correct"] == [False, True]


def test_the_loss_judges_the_first_sub_words_or_all() -> None:
    tokenizer, text = tiny_tokenizer("bert"), "storyplot good"
    for subwords, judged in (("first", 2), ("all", len(tokenizer(text)["input_ids"]) - 2)):
        task = make(subwords=subwords)
        encoded = task.encode(tokenizer, {"text": [text]}, 16)
        features = [{name: values[0] for name, values in encoded.items()}]
        batch = task.collate(tokenizer, features, [[1, 0]])
        assert len(task.item_targets(batch)) == judged
    assert judged > 2


def test_tags_without_a_scheme_are_units_by_themselves() -> None:
    task = make(["NN", "VB"])
    metrics = task.metrics(kept(task, [["NN", "VB", "NN"]]), {"label": [[0, 1, 1]]})
    assert metrics["token_accuracy"] == metrics["entity_f1"] == pytest.approx(2 / 3)
    assert metrics["entity_f1@type=VB"] == pytest.approx(2 / 3)


def test_an_answer_gives_entities_with_their_characters() -> None:
    task = make()
    [answer] = task.answers(kept(task, [["O", "B-A", "I-A", "O", "B-B"]]), {"text": ["in New York with Ann"]})
    assert answer["entities"] == [
        {"type": "A", "text": "New York", "start": 3, "end": 11},
        {"type": "B", "text": "Ann", "start": 17, "end": 20},
    ]
    assert "in New York with Ann"[3:11] == "New York"


def test_any_white_space_separates_tokens_and_characters_are_those_of_the_text_as_given() -> None:
    text, tokenizer = " in\tNew  York\nwith Ann ", tiny_tokenizer("bert")
    [numbers] = make().encode(tokenizer, {"text": [text]}, 64)[TOKEN]
    [plain] = make().encode(tokenizer, {"text": [" ".join(text.split())]}, 64)[TOKEN]
    assert numbers == plain
    task = make()
    [answer] = task.answers(kept(task, [["O", "B-A", "I-A", "O", "B-B"]]), {"text": [text]})
    assert answer["tokens"] == ["in", "New", "York", "with", "Ann"]
    assert [text[each["start"] : each["end"]] for each in answer["entities"]] == ["New  York", "Ann"]
