"""Formats of labeling tools: what goes out comes back the same, offsets are checked, and what does not fit is told, never dropped."""

import json
import random
from dataclasses import replace

import pytest

from finecomb.core.errors import ConfigError
from finecomb.data.spans import Span
from finecomb.labeling import storage, tokens
from finecomb.labeling.documents import Document, Malformed
from finecomb.labeling.formats import FORMATS, Options
from finecomb.labeling.offsets import Offsets

PIECES = [
    "Ann", "ice cream", "\U0001f600", "\U0001f468\u200d\U0001f692", "e\u0301te\u0301", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d\u0628\u0627", "北京大学", "\U00020bb7野家", "\r\n", "\n", "\t", " ", "\u00a0",
    "\u2028", "!?", "__label__x", '"quoted", <b>&amp;', "#", "-", "\u200f",
]  # fmt: skip
CLASSES = ["good", "very bad", "a|b", "[x]", "日本", "\U0001f44d", 'q"<&>']
KINDS = ["PER", "ORG", "lieu é", "\U0001f3e0"]


def documents(seed, *, labels=True, spans=True, overlap=True, answers=("accept", "ignore", None), several=True, count=60):
    draw = random.Random(seed)
    made = []
    for number in range(count):
        text = " ".join(draw.choices(PIECES, k=draw.randint(1, 9))) + draw.choice(["", " end", "\U0001f600"])
        if not text.strip():
            text += "x"
        found = set()
        for _ in range(draw.randint(0, 4) if spans else 0):
            start = draw.randrange(len(text))
            found.add(Span(start, draw.randint(start + 1, len(text)), draw.choice(KINDS)))
        if not overlap:
            found = {
                span for span in found if not any(other != span and other.start < span.end and span.start < other.end for other in found)
            }
        answer = draw.choice(answers)
        chosen = draw.sample(CLASSES, draw.randint(0, 3 if several else 1)) if labels else []
        made.append(
            Document(
                f"id {number} \U0001f600", text, tuple(chosen), tuple(sorted(found)),
                None if answer is None else draw.choice(["ann", "b\u00f6b@example.org"]), answer,
                draw.choice([None, "model \u00e9"]), draw.choice([None, 0.25, 1.0]), draw.choice([None, "2026-11-26T06:00:00+00:00"]),
            )
        )  # fmt: skip
    return made


def there_and_back(name, given, **options):
    """Out and in again; what a format says of rows without a label or span and without an answer is the caller's to know."""
    chosen = Options(**options)
    written = FORMATS[name].write(given, chosen)
    assert not written.refused
    found = FORMATS[name].read(written.text, "back", chosen)
    assert not found.bad
    return found.documents


def stripped(document):
    """A row that nobody said anything of, as formats keep it: without origin, confidence and time, which are those of an opinion."""
    blank = document.answer is None and not document.labels and not document.spans
    return Document(document.id, document.text) if blank else document


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("offsets", ["code-points", "utf-16"])
@pytest.mark.parametrize("name", ["label_studio", "argilla"])
def test_records_with_suggestions_and_answers_come_back_as_they_went(name, offsets, seed):
    given = documents(seed)
    # What one of several people said of a row stands beside what the others said.
    given += [replace(each, annotator="carol", answer="accept", labels=("good",)) for each in given[::3]]
    back = there_and_back(name, given, offsets=offsets)
    key = lambda each: (each.id, each.annotator or "")  # noqa: E731
    blank = {each.id for each in given if stripped(each) != each}
    kept = [each for each in map(stripped, given) if each.answer is not None or each.id not in blank or each.labels or each.spans]
    alone = blank - {each.id for each in kept}
    assert sorted(back, key=key) == sorted(
        [*kept, *(stripped(each) for each in given if each.id in alone and each.annotator is None)], key=key
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("offsets", ["code-points", "utf-16"])
def test_prodigy_and_our_own_lines_hold_everything(offsets, seed):
    given = documents(seed, answers=("accept", "reject", "ignore", None))
    assert there_and_back("prodigy", given, offsets=offsets) == given
    assert there_and_back("prodigy", given, offsets=offsets, tokens="characters") == given
    assert there_and_back("jsonl", given) == given


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["doccano", "doccano_relations"])
def test_doccano_returns_answers_and_makes_answers_of_suggestions_only_where_rows_were_approved(name, seed):
    given = documents(seed, answers=("accept", None))
    assert there_and_back(name, given) == given
    assert there_and_back(name, given, offsets="code-points") == given
    approved = [replace(each, answer="accept") if each.labels or each.spans else each for each in given]
    assert there_and_back(name, given, approved=True) == approved


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scheme", ["iob2", "bioes"])
def test_conll_gives_back_ids_texts_and_offsets_with_the_rows_that_went_out(scheme, seed):
    for name in tokens.TOKENISERS:
        draw = random.Random(seed)
        tokenise = tokens.tokeniser(name)
        given = []
        for each in documents(seed, labels=False, spans=False, answers=("accept",)):
            edges, spans = tokenise(each.text), []
            at = 0
            while at < len(edges):
                last = draw.randint(at, min(len(edges) - 1, at + 2))
                if draw.random() < 0.5:
                    spans.append(Span(edges[at][0], edges[last][1], draw.choice(["PER", "ORG", "I-x"])))
                at = last + 1
            if edges:
                given.append(replace(each, spans=tuple(spans)))
        written = FORMATS["conll"].write(given, Options(scheme=scheme, tokens=name))
        assert not written.refused
        rows = storage.read(written.beside[".rows.jsonl"], "rows").documents
        assert all(not row.spans for row in rows)  # of answers: the tags hold them
        found = FORMATS["conll"].read(written.text, "tags.conll", Options(texts=rows))
        assert not found.bad
        assert found.documents == given
        # Without them the same tokens carry the same tags.
        alone = FORMATS["conll"].read(written.text, "tags.conll", Options()).documents
        assert FORMATS["conll"].write(alone, Options(scheme=scheme, tokens="whitespace")).text == written.text


