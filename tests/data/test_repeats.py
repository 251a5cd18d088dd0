"""Parts of texts that the corpus repeats: sentences, paragraphs, lines, long runs of words; all but the first go, wherever they stand."""

import random
from collections import Counter

import pytest
from data_configs import clean

from finecomb.config.schema.cleaner import Cleaner
from finecomb.data import cleaner
from finecomb.data.cleaner.steps import repeats
from finecomb.data.cleaner.word_pattern import words
from finecomb.data.dataset.rows import Rows

BLOCK = "The river is wide here. Boats cross it with their goods. In the evening the lamps are lit. A queen would not be carried over."


def rows(texts, pairs=None):
    count = len(texts)
    return Rows([str(n) for n in range(count)], list(texts), pairs, ["x"] * count, None, range(1, count + 1), "file")


def run(step, splits, **values):
    given = {split: each if isinstance(each, Rows) else rows(each) for split, each in splits.items()}
    return clean(cleaner.build(Cleaner("own", {step: values}, False)), given)


def test_spans_of_sentences_stay_where_they_stood_first():
    """The cases of datatrove's tests of its sentence deduplication, in words of our own: inside, before, after, around."""
    texts = [
        f"Once there was a town. {BLOCK}",
        "In the evening the lamps are lit. A queen would not be carried over. Nobody knows why!",  # two of its sentences: no span of three
        f"{BLOCK} And so it went on.",
        f"Before it all. {BLOCK} Behind it all.",
        "boats cross it   with their goods.\nIn the evening the lamps are lit. A QUEEN would not be carried over. New end.",
        "Short. One.",
    ]
    cleaned = run("sentences", {"train": texts}, span=3, min_words_left=1)
    after = dict(zip(cleaned.splits["train"].id, cleaned.splits["train"].text, strict=True))
    assert after == {
        "0": texts[0], "1": texts[1], "2": "And so it went on.", "3": "Before it all. Behind it all.", "4": "New end.", "5": texts[5],
    }  # fmt: skip
    # Spans of two sentences find what those of three let stand.
    shorter = run("sentences", {"train": texts}, span=2, min_words_left=1).splits["train"]
    assert shorter.text[1] == "Nobody knows why!"


def test_what_stands_in_test_is_taken_out_of_train_and_never_the_other_way():
    cleaned = run("sentences", {"train": [f"{BLOCK} Own end.", BLOCK], "test": [BLOCK, f"Own. {BLOCK}"]}, span=3, min_words_left=1)
    assert cleaned.splits["test"].text == [BLOCK, "Own."]
    assert cleaned.splits["train"].text == ["Own end."]
    assert cleaned.gone[0]["reason"] == "hardly anything that did not stand before"
    assert cleaned.values["repeated"][0] == pytest.approx(0.0)
    assert cleaned.records["sentences"]["repeated"] == 2


def test_sentences_without_spaces_between_them_and_ends_of_lines():
    chinese = "这部电影很好。演员很出色！故事感人。"
    cleaned = run("sentences", {"train": [chinese, f"开头。{chinese}结尾。"]}, span=3, min_words_left=1)
    assert cleaned.splits["train"].text == [chinese, "开头。结尾。"]
    verse = "one line\nanother line\na third line"
    assert run("sentences", {"train": [verse, f"{verse}\nown"]}, span=3, min_words_left=1).splits["train"].text == [verse, "own"]


def test_paragraphs_and_lines():
    menu = "Home About Contact Imprint"
    texts = [f"{menu}\n\nA first text of its own.\nSecond line here now.", f"Another text.\n\n{menu}\n\nSecond line here now.\nEnd.", menu]
    cleaned = run("paragraphs", {"train": texts}, unit="paragraph", min_words=3, min_words_left=1)
    assert cleaned.splits["train"].text == [texts[0], "Another text.\n\nSecond line here now.\nEnd."]
    by_line = run("paragraphs", {"train": texts}, unit="line", min_words=3, min_words_left=1)
    assert by_line.splits["train"].text == [texts[0], "Another text.\n\nEnd."]
    assert run("paragraphs", {"train": texts}, unit="line", min_words=5, min_words_left=0).splits["train"].text == texts


