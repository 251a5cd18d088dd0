"""The quality rules give the answers that datatrove's own tests of the same rules expect, on texts of ours that break the same rule.

Differences, on purpose: an empty text is the business of the step `empty`, not of each rule; a repeated paragraph is a repeated line too,
so that the reason may name the line; marks of punctuation are no words, so that shares of words are over fewer of them. Its rule for
paragraphs of mC4, its filter of addresses and its sampler are no cleaning steps here. Personal data: test_personal_data.py.
"""

from typing import Any

import pytest
import yaml

from finecomb.config.locate import conf_dir
from finecomb.data.cleaner.step import Batch
from finecomb.data.cleaner.steps import quality
from finecomb.data.cleaner.steps.quality import C4Options, FineWebOptions, GopherQualityOptions, GopherRepetitionOptions

PROSE = (
    "The boats that cross the river carry people to the market. They come with their goods and leave with what they have not sold. "
    "In the evening it is quiet, and the lamps along the bank are lit by those who live there."
)


def judged(cls: Any, values: Any, text: str) -> tuple[str | None, str]:
    """Reason, and the text after the step."""
    decision = cls(values).decide(Batch("train", ["0"], [text], None, [None]))
    return decision.drop.get(0), decision.replace.get(0, (text, None))[0]


def values(name: str, step: str, **changes: Any) -> dict[str, Any]:
    return yaml.safe_load((conf_dir() / "cleaner" / f"{name}.yaml").read_text())["steps"][step] | changes


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("We left at noon.\n" * 4, "duplicated lines"),
        ("We left at noon.\n\n" * 4, "duplicated lines"),
        ("We left.\n\nThey stayed a while.\n\nNobody knew it.\n\n" + f"{'y' * 30}.\n\n" * 2, "characters in duplicated lines"),
        ("We left.\nThey stayed a while.\nNobody knew it.\n" + f"{'y' * 40}.\n" * 2, "characters in duplicated lines"),
        ("he was Peter, he was Peter, he was Peter", "the most frequent 2-gram"),
        ("he was Peter, she was Anna. he was Peter. he was Peter she was Anna", "the most frequent 2-gram"),
        (
            "I was a poor old man " * 4 + PROSE + " Nobody remembers when the first of these lamps was hung up there at all.",
            "repeated 5-grams",
        ),
        (PROSE, None),
    ],
)
def test_gopher_repetition(text, reason):
    assert judged(quality.GopherRepetition, GopherRepetitionOptions(**values("gopher", "gopher_repetition")), text)[0] == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("We are too few...", "number of words"),
        ("we is " * 20, "mean word length"),
        ("misunderstanding " * 20, "mean word length"),
        ("# remark " * 20, "too many hash signs"),
        ("... remark " * 20, "too many ellipses"),
        # Each ratio is tested by itself: 0.08 and 0.08 are within bounds; and stop words are written as they are.
        (PROSE + " # # # ... ... ... and so on", None),
        (" ".join(["Have Have With The letter"] * 12), "too few stop words"),
        ("that ./!*?<><> pear <?////> plums  ++ misunderstanding !<>??? have" * 20, "too few words with a letter"),
        (PROSE, None),
    ],
)
def test_gopher_quality(text, reason):
    given = values("gopher", "gopher_quality", min_words=10, max_words=1000)
    assert judged(quality.GopherQuality, GopherQualityOptions(**given), text)[0] == reason


LINES = "\n".join(f"This is line number {n} of a text that says a little more each time." for n in range(6))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LINES, None),
        (LINES.replace("number 2", "lorem ipsum dolor"), "lorem ipsum"),
        (LINES.replace("number 2", "number { 2"), "a brace"),
        ("There is but one sentence here.", "too few sentences"),
    ],
)
def test_c4(text, reason):
    assert judged(quality.C4, C4Options(**values("c4", "c4")), text)[0] == reason


def test_c4_takes_lines_of_policies_out():
    given = values("c4", "c4", min_sentences=0, min_words_per_line=0)
    text = "We say that this page uses cookies to count you.\nA line that may well stay here."
    assert judged(quality.C4, C4Options(**given), text) == (None, "A line that may well stay here.")


@pytest.mark.parametrize(
    ("text", "reason", "changes"),
    [
        ("Nothing ends here\nNor does this line\nNor this one", "too few lines end in punctuation", {"min_terminal_lines": 0.5}),
        ("so.\nno.\nyes.\nwell.\nbye.", "too many short lines", {"max_short_lines": 0.5, "min_terminal_lines": 0.0}),
        ("\n".join(["b"] * 50), "too few lines end in punctuation", {"max_newlines_per_word": 0.1}),
        (LINES, None, {}),
        ("", "too few lines end in punctuation", {}),
    ],
)
def test_fineweb(text, reason, changes):
    assert judged(quality.FineWeb, FineWebOptions(**values("fineweb", "fineweb", **changes)), text)[0] == reason
