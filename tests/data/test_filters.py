"""Lists of words and patterns, searched for in many texts at once, find what a plain search of each text finds."""

import random
import re

import pytest

from finecomb.data.cleaner.step import Batch
from finecomb.data.cleaner.steps.filters import Patterns, PatternsOptions, WordList, WordListOptions
from finecomb.data.cleaner.word_pattern import unspaced_share

LISTED = ["Spam", "buy now", "Öl", "straße", "ΣΊΓΜΑ", "广告", "c++", "naïve", "x", "की", "\U0001f600 ok", "I\u0307"]
PIECES = [
    *(
        "spam",
        "SPAM",
        "spammer",
        "buy now",
        "Buy  now",
        "öl",
        "ÖL",
        "Ölung",
        "Straße",
        "STRASSE",
        "σίγμα",
        "广告",
        "是广告的",
        "c++",
        "C++11",
    ),
    *(
        "naïve",
        "naïvely",
        "x",
        "_x",
        "x_",
        "x2",
        "é",
        " ",
        " ",
        "  ",
        "\n",
        ",",
        ".",
        "की",
        "कीकी",
        "\U0001f600 ok",
        "\U0001f600",
        "-",
        "\u2019",
        "",
    ),
]


def batch(texts: list[str], pairs: list[str] | None = None) -> Batch:
    return Batch("train", [str(n) for n in range(len(texts))], texts, pairs, [None] * len(texts))


def mixture(seed: int, count: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice(PIECES) + draw.choice(["", " "]) for _ in range(draw.randrange(0, 30))) for _ in range(count)]


def occurrences(text: str, listed: list[str]) -> int:
    """The same by Python's own search: leftmost, of those at one place the longest."""
    forms = sorted({form for word in listed for form in (word.casefold(), word.lower())}, key=lambda word: (-len(word.encode()), word))
    apart = [re.escape(word) for word in forms if not unspaced_share(word)]
    within = [re.escape(word) for word in forms if unspaced_share(word)]
    bounded = re.compile(rf"(?<![^\W_])(?<!_)(?:{'|'.join(apart)})(?![^\W_])(?!_)", re.IGNORECASE)
    return len(bounded.findall(text)) + len(re.findall("|".join(within), text, re.IGNORECASE))


@pytest.mark.parametrize("at_once", [40, 1 << 21])
def test_words_of_a_list_are_counted_as_in_each_text_by_itself(monkeypatch, at_once):
    monkeypatch.setattr("finecomb.data.cleaner.steps.filters._AT_ONCE", at_once)
    texts = mixture(0, 2000)
    found = WordList(WordListOptions(LISTED, None, 0)).count(texts)
    assert found == [occurrences(text, LISTED) for text in texts]
    assert sum(found) > 2000


def test_another_number_of_listed_words_is_judged_by_the_score_alone():
    texts = ["spam", "spam, spam", "a spam b", "none", ""]
    loose, strict = (WordList(WordListOptions(["spam"], None, most)).decide(batch(texts)) for most in (1, 0))
    assert loose.scores == strict.scores == {"listed_words": [1.0, 2.0, 1.0, 0.0, 0.0]}
    assert (set(loose.drop), set(strict.drop)) == ({1}, {0, 1, 2})


def test_both_texts_of_a_pair_are_searched():
    decision = WordList(WordListOptions(["spam"], None, 0)).decide(batch(["a", "spam", "b"], ["spam", "spam", "c"]))
    assert decision.drop == {0: "more than 0 words of the list (text_pair)", 1: "more than 0 words of the list"}
    assert decision.scores["listed_words (text_pair)"] == [1.0, 1.0, 0.0]
    patterns = Patterns(PatternsOptions(["spam"], ["[ab]"], any_case=False)).decide(batch(["a", "b"], ["spam", "c"]))
    assert patterns.drop == {0: "matches spam (text_pair)", 1: "matches no pattern to keep (text_pair)"}


def test_many_patterns_say_what_each_says_alone():
    patterns = [r"\bspam\b", r"^buy", r"\d{2}$", r"[^\x00-\x7f]{2}", r"(?P<a>x)_", r"(?P<a>_)x", r"(?i)ÖL", r"now\s", r"\pL\n"]
    texts = mixture(1, 1500)
    python = [re.compile(pattern.replace(r"\pL", r"[^\W\d_]"), re.ASCII if r"\b" in pattern else 0) for pattern in patterns]
    decision = Patterns(PatternsOptions(patterns, [], any_case=False)).decide(batch(texts))
    wanted = [[pattern for pattern, search in zip(patterns, python, strict=True) if search.search(text)] for text in texts]
    assert decision.scores["to_drop"] == [len(found) for found in wanted]
    assert decision.drop == {row: f"matches {found[0]}" for row, found in enumerate(wanted) if found}
    assert len(decision.drop) > 300
