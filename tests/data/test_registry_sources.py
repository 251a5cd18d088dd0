"""Datasets of package registries in a form of their own: made-up lines in the same form, and the real counts where the registry answers."""

import json

import pytest
from data_configs import make_dataset

from finecomb.assets import cache_dir
from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.dataset.brown_pos import base_tag

# Before the tests have one of their own.
CACHE = cache_dir()


def read(name, **changes):
    """The rows of train, and what was left out."""
    config = make_dataset(name, **changes)
    source = build(config)
    assert set(source.inputs()) == {"train"}
    raw = source.read(config.label_kind)
    (rows,) = raw.splits["train"]
    return rows, raw


def real(name, **changes):
    try:
        return read(name, **changes)
    except ConfigError as error:
        if "cannot fetch" in str(error) or "switched off" in str(error):
            pytest.skip(f"the registry is out of reach: {error}")
        raise


def test_brown_reads_words_and_tags_by_text(write, tmp_path):
    write("brown/ca01", "\n\n\tThe/at Fulton/np-tl 1//2/cd jury/nn-hl ./.\n\n\n\tNo/at ./.\n")
    write("brown/cr09", "Oui/fw-rb-nc ./.\n"), write("brown/README", "words/nn"), write("brown/cats.txt", "ca01 news\n")
    rows, raw = read("brown_pos", path=str(tmp_path / "brown"))
    assert rows.text == ["The Fulton 1//2 jury .", "No .", "Oui ."]
    assert rows.label == [["at", "np", "cd", "nn", "."], ["at", "."], ["rb", "."]]
    assert rows.id == ["ca01:3", "ca01:6", "cr09:1"]
    assert rows.group == ["ca01", "ca01", "cr09"]
    assert rows.place(1) == "ca01, line 6"
    assert "redistribution permitted" in raw.license
    whole, _ = read("brown_pos", path=str(tmp_path / "brown"), tagset="full")
    assert whole.label[0] == ["at", "np-tl", "cd", "nn-hl", "."]


def test_brown_refuses_a_word_without_a_tag_and_a_folder_without_texts(write, tmp_path):
    write("brown/ca01", "The/at jury ./.\n")
    with pytest.raises(ConfigError, match="expected word/tag") as caught:
        read("brown_pos", path=str(tmp_path / "brown"))
    assert caught.value.problems[0].where == "ca01, line 1"
    write("other/a.txt", "The/at")
    with pytest.raises(ConfigError, match="no text of the corpus"):
        read("brown_pos", path=str(tmp_path / "other"))


@pytest.mark.parametrize(("tag", "base"), [("fw-nn-tl", "nn"), ("--", "--"), ("nn-tl-hl", "nn"), ("in-tl", "in"), ("bez*", "bez*")])
def test_marks_of_a_tag_are_removed_and_nothing_else(tag, base):
    assert base_tag(tag) == base


def test_bbc_has_topics_or_headlines_of_the_same_articles(write, tmp_path):
    for topic, number, content in (
        ("business", "001", "Ad sales up\n\nProfits rose.\n\nIt is said.\n"),
        ("tech", "001", b"Phones\n\nThey cost \xa35m.\n"),
        ("tech", "002", "Only a headline\n"),
    ):
        write(f"bbc/{topic}/{number}.txt", content)
    rows, raw = read("bbc_topics", path=str(tmp_path / "bbc"))
    assert rows.text == ["Ad sales up\nProfits rose.\nIt is said.", "Phones\nThey cost \u00a35m."]
    assert (rows.label, rows.id) == (["business", "tech"], ["business/001", "tech/001"])
    assert raw.label_names == ["business", "tech"]
    assert raw.funnel[0]["reasons"] == {"no headline or no article": 1}
    rows, raw = read("bbc_headlines", path=str(tmp_path / "bbc"))
    assert next(zip(rows.text, rows.label, strict=True)) == ("Profits rose.\nIt is said.", "Ad sales up")
    assert raw.label_names is None


def quoref(*examples):
    return json.dumps({"examples": [{"input": f"Passage: {context} \nQuestion: {question}", "target": list(targets)}
                                    for context, question, *targets in examples]})  # fmt: skip


def test_quoref_finds_its_answers_in_the_context(write):
    text = "Ann met Bob.\nBob (age 5) left Ann."
    path = write(
        "task.json",
        quoref((text, "Who left?", "Bob."), (text, "Who met?", "Ann.", "Bob."), (text, "Why?", "Rain."), ("Ann.", "Who?", "Bob.", "Ann.")),
    )
    rows, raw = read("quoref", path=str(path))
    assert rows.text == ["Who left?", "Who met?", "Who?"]
    assert rows.text_pair == [text, text, "Ann."]
    labels = [json.loads(label) for label in rows.label]
    assert labels[0] == {"text": ["Bob"], "answer_start": [8]}
    assert labels[1] == {"text": ["Ann", "Bob"], "answer_start": [0, 8]}
    assert all(context[start : start + len(answer)] == answer for context, label in zip(rows.text_pair, labels, strict=True)
               for answer, start in zip(label["text"], label["answer_start"], strict=True))  # fmt: skip
    assert rows.group[0] == rows.group[1] != rows.group[2]
    assert rows.id == ["1", "2", "4"]
    assert raw.funnel[0]["rows_in"] == 4
    assert raw.funnel[0]["reasons"]["no answer in the context"] == 1


@pytest.mark.parametrize("text", ["[]", '{"examples": [{"input": "Question: What?", "target": ["A."]}]}', "no JSON"])
def test_quoref_refuses_a_file_of_another_form(write, text):
    with pytest.raises(ConfigError, match="expected"):
        read("quoref", path=str(write("task.json", text)))


@pytest.mark.registry
def test_the_real_counts_of_brown():
    rows, _ = real("brown_pos")
    assert (len(rows), len(set(rows.group))) == (57_340, 500)
    assert sum(map(len, rows.label)) == 1_161_192
    assert len({tag for label in rows.label for tag in label}) == 190
    assert all(len(text.split()) == len(label) for text, label in zip(rows.text, rows.label, strict=True))
    assert len({tag for label in real("brown_pos", tagset="full")[0].label for tag in label}) == 472


@pytest.mark.registry
def test_the_real_counts_of_bbc():
    rows, raw = real("bbc_topics")
    assert (len(rows), raw.label_names, raw.funnel) == (2225, ["business", "entertainment", "politics", "sports", "tech"], [])
    headlines, _ = real("bbc_headlines")
    assert headlines.id == rows.id
    assert all(text == f"{headline}\n{body}" for text, headline, body in zip(rows.text, headlines.label, headlines.text, strict=True))


@pytest.mark.registry
def test_the_real_counts_of_quoref(monkeypatch):
    if not (CACHE / "distributions" / make_dataset("quoref").sha256).is_dir():
        pytest.skip("its archive of 358 MB is not in the cache: finecomb prepare dataset=quoref fetches it")
    monkeypatch.setenv("FINECOMB_CACHE", str(CACHE))
    rows, raw = real("quoref")
    assert (len(rows), len(set(rows.group)), raw.funnel) == (6500, 2942, [])
