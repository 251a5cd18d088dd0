"""Windows of questions and contexts, the tokens of answers, the best span of all windows, and the threshold of no answer."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from finecomb.config.schema.model import FAMILIES
from finecomb.core.errors import ConfigError
from finecomb.learning.loss import CrossEntropy, Focal
from finecomb.learning.model.tokenizer import prepare_tokenizer, tiny_tokenizer
from finecomb.learning.task.answer_windows import CLS, LENGTHS, NO_WINDOW, TOO_LONG
from finecomb.learning.task.no_answer import best_threshold
from finecomb.learning.task.question_answering import THRESHOLD, QuestionAnswering

WORDS = "the movie was good and story of scene in time never boring acting plot xyzzy, (1999)".split()  # noqa: SIM905
ARCHITECTURES = ["bert", "roberta", "xlnet", "deberta-v2", "modernbert"]


def tokenizer_of(architecture: str) -> Any:
    tokenizer = tiny_tokenizer(architecture)
    typed = architecture in ("bert", "electra")
    config = type("Config", (), {"model_type": architecture, "type_vocab_size": 2 if typed else 0})
    prepare_tokenizer(tokenizer, FAMILIES[architecture], config)
    return tokenizer


def task_of(**settings: Any) -> QuestionAnswering:
    return QuestionAnswering(**{"stride": 4, "max_answer_length": 6, "no_answer": False, **settings})


def columns_of(*rows: tuple[str, str, list[str]]) -> dict[str, list[str]]:
    """Questions, contexts and answers at their first occurrence."""
    labels = [json.dumps({"text": texts, "answer_start": [context.index(text) for text in texts]}) for _, context, texts in rows]
    return {"text": [row[0] for row in rows], "text_pair": [row[1] for row in rows], "label": labels}


def some(draw: random.Random, low: int, high: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(low, high)))


def made(count: int, seed: int = 0) -> dict[str, list[str]]:
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        context = some(draw, 3, 40)
        begin = draw.randrange(len(context))
        end = min(len(context), begin + draw.randint(1, 25))
        answer = context[begin:end]
        rows.append((some(draw, 1, 5), context, [answer] if answer.strip() else []))
    return columns_of(*rows)


def features_of(encoded: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [{name: column[row] for name, column in encoded.items()} for row in range(len(encoded["input_ids"]))]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_windows_hold_the_whole_context_and_the_whole_question(architecture: str) -> None:
    tokenizer, columns = tokenizer_of(architecture), made(40)
    encoded = task_of().encode(tokenizer, columns, 32)
    several = 0
    for row, feature in enumerate(features_of(encoded)):
        question, context = columns["text"][row], columns["text_pair"][row]
        whole = tokenizer(question, add_special_tokens=False)["input_ids"]
        expected = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)
        batch = task_of().collate(tokenizer, [feature], None)
        lengths, tokens = feature[LENGTHS], []
        assert sum(lengths) == len(feature["input_ids"])
        assert max(lengths) <= 32
        several += len(lengths) > 1
        at = 0
        for window, length in enumerate(lengths):
            ids, spans = feature["input_ids"][at : at + length], batch.extra["spans"][window]
            inside = [place for place in range(length) if spans[place, 0] >= 0]
            tokens += [(ids[place], tuple(spans[place].tolist())) for place in inside[4 if window else 0 :]]
            assert ids[feature[CLS][window]] == tokenizer.cls_token_id
            outside = [each for each in ids[: inside[0]] + ids[inside[-1] + 1 :] if each not in tokenizer.all_special_ids]
            assert outside == whole
            at += length
        assert tokens == list(zip(expected["input_ids"], expected["offset_mapping"], strict=True))
    assert several > 5
    assert sum(encoded["truncated"]) == 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_targets_cover_the_answer_where_a_window_holds_all_of_it(architecture: str) -> None:
    tokenizer, columns = tokenizer_of(architecture), made(60, seed=1)
    task = task_of()
    encoded = task.encode(tokenizer, columns, 32)
    batch = task.collate(tokenizer, features_of(encoded), None)
    held = set()
    for window, (first, last) in enumerate(batch.targets.tolist()):
        row = int(batch.extra["example"][window])
        context, answer = columns["text_pair"][row], json.loads(columns["label"][row])
        spans = [tuple(span) for span in batch.extra["spans"][window].tolist() if span[0] >= 0]
        text = answer["text"][0] if answer["text"] else ""
        begin = answer["answer_start"][0] + len(text) - len(text.lstrip()) if text else -1
        end = begin + len(text.strip())
        inside = bool(text) and spans[0][0] <= begin and any(start <= begin < stop for start, stop in spans) and spans[-1][1] >= end
        if first == batch.extra[CLS][window]:
            assert last == first
            assert not inside
            continue
        assert inside
        held.add(row)
        start, stop = int(batch.extra["spans"][window, first, 0]), int(batch.extra["spans"][window, last, 1])
        assert start <= begin
        assert stop >= end
        assert context[start:stop].count(" ") == context[begin:end].count(" ")  # whole words of the answer, and no more
    for row, (missed, label) in enumerate(zip(encoded[NO_WINDOW], columns["label"], strict=True)):
        assert missed == [int(bool(json.loads(label)["text"]) and row not in held)]
    assert len(held) > 30


def test_answers_that_no_window_holds_or_that_are_too_long_are_counted() -> None:
    tokenizer, context = tokenizer_of("bert"), " ".join(["movie"] * 40)
    columns = columns_of(
        ("what", context, [context[: 6 * 30 - 1]]), ("what", context, [context[: 6 * 8 - 1]]), ("what", context, ["movie"])
    )
    encoded = task_of().encode(tokenizer, columns, 24)
    assert encoded[NO_WINDOW] == [[1], [0], [0]]
    assert encoded[TOO_LONG] == [[1], [1], [0]]


def test_a_question_is_cut_only_where_no_room_is_left_and_the_cut_is_counted() -> None:
    tokenizer = tokenizer_of("bert")
    long = " ".join(["good"] * 30)
    encoded = task_of().encode(tokenizer, columns_of((long, "a movie of the time", ["movie"]), ("what", "a movie", ["movie"])), 20)
    assert encoded["truncated"] == [30 - (20 - 3 - 4 - 1), 0]
    assert max(encoded[LENGTHS][0]) == 20
    assert encoded[NO_WINDOW] == [[0], [0]]
    with pytest.raises(ConfigError, match=r"task\.stride=17"):
        task_of(stride=17).encode(tokenizer, columns_of(("what", "a movie", ["movie"])), 20)


def test_a_cut_word_that_falls_into_more_pieces_still_fits() -> None:
    tokenizer = tokenizer_of("bert")
    encoded = task_of().encode(tokenizer, columns_of(("good " * 11 + "movie story", "a plot", ["plot"])), 20)
    assert max(encoded[LENGTHS][0]) <= 20
    assert encoded["truncated"][0] >= 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("loss", [CrossEntropy(0.0, None), Focal(2.0)])
def test_the_best_span_is_that_of_an_exhaustive_search(architecture: str, loss: Any) -> None:
    tokenizer, columns = tokenizer_of(architecture), made(25, seed=2)
    columns["text_pair"][3], columns["label"][3] = "", json.dumps({"text": [], "answer_start": []})
    task = task_of()
    batch = task.collate(tokenizer, features_of(task.encode(tokenizer, columns, 32)), None)
    outputs = torch.randn(*batch.inputs["input_ids"].shape, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
    kept = task.reduce(outputs, batch, loss)
    best: dict[int, tuple[float, int, int]] = {}
    null: dict[int, float] = {}
    for window, row in enumerate(batch.extra["example"].tolist()):
        spans, cls = batch.extra["spans"][window].tolist(), int(batch.extra[CLS][window])
        open_ = [at for at, span in enumerate(spans) if span[0] >= 0 or at == cls]
        log_p = outputs[window, open_].log_softmax(0)
        places = {at: number for number, at in enumerate(open_)}
        null[row] = min(null.get(row, math.inf), float(log_p[places[cls]].sum()))
        for start in (at for at in open_ if at != cls):
            for end in (at for at in open_ if at != cls and start <= at < start + 6):
                score = float(log_p[places[start], 0] + log_p[places[end], 1])
                best[row] = max(best.get(row, (-math.inf, 0, 0)), (score, spans[start][0], spans[end][1]))
    for row, (_, _, score, none, start, end) in enumerate(kept.tolist()):
        if row == 3:
            assert (score, start, end) == (-1e9, 0, 0)
        else:
            assert (score, start, end) == pytest.approx(best[row], abs=1e-9)
        assert none == pytest.approx(null[row], abs=1e-9)
    assert torch.equal(kept[:, 1], 2 * torch.bincount(batch.extra["example"]).double())


def test_questions_and_padding_take_no_part() -> None:
    tokenizer, columns = tokenizer_of("bert"), made(8, seed=3)
    task = task_of()
    batch = task.collate(tokenizer, features_of(task.encode(tokenizer, columns, 32)), None)
    outputs = torch.randn(*batch.inputs["input_ids"].shape, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    closed = batch.extra["spans"][..., 0] < 0
    closed[torch.arange(len(closed)), batch.extra[CLS]] = False
    changed = torch.where(closed[..., None], torch.full_like(outputs, 1e4), outputs)
    loss = CrossEntropy(0.0, None)
    assert torch.equal(task.reduce(outputs, batch, loss), task.reduce(changed, batch, loss))
    changed.requires_grad_()
    items = task.items(changed, batch)
    loss(items.logits, items.targets)[0].sum().backward()
    assert not changed.grad[closed].any()
    assert changed.grad.isfinite().all()


def test_the_answer_begins_behind_the_space_that_a_token_includes() -> None:
    """SentencePiece's tokens count the space before a word to the word."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "▁who": 4, "▁a": 5, "▁good": 6, "▁cat": 7}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    roles = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, **roles)
    prepare_tokenizer(tokenizer, FAMILIES["bert"], type("Config", (), {"model_type": "bert", "type_vocab_size": 1}))
    assert tokenizer("a cat", return_offsets_mapping=True)["offset_mapping"][2] == (1, 5)
    task, columns = task_of(), columns_of(("who", "a good cat", ["good"]))
    batch = task.collate(tokenizer, features_of(task.encode(tokenizer, columns, 16)), None)
    assert batch.targets.tolist() == [[4, 4]]
    outputs = torch.nn.functional.one_hot(batch.targets, batch.inputs["input_ids"].shape[1]).transpose(1, 2).double() * 20
    assert task.answers(task.reduce(outputs, batch, None), columns)[0]["answer"] == "good"