def test_fasttext_gives_back_classes_and_refuses_what_it_cannot_hold():
    given = [
        Document("row:0", "so  good \U0001f600 ", ("good", "fine"), answer="accept"),
        Document("row:1", " nothing said", ()),
        Document("row:2", "bad", ("bad",), answer="accept"),
    ]
    assert there_and_back("fasttext", given) == given
    named = [replace(each, id=f"n{number}") for number, each in enumerate(given)]
    text = FORMATS["fasttext"].write(named, Options()).text
    assert FORMATS["fasttext"].read(text, "back", Options(texts=named)).documents == named
    assert FORMATS["fasttext"].read(text, "back", Options(texts=named[:2])).bad[0].why == "no row of --texts has the text 'bad'"
    unfit = [
        Document("a", "two\nlines", ("x",)), Document("b", "text", ("two words",)), Document("c", "text", spans=(Span(0, 2, "X"),)),
        Document("d", "__label__x y"), Document("e", "text", ("x",), answer="ignore"), Document("f", "  "), Document("g", "end\r"),
    ]  # fmt: skip
    refused = FORMATS["fasttext"].write(unfit, Options()).refused
    assert [each.where for each in refused] == [f"row {each.id}" for each in unfit]


def test_conll_refuses_overlapping_and_unaligned_spans_and_names_them():
    given = [
        Document("both", "the ice cream man", spans=(Span(4, 13, "FOOD"), Span(8, 17, "PER"))),
        Document("half", "the ice cream man", spans=(Span(5, 13, "FOOD"),)),
        Document("space", "the ice cream man", spans=(Span(3, 7, "FOOD"),)),
        Document("class", "the ice cream man", ("good",)),
        Document("fine", "the ice cream man", spans=(Span(4, 13, "FOOD"),)),
    ]
    written = FORMATS["conll"].write(given, Options())
    why = {each.where: each.why for each in written.refused}
    assert why["row both"] == "the span 8..17 'cream man' (PER) overlaps the span 4..13 'ice cream' (FOOD)"
    assert why["row half"] == "the span 5..13 'ce cream' (FOOD) begins inside a token or on white space"
    assert set(why) == {"row both", "row half", "row space", "row class"}
    assert written.text == (
        "-DOCSTART- -X- -X- O\n\nthe -X- -X- O\nice -X- -X- B-FOOD\ncream -X- -X- I-FOOD\nman -X- -X- O\n\n"
    )  # fmt: skip