def test_both_texts_of_a_pair_lose_what_stood_before():
    pairs = Rows(["a", "b"], ["x", f"y. {BLOCK}"], [BLOCK, f"{BLOCK} z."], [0, 1], None, range(1, 3), "file")
    after = run("sentences", {"train": pairs}, span=3, min_words_left=1).splits["train"]
    assert after.text == ["x", "y."]
    assert after.text_pair == [BLOCK, "z."]


def covered(texts: list[list[str]], n: int) -> list[list[str]]:
    """What stays of texts when every word in a run of n that began anywhere before goes; word by word."""
    seen: set[tuple[str, ...]] = set()
    left = []
    for text in texts:
        gone: set[int] = set()
        for start in range(len(text) - n + 1):
            gram = tuple(word.lower() for word in text[start : start + n])
            gone |= set(range(start, start + n)) if gram in seen else set()
            seen.add(gram)
        left.append([word for place, word in enumerate(text) if place not in gone])
    return left


@pytest.mark.parametrize("part", [50, 1 << 23])
def test_long_runs_of_words_go_wherever_they_begin(monkeypatch, part):
    monkeypatch.setattr(repeats, "_PART", part)  # the plan looks at ranges of hashes in turn, or at all at once
    draw = random.Random(0)
    vocabulary = [f"w{n}" for n in range(40)] + ["Ärger", "X", "的"]
    texts = [[draw.choice(vocabulary) for _ in range(draw.randrange(0, 40))] for _ in range(150)]
    for _ in range(60):
        source, target = draw.choice(texts), draw.choice(texts)
        start, at = draw.randrange(0, len(source) + 1), draw.randrange(0, len(target) + 1)
        target[at:at] = source[start : start + draw.randrange(5, 20)]
    written = [" ".join(text) for text in texts]
    cleaned = run("substrings", {"train": written}, min_words=6, min_words_left=0).splits["train"]
    wanted = covered(texts, 6)
    assert [text.split() for text in cleaned.text] == wanted
    assert sum(map(len, wanted)) < sum(map(len, texts)) - 100


def test_what_is_cut_out_leaves_the_rest_as_it_was_written():
    run_of = "this very long run of words stands in both"
    cleaned = run(
        "substrings", {"train": [f"Start: {run_of}. Fin", f"Now, {run_of.upper()}! And\n  then more"]}, min_words=8, min_words_left=1
    )
    assert cleaned.splits["train"].text == [f"Start: {run_of}. Fin", "Now, And\n  then more"]


def test_results_do_not_depend_on_shards():
    texts = [f"{BLOCK} Number {n % 7} is own. So is {n}." for n in range(40)]
    whole = run("sentences", {"train": texts}, span=3, min_words_left=1)
    recipe = cleaner.build(Cleaner("own", {"sentences": {"span": 3, "min_words_left": 1}}, False))
    step = recipe.steps[0][1]()
    from finecomb.data.cleaner.step import Batch, Sketch

    batches = [Batch("train", [str(n)], [text], None, [None], n) for n, text in enumerate(texts)]
    state = step.plan([Sketch("train", n, 1, step.sketch(batch)) for n, batch in enumerate(batches)], None)
    decisions = [step.carry_out(batch, state) for batch in batches]
    after = [decision.replace.get(0, (text, None))[0] for decision, text in zip(decisions, texts, strict=True) if not decision.drop]
    assert after == whole.splits["train"].text


def test_the_next_copy_stays_when_the_row_of_the_first_is_dropped():
    menu = "Home and about and contact us here"
    first, second = f"{BLOCK}\n\n{menu}", f"A text of its own with words enough to stay.\n\n{menu}"
    cleaned = run("paragraphs", {"train": [f"{BLOCK}\n\nThe first row.", first, second]}, unit="paragraph", min_words=3, min_words_left=8)
    assert cleaned.splits["train"].id == ["0", "2"]
    assert cleaned.splits["train"].text[1] == second
    # Where no later copy is left, the row stays.
    alone = run("paragraphs", {"train": [f"{BLOCK}\n\nThe first row.", first, first]}, unit="paragraph", min_words=3, min_words_left=8)
    assert alone.splits["train"].text == [f"{BLOCK}\n\nThe first row.", menu]
    assert [row["id"] for row in alone.gone] == ["1"]