def official_best_threshold(scores: list[float], f1: list[float], has_answer: list[bool], given: list[bool]) -> tuple[float, float]:
    """`find_best_thresh` of the official script of version 2.0, on lists in place of dictionaries."""
    current = sum(not has for has in has_answer)
    best_score, best_thresh = float(current), 0.0
    for at in sorted(range(len(scores)), key=lambda at: scores[at]):
        diff = f1[at] if has_answer[at] else -1 if given[at] else 0
        current += diff
        if current > best_score:
            best_score, best_thresh = current, scores[at]
    return best_score, best_thresh


def total(threshold: float, scores: list[float], f1: list[float], unanswered: list[float]) -> float:
    return sum(given if score <= threshold else none for score, given, none in zip(scores, f1, unanswered, strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_the_threshold_has_the_greatest_f1_of_all_and_as_much_as_the_official_one(seed: int) -> None:
    draw = random.Random(seed)
    count = draw.randint(1, 40)
    has = [draw.random() < 0.6 for _ in range(count)]
    unanswered = [float(not each) for each in has]
    f1 = [draw.choice([0.0, 0.5, 1.0]) if each else 0.0 for each in has]
    scores = [draw.gauss(0, 3) for _ in range(count)]
    best = total(best_threshold(scores, f1, unanswered), scores, f1, unanswered)
    assert best == pytest.approx(official_best_threshold(scores, f1, has, [True] * count)[0])
    assert best == max(total(cut, scores, f1, unanswered) for cut in [-1e9, *scores])
    ties = [round(score) for score in scores]  # equal scores get the same answer
    assert total(best_threshold(ties, f1, unanswered), ties, f1, unanswered) == max(
        total(cut, ties, f1, unanswered) for cut in [-1e9, *ties]
    )


def test_the_threshold_is_half_way_between_two_scores() -> None:
    assert best_threshold([1.0, 3.0], [1.0, 0.0], [0.0, 1.0]) == 2.0
    assert best_threshold([1.0, 3.0], [1.0, 1.0], [0.0, 0.0]) == 4.0
    assert best_threshold([1.0, 3.0], [0.0, 0.0], [1.0, 1.0]) == 0.0


def test_no_answer_is_given_above_the_threshold() -> None:
    task, context = task_of(no_answer=True), "a good movie"
    columns = columns_of(("what", context, ["movie"]), ("what", context, []), ("what", context, []))
    kept = torch.tensor([[1.0, 2, -1.0, -4.0, 7, 12], [1.0, 2, -5.0, -1.0, 2, 6], [1.0, 2, -2.0, -3.0, 2, 6]], dtype=torch.float64)
    task.choose(kept, columns)
    assert task.chosen == {THRESHOLD: -2.0}
    assert [answer["answer"] for answer in task.answers(kept, columns)] == ["movie", "", ""]
    assert [answer["score"] for answer in task.answers(kept, columns)] == pytest.approx(np.exp([-1.0, -1.0, -3.0]).tolist())
    assert task.metrics(kept, columns) == {
        "exact_match": 1.0, "f1": 1.0, "has_answer_exact_match": 1.0, "has_answer_f1": 1.0, "no_answer_accuracy": 1.0,
    }  # fmt: skip
    table = task.table(kept, columns)
    assert table["prediction"] == ["movie", "", ""]
    assert (table["start"], table["end"], table["correct"]) == ([7, 0, 0], [12, 0, 0], [True] * 3)
    always = task_of()
    always.choose(kept, columns)
    assert always.chosen == {}
    assert [answer["answer"] for answer in always.answers(kept, columns)] == ["movie", "good", "good"]


def test_a_tokenizer_that_cannot_serve_is_refused() -> None:
    with pytest.raises(ConfigError, match="CLS"):
        task_of().bind(tiny_tokenizer("llama"), None)