def test_tokens_keep_marks_with_their_letters_and_part_chinese_where_asked():
    def cut(name, text):
        return [text[start:end] for start, end in tokens.tokeniser(name)(text)]

    french, hindi = "e\u0301te\u0301", "\u0928\u092e\u0938\u094d\u0924\u0947"
    assert cut("words", f"{french} {hindi} don't x_1") == [french, hindi, "don", "'", "t", "x_1"]
    assert cut("words", "北京ok") == ["北京ok"]
    assert cut("characters", "北京ok \U00020bb7野2") == ["北", "京", "ok", "\U00020bb7", "野", "2"]
    assert cut("whitespace", "don't\u00a0go\r\n") == ["don't", "go"]
    assert cut("[A-Z][a-z]+| .", "AnnBob c") == ["Ann", "Bob", "c"]
    with pytest.raises(ConfigError, match="is not a tokenizer"):
        tokens.tokeniser("(")


def test_tags_in_every_scheme_become_the_same_spans():
    expected = [(0, 1, "PER"), (2, 2, "PER"), (4, 4, "ORG")]
    for scheme, tags in {
        "iob1": ["I-PER", "I-PER", "B-PER", "O", "I-ORG"],
        "iob2": ["B-PER", "I-PER", "B-PER", "O", "B-ORG"],
        "bioes": ["B-PER", "E-PER", "S-PER", "O", "S-ORG"],
    }.items():
        assert tokens.scheme_of(tags) == scheme
        assert tokens.to_runs(tags, scheme) == expected
    bilou = ["B-PER", "L-PER", "U-PER", "O", "U-ORG"]
    assert tokens.to_runs(bilou, tokens.scheme_of(bilou)) == expected
    for scheme, tags in (
        ("bioes", ["B-PER", "O"]),
        ("bioes", ["S-PER", "I-PER"]),
        ("iob2", ["O", "I-PER"]),
        ("iob2", ["X-PER"]),
        ("iob2", ["B"]),
    ):
        with pytest.raises(Malformed):
            tokens.to_runs(tags, scheme)


def test_files_of_conll_2003_itself_are_read():
    first = "EU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\nBlackburn NNP I-NP I-PER\n\n"
    text = f"-DOCSTART- -X- -X- O\n\n{first}-DOCSTART- -X- O O\n\nOK UH O O\n"
    found = FORMATS["conll"].read(text, "eng.train", Options())
    assert [each.text for each in found.documents] == ["EU rejects\nPeter Blackburn", "OK"]
    assert found.documents[0].spans == (Span(0, 2, "ORG"), Span(11, 26, "PER"))
    # Without -DOCSTART- each sentence is a document; tabs and trailing white space do not matter.
    found = FORMATS["conll"].read("a\tB-X\r\nb\tO \r\n\r\n\r\nc\tO", "f", Options())
    assert [each.text for each in found.documents] == ["a b", "c"]
    found = FORMATS["conll"].read("a O\nalone\nb I-X\n", "f", Options())
    assert [(each.where, each.why) for each in found.bad] == [("f, line 2", "a token and its tag are expected, found 'alone'")]
    assert found.notes == ["tags are read as IOB1: I- begins a span where none is open"]
    rows = [Document("r", "EU accepts")]
    found = FORMATS["conll"].read("EU B-ORG\nrejects O\n", "f", Options(texts=rows))
    assert found.bad[0].why == "the token 'rejects' is not what comes next in the text, which is 'accepts'"
    assert "2 documents, and 1 texts" in FORMATS["conll"].read("a O\n\nb O\n", "f", Options(texts=rows)).bad[0].why


def test_offsets_of_javascript_are_the_same_places():
    text = "\U0001f468\U0001f3fb\u200d\U0001f692 firemen drive firetrucks"
    offsets = Offsets(text, "utf-16")
    # The numbers doccano gives for this text.
    assert (offsets.inward(22), offsets.inward(32)) == (19, 29)
    assert text[19:29] == "firetrucks"
    assert (offsets.outward(19), offsets.outward(29)) == (22, 32)
    with pytest.raises(Malformed, match="inside a character"):
        offsets.inward(1)
    for point in range(len(text) + 1):
        assert offsets.outward(point) == len(text[:point].encode("utf-16-le")) // 2
        assert offsets.inward(offsets.outward(point)) == point
    row = {"id": 7, "text": text, "label": [[22, 32, "CAR"]], "Comments": []}
    assert FORMATS["doccano"].read(json.dumps(row), "d", Options()).documents[0].spans == (Span(19, 29, "CAR"),)
    note = (
        "1 row has spans and characters beyond U+FFFF; offsets are counted in utf-16, as doccano does; otherwise give --offsets code-points"
    )
    assert FORMATS["doccano"].read(json.dumps(row), "d", Options()).notes == [note]
