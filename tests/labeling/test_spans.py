"""Spans from rules: where they stand, how rules that disagree are weighed, and that tags are always legal."""

import itertools

import numpy as np
import pytest

from finecomb.core.errors import ConfigError
from finecomb.labeling import spans

RULES = {
    "cities": {"label": "PLACE", "words": ["Paris", "New York", "北京", "York"]},
    "titles": {"label": "PERSON", "pattern": r"(?:Ms|Mr)\. [A-Z]\w+"},
    "praise": {"label": "GOOD", "words": ["lovely", "很好"]},
}


def shown(text, found):
    return [(text[each.span.start : each.span.end], each.span.label, each.origin) for each in found]


@pytest.mark.parametrize("model", ["majority", "weighted", "dawid_skene"])
def test_lists_and_patterns_mark_spans_in_code_points_with_their_origin(model):
    texts = ["😀 Ms. Smith left lovely New York\r\nfor 北京很好", "", "nothing here", "Paris Paris"]
    found = spans.annotate(texts, spans.build(RULES), model=model)
    assert shown(texts[0], found[0]) == [
        ("Ms. Smith", "PERSON", "titles"), ("lovely", "GOOD", "praise"), ("New York", "PLACE", "cities"),
        ("北京", "PLACE", "cities"), ("很好", "GOOD", "praise"),
    ]  # fmt: skip
    assert found[1] == found[2] == []
    assert [each[0] for each in shown(texts[3], found[3])] == ["Paris", "Paris"]
    assert all(0.0 < each.confidence <= 1.0 for each in found[0])


def test_of_rules_that_disagree_the_better_one_is_believed():
    """One source is wrong wherever two others meet it; where it stands against one of them alone, the other is believed."""
    rules = {
        "one": {"label": "PLACE", "pattern": r"\bp\d+"},
        "two": {"label": "PLACE", "pattern": r"\bp\d*[02468]\b"},
        "bad": {"label": "PERSON", "pattern": r"\bp\d+"},
    }
    texts = [f"from p{number} on" for number in range(100)]
    found = spans.annotate(texts, spans.build(rules))
    assert {each.span.label for mine in found for each in mine} == {"PLACE"}
    sure = [found[number][0].confidence for number in (1, 2)]
    assert sure[0] < sure[1]
    assert spans.annotate(texts[1:2], spans.build({"one": rules["one"], "bad": rules["bad"]}), model="majority", min_confidence=0.6) == [[]]


def test_the_best_legal_path_is_the_best_of_all_legal_paths():
    tags = ["O", "B-X", "I-X", "B-Y", "I-Y"]
    allowed = spans.legal(tags)
    draw = np.random.default_rng(0)
    for _ in range(20):
        probabilities = draw.dirichlet(np.ones(5) * 0.5, size=4)
        paths = [
            path
            for path in itertools.product(range(5), repeat=4)
            if not tags[path[0]].startswith("I-") and all(allowed[a, b] for a, b in itertools.pairwise(path))
        ]
        best = max(paths, key=lambda path: sum(np.log(probabilities[at, tag] + 1e-12) for at, tag in enumerate(path)))
        assert spans.best_path(probabilities, tags) == list(best)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "there is no rule"),
        ({"a": {"label": "X"}}, "has a label and one of"),
        ({"a": {"label": "X", "words": ["b"], "pattern": "c"}}, "has a label and one of"),
        ({"a": {"label": "X", "pattern": "(?=b)"}}, "cannot be used"),
        ({"a": {"label": "X", "words": ["b"], "colour": 1}}, "unknown key 'colour'"),
    ],
)
def test_rules_that_cannot_be_used_are_the_users_error(rules, said):
    with pytest.raises(ConfigError, match=said):
        spans.build(rules)
