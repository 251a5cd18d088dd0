"""The rules of Gopher, C4 and FineWeb decide as datatrove does, rule by rule, on texts near every threshold and on parts of Python's docs.

`datatrove_reference.py` wrote datatrove's decisions. Where the two differ on purpose the texts are listed here, so that nothing changes
unnoticed:

* alphabetic_words: spaCy makes a word of each mark of punctuation, which has no letter; here a word is what is between white space.
* n-grams: datatrove's are of words, marks of punctuation and line ends, and their share is of all characters; here both are of words
  alone. It looks for repeated n-grams without overlap. So shares near the bound may fall on either side, and lists of short lines differ.
* terminal_lines of FineWeb: quotation marks end a line here, and white space behind a mark does not count.
* C4: a brace anywhere drops the page, as the paper has it; datatrove looks only at lines that are kept. Sentences are counted by the marks
  that end them, not by spaCy.
"""

import json
from typing import Any

import numpy as np
import pytest
import yaml
from datatrove_reference import FILE, composed, digest

from finecomb.config.locate import conf_dir
from finecomb.data.cleaner.step import Batch
from finecomb.data.cleaner.steps import quality
from finecomb.data.cleaner.steps.quality import C4Options, FineWebOptions, GopherQualityOptions, GopherRepetitionOptions

FACTS = json.loads(FILE.read_text(encoding="utf-8"))
COMPOSED = composed()
TEXTS = [*COMPOSED, *FACTS["sample"]]
BATCH = Batch("train", [str(number) for number in range(len(TEXTS))], TEXTS, None, [None] * len(TEXTS))
STEPS: dict[str, tuple[str, Any, Any]] = {
    "gopher_quality": ("gopher", quality.GopherQuality, GopherQualityOptions),
    "gopher_repetition": ("gopher", quality.GopherRepetition, GopherRepetitionOptions),
    "fineweb": ("fineweb", quality.FineWeb, FineWebOptions),
}
# Texts that only one of the two drops. Numbers from len(COMPOSED) on are of the sample.
DIFFERENCES: dict[str, set[int]] = {
    "alphabetic_words": {62, 130, *range(136, 140), *range(141, 157)},
    "top_2gram": {60, 128},
    "top_3gram": {155},
    "top_4gram": {45, 46, 113, 114, 139, 147, 155, 156},
    "repeated_5grams": {35, 57, 58, 103, 126},
    "repeated_6grams": {35, 57, 58, 103, 124, 125, 126},
    "repeated_7grams": {56, 57, 58, 124, 125, 126},
    "repeated_8grams": {57, 58, 125, 126},
    "repeated_9grams": {80, 147},
    "repeated_10grams": {38, 57, 60, 106, 128, 147},
    "fineweb terminal_lines": {144, 147, 153},
}
C4_REASONS = {"": None, "lorem_ipsum": "lorem ipsum", "curly_bracket": "a brace", "too_few_sentences": "too few sentences"}
# What C4 says of these texts here; datatrove keeps them.
C4_DIFFERENCES = {
    64: "a brace", 132: "a brace", 153: "a brace", 137: "too few sentences", 148: "too few sentences", 155: "too few sentences",
}  # fmt: skip


def build(preset: str, name: str, cls: Any, values: Any) -> Any:
    return cls(values(**yaml.safe_load((conf_dir() / "cleaner" / f"{preset}.yaml").read_text())["steps"][name]))


@pytest.fixture(scope="module")
def dropped() -> dict[str, dict[str, set[int]]]:
    """For each step and rule the texts that break it."""
    found: dict[str, dict[str, set[int]]] = {}
    for name, (preset, cls, values) in STEPS.items():
        step = build(preset, name, cls, values)
        scores = step.decide(BATCH).scores
        rules = found.setdefault(name, {})
        for score, (low, high) in step.thresholds().items():
            value = np.array(scores[score])
            broken = (value < (-np.inf if low is None else low)) | (value > (np.inf if high is None else high))
            rule = "symbols" if score in ("hashes_per_word", "ellipses_per_word") else score
            rules.setdefault(rule, set()).update(np.flatnonzero(broken).tolist())
    return found


def test_the_file_is_of_these_texts():
    assert digest(COMPOSED) == FACTS["composed"]
    assert FACTS["versions"]["datatrove"] == "0.10.1"


@pytest.mark.parametrize(("step", "rule"), [(step, rule) for step, rules in FACTS["dropped"].items() for rule in rules])
def test_a_rule_drops_what_datatrove_drops(dropped, step, rule):
    theirs = set(FACTS["dropped"][step][rule])
    ours = dropped[step][rule]
    assert ours ^ theirs == DIFFERENCES.get(rule if step != "fineweb" else f"fineweb {rule}", set())
    # Texts on either side on which both agree.
    assert len(ours & theirs) >= 2
    assert len(set(range(len(COMPOSED))) - ours - theirs) >= 2


def test_c4_keeps_the_lines_that_datatrove_keeps():
    decision = build("c4", "c4", quality.C4, C4Options).decide(BATCH)
    reasons = {number: C4_REASONS[reason] for number, (reason, _) in enumerate(FACTS["c4"])}
    assert {number: decision.drop.get(number) for number in reasons if decision.drop.get(number) != reasons[number]} == C4_DIFFERENCES
    assert {reason for number, reason in reasons.items() if decision.drop.get(number) == reason} == set(C4_REASONS.values())
    for number, (reason, after) in enumerate(FACTS["c4"]):
        if not reason and number not in decision.drop:
            kept = decision.replace.get(number, (TEXTS[number], None))[0]
            assert kept == (TEXTS[number] if after is None else after)
