"""Answers are scored as SQuAD's official scripts score them, versions 1.1 and 2.0."""

from __future__ import annotations

import collections
import random
import re
import string

import pytest
from torchmetrics.functional.text import squad as torchmetrics_squad

from finecomb.runs import squad, sum_metrics

WORDS = [
    "the", "The", "a", "an", "An", "cat", "Cat,", "cat's", "1,000", "1000", "dog-house", "doghouse", "é", "É", "!", "...", "", " ", "\n",
    "naïve", "theory", "an.", "北京", "İ",
]  # fmt: skip
PAIRS = [
    ("", ""), ("the", ""), ("", "the"), ("the", "a"), ("cat", "the cat"), ("cat cat", "cat"), ("cat", "cat cat dog"), ("!", "?"),
    ("U.S.", "us"), ("x-ray", "xray"), ("a b a", "b"), ("Ａ", "a"),
]  # fmt: skip


# The following five functions are those of the official script of version 2.0 (evaluate-v2.0.py), but for the names of the files' keys.
def normalize_answer(s):
    def remove_articles(text):
        regex = re.compile(r"\b(a|an|the)\b", re.UNICODE)
        return re.sub(regex, " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text):
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def get_tokens(s):
    if not s:
        return []
    return normalize_answer(s).split()


def compute_exact(a_gold, a_pred):
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold, a_pred):
    gold_toks = get_tokens(a_gold)
    pred_toks = get_tokens(a_pred)
    common = collections.Counter(gold_toks) & collections.Counter(pred_toks)
    num_same = sum(common.values())
    if len(gold_toks) == 0 or len(pred_toks) == 0:
        return int(gold_toks == pred_toks)
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(pred_toks)
    recall = 1.0 * num_same / len(gold_toks)
    return (2 * precision * recall) / (precision + recall)


def get_raw_scores(golds, a_pred):
    gold_answers = [a for a in golds if normalize_answer(a)]
    if not gold_answers:
        gold_answers = [""]
    return max(compute_exact(a, a_pred) for a in gold_answers), max(compute_f1(a, a_pred) for a in gold_answers)


# Of the official script of version 1.1 (evaluate-v1.1.py).
def f1_score(prediction, ground_truth):
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    common = collections.Counter(prediction_tokens) & collections.Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def some(draw: random.Random, words: int) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(draw.randint(0, words)))


def cases(least: int) -> list[tuple[str, list[str]]]:
    draw = random.Random(0)
    made = [(some(draw, 5), [some(draw, 4) for _ in range(draw.randint(least, 4))]) for _ in range(2000)]
    return made + [(prediction, [reference]) for prediction, reference in PAIRS]


@pytest.mark.parametrize("text", [*WORDS, *(text for pair in PAIRS for text in pair)])
def test_texts_are_normalized_as_published(text: str) -> None:
    assert squad.normalized(text) == normalize_answer(text)


def test_scores_with_questions_that_have_no_answer_follow_version_2() -> None:
    for prediction, references in cases(least=0):
        assert squad.scores(prediction, references, no_answer=True) == pytest.approx(get_raw_scores(references, prediction), abs=1e-12)


def test_scores_follow_version_1() -> None:
    for prediction, references in cases(least=1):
        exact = max(compute_exact(reference, prediction) for reference in references)
        overlap = max(f1_score(prediction, reference) for reference in references)
        assert squad.scores(prediction, references, no_answer=False) == pytest.approx((exact, overlap), abs=1e-12)


def test_the_mean_over_questions_is_that_of_torchmetrics() -> None:
    """Of texts of which normalization leaves something: for the others torchmetrics follows neither version."""
    made = [(prediction, texts) for prediction, texts in cases(least=1) if all(map(normalize_answer, (prediction, *texts)))]
    assert len(made) > 400
    theirs = torchmetrics_squad(
        [{"prediction_text": prediction, "id": str(row)} for row, (prediction, _) in enumerate(made)],
        [{"answers": {"text": texts, "answer_start": [0] * len(texts)}, "id": str(row)} for row, (_, texts) in enumerate(made)],
    )
    rows = [squad.sums(prediction, texts, no_answer=False) for prediction, texts in made]
    ours = sum_metrics.values({f"sum.{name}": [row[name] for row in rows] for name in squad.SUMS}, ["exact_match", "f1"])
    assert 100 * ours["exact_match"] == pytest.approx(float(theirs["exact_match"]), abs=1e-4)  # theirs in float32
    assert 100 * ours["f1"] == pytest.approx(float(theirs["f1"]), abs=1e-4)


def test_questions_with_and_without_an_answer_are_counted_apart() -> None:
    rows = [squad.sums(*each, no_answer=True) for each in (("cat", ["the cat"]), ("dog", ["a dog house"]), ("", []), ("cat", []))]
    names = ["exact_match", "f1", "has_answer_exact_match", "has_answer_f1", "no_answer_accuracy"]
    values = sum_metrics.values({f"sum.{name}": [row[name] for row in rows] for name in squad.SUMS}, names)
    assert values == {
        "exact_match": 0.5,
        "f1": pytest.approx((1 + 2 / 3 + 1) / 4),
        "has_answer_exact_match": 0.5,
        "has_answer_f1": pytest.approx((1 + 2 / 3) / 2),
        "no_answer_accuracy": 0.5,
    }


def test_a_question_without_an_answer_is_refused_by_version_1() -> None:
    with pytest.raises(ValueError, match="knows no question"):
        squad.scores("cat", [], no_answer=False)