def corpus_of_paragraphs(draw, count):
    known = [" ".join(draw.choice("abcdefgh") * draw.randrange(1, 4) for _ in range(draw.randrange(2, 12))) for _ in range(30)]
    return ["\n\n".join(draw.choice(known) for _ in range(draw.randrange(1, 5))) for _ in range(count)]


@pytest.mark.parametrize("least", [0, 1, 6, 20])
@pytest.mark.parametrize("seed", range(4))
def test_no_repeated_paragraph_disappears_and_none_is_left_twice(least, seed):
    draw = random.Random(seed)
    texts = {"test": corpus_of_paragraphs(draw, 5), "train": corpus_of_paragraphs(draw, 40)}
    pairs = {split: corpus_of_paragraphs(draw, len(each)) for split, each in texts.items()} if seed % 2 else dict.fromkeys(texts)
    given = {split: rows(texts[split], pairs[split]) for split in texts}
    cleaned = run("paragraphs", given, unit="paragraph", min_words=2, min_words_left=least)

    def paragraphs(splits):
        columns = [column for each in splits.values() for column in (each.text, each.text_pair or [])]
        return Counter(part for column in columns for text in column for part in text.split("\n\n") if part)

    before, after = paragraphs(given), paragraphs(cleaned.splits)
    assert {part for part, times in before.items() if times > 1} <= after.keys()
    assert max(after.values()) == 1
    # Rows are dropped only where something was taken out and too little is left.
    assert {row["reason"] for row in cleaned.gone} <= {"hardly anything that did not stand before"}
    assert not cleaned.gone or least


def judged_one_by_one(step, texts, least):
    """Rows asked one after the other, with their texts at hand: what stays of each, and None where it is dropped."""
    keys = [step.find_parts([text]).hashes.tolist() for text in texts]
    seen: set[int] = set()
    after: list[str | None] = []
    for row, text in enumerate(texts):
        here: set[int] = set()
        gone = []
        for key, where in zip(keys[row], step.ranges(text), strict=True):
            gone += [where] if key in seen | here else []
            here.add(key)
        cut = {place for start, end in gone for place in range(start, end)}
        left = "".join(character for place, character in enumerate(text) if place not in cut).strip()
        new = [key for key in here - seen if sum(key in each for each in keys) > 1 or keys[row].count(key) > 1]
        if gone and len(words(left)) < least and all(any(key in other for other in keys[row + 1 :]) for key in new):
            after.append(None)
            continue
        seen |= here
        after.append(left if gone else text)
    return after


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "values"),
    [("sentences", {"span": 2}), ("substrings", {"min_words": 5}), ("paragraphs", {"unit": "line", "min_words": 2})],
    ids=["sentences", "substrings", "lines"],
)
def test_rows_are_judged_as_if_they_were_asked_one_after_the_other(kind, values, seed):
    draw = random.Random(seed)
    pieces = [
        "We go home!",
        "Now. The end.",
        "\n",
        "\u7684\u3002\u7684",
        "x-y",
        "(so) it's",
        "one two three.",
        "\n\n",
        "'",
        "a b c d e f g h.",
    ]
    texts = [" ".join(draw.choice(pieces) for _ in range(draw.randrange(1, 9))) for _ in range(150)]
    step = cleaner.build(Cleaner("own", {kind: values | {"min_words_left": 6}}, False)).steps[0][1]()
    wanted = judged_one_by_one(step, texts, 6)
    cleaned = run(kind, {"train": texts}, **values, min_words_left=6)
    kept = dict(zip(cleaned.splits["train"].id, cleaned.splits["train"].text, strict=True))
    assert [kept.get(str(row)) for row in range(len(texts))] == wanted
    assert wanted.count(None) > 5
