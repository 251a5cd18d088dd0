"""Formats of labeling tools: what goes out comes back the same, offsets are checked, and what does not fit is told, never dropped."""

import json
import random
from dataclasses import replace

import pytest

from finecomb.core.errors import ConfigError
from finecomb.labeling import storage, tokens
from finecomb.labeling.documents import Document, Malformed, Span, last_wins
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
    with pytest.raises(ConfigError, match="no tokeniser"):
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


def label_studio(value, **annotation):
    region = {"id": "a", "from_name": "ner", "to_name": "text", "type": "labels", "value": value}
    return json.dumps([{"id": 3, "data": {"text": "\U0001f600 hello Ann"}, "annotations": [{"result": [region], **annotation}]}])


def test_a_span_whose_text_is_another_is_told_with_its_line_and_how_it_would_fit():
    good = label_studio({"start": 8, "end": 11, "text": "Ann", "labels": ["PER"]}, completed_by={"email": "a@b.c"})
    document = FORMATS["label_studio"].read(good, "x.json", Options()).documents[0]
    assert (document.spans, document.annotator, document.id) == ((Span(8, 11, "PER"),), "a@b.c", "3")
    old = label_studio({"start": 9, "end": 12, "text": "Ann", "labels": ["PER"]})
    bad = FORMATS["label_studio"].read(old, "x.json", Options()).bad
    assert [each.where for each in bad] == ["x.json, line 1"]
    assert bad[0].why.endswith("'nn', and the file says 'Ann'; it fits when offsets are counted in utf-16: --offsets utf-16")
    assert FORMATS["label_studio"].read(old, "x.json", Options(offsets="utf-16")).documents[0].spans == (Span(8, 11, "PER"),)
    beyond = label_studio({"start": 9, "end": 40, "labels": ["PER"]})
    assert "is not inside the text, which has 11 characters" in FORMATS["label_studio"].read(beyond, "x", Options()).bad[0].why


def test_label_studio_exports_are_read_with_all_that_they_say():
    choice = {"id": "c", "from_name": "mood", "to_name": "text", "type": "choices", "value": {"choices": ["good"]}}
    other = {"id": "d", "from_name": "topic", "to_name": "text", "type": "choices", "value": {"choices": ["film"]}}
    stars = {"id": "e", "from_name": "stars", "to_name": "text", "type": "rating", "value": {"rating": 4}}
    tasks = [
        {"id": 1, "data": {"review": "fine"}, "annotations": [{"result": [choice, stars], "completed_by": 5, "was_cancelled": False}],
         "predictions": [12]},
        {"id": 2, "data": {"review": "so"}, "annotations": [{"result": [], "completed_by": 5, "was_cancelled": True}]},
        {"id": 3, "data": {"review": "new"}, "annotations": []},
        {"id": 4, "data": {"review": "two"}, "annotations": [{"result": [choice, other]}]},
    ]  # fmt: skip
    found = FORMATS["label_studio"].read(json.dumps(tasks, indent=1), "x", Options())
    assert [(each.id, each.labels, each.annotator, each.answer) for each in found.documents] == [
        ("1", ("good",), "5", "accept"), ("2", (), "5", "ignore"), ("3", (), None, None),
    ]  # fmt: skip
    assert found.bad[0].why == "there are several choices, mood, topic: name one by --field"
    assert found.bad[0].where == f"x, line {json.dumps(tasks, indent=1).split('two')[0].count(chr(10)) - 2}"
    assert found.notes == ["1 results of type rating are neither classes nor spans, and were left out"]
    assert FORMATS["label_studio"].read(json.dumps(tasks), "x", Options(field="topic")).documents[3].labels == ("film",)
    minimal = [
        {"id": 1, "text": "Ann is fine", "label": "good", "annotator": 5, "created_at": "2026-01-01T00:00:00Z", "example_id": "r1",
         "spans": [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}]},
        {"id": 2, "text": "both", "label": {"choices": ["good", "bad"]}, "annotator": "a@b.c"},
    ]  # fmt: skip
    found = FORMATS["label_studio"].read(json.dumps(minimal), "x", Options())
    assert found.documents == [
        Document("r1", "Ann is fine", ("good",), (Span(0, 3, "PER"),), "5", "accept", time="2026-01-01T00:00:00Z"),
        Document("2", "both", ("good", "bad"), (), "a@b.c", "accept"),
    ]


def test_doccano_rows_of_every_project_are_read():
    rows = [
        {"id": 1, "text": "good", "label": ["positive"]},
        {"id": 2, "text": "good", "labels": "positive"},
        {"id": 3, "data": "EU rejects", "label": [[0, 2, "ORG"]]},
        {"id": 4, "text": "EU rejects", "entities": [{"id": 0, "label": "ORG", "start_offset": 0, "end_offset": 2}],
         "relations": [{"id": 0, "from_id": 0, "to_id": 0, "type": "same"}]},
        {"id": 5, "text": "book EU", "entities": [[5, 7, "ORG"]], "cats": ["order"]},
        {"id": 6, "text": "nobody looked", "label": []},
    ]  # fmt: skip
    found = FORMATS["doccano"].read("\n".join(map(json.dumps, rows)), "d", Options())
    assert [(each.labels, each.spans, each.answer) for each in found.documents] == [
        (("positive",), (), "accept"), (("positive",), (), "accept"),
        ((), (Span(0, 2, "ORG"),), "accept"), ((), (Span(0, 2, "ORG"),), "accept"),
        (("order",), (Span(5, 7, "ORG"),), "accept"), ((), (), None),
    ]  # fmt: skip
    assert found.notes == ["1 relations between spans were left out: only the spans are kept"]
    wrong = [
        '{"text": 5}',
        '{"text": "x", "label": [[0, 9, "A"]]}',
        '{"text": "x", "label": [[0, 1]]}',
        "[1]",
        '{"text": "x", "label": [1]}',
        "{",
        '"x"',
    ]
    bad = FORMATS["doccano"].read("\n".join(['{"text": "fine"}', *wrong]), "d", Options())
    assert [each.where for each in bad.bad] == [f"d, line {number}" for number in range(2, 9)]


def test_argilla_lists_of_the_first_version_are_read():
    record = {
        "id": "r", "fields": {"text": "EU rejects"}, "metadata": {},
        "suggestions": [{"question_name": "label", "value": "news", "score": 0.5, "agent": "m"}],
        "responses": [
            {"user_id": "u1", "status": "submitted",
             "values": {"label": {"value": "news"}, "spans": {"value": [{"start": 0, "end": 2, "label": "ORG"}]}}},
            {"user_id": "u2", "status": "discarded", "values": {}},
            {"user_id": "u3", "status": "draft", "values": {"label": {"value": "other"}}},
        ],
    }  # fmt: skip
    found = FORMATS["argilla"].read(json.dumps(record), "a", Options())
    assert found.documents == [
        Document("r", "EU rejects", ("news",), (Span(0, 2, "ORG"),), "u1", "accept"),
        Document("r", "EU rejects", annotator="u2", answer="ignore"),
        Document("r", "EU rejects", ("news",), origin="m", confidence=0.5),
    ]
    assert found.notes == ["1 responses are drafts and were left out"]


def test_prodigy_answers_are_read_and_its_tokens_checked():
    lines = [
        {"text": "Hi Ann", "label": "news", "answer": "reject", "_timestamp": 1700000000, "_annotator_id": "db-ann"},
        {"text": "Hi Ann", "options": [{"id": "a", "text": "A"}, {"id": "b", "text": "B"}], "accept": ["b"], "answer": "accept"},
        {"text": "Hi Ann", "tokens": [{"text": "Hi", "start": 0, "end": 2, "id": 0}, {"text": "Ann", "start": 3, "end": 6, "id": 1}],
         "spans": [{"start": 3, "end": 6, "token_start": 1, "token_end": 1, "label": "PER"}], "answer": "ignore"},
        {"text": "Hi Ann", "tokens": [{"text": "Hi", "start": 0, "end": 2, "id": 0}, {"text": "Ann", "start": 3, "end": 6, "id": 1}],
         "spans": [{"start": 3, "end": 6, "token_start": 0, "token_end": 1, "label": "PER"}]},
    ]  # fmt: skip
    found = FORMATS["prodigy"].read("\n".join(map(json.dumps, lines)), "p", Options())
    assert [(each.labels, each.spans, each.annotator, each.answer) for each in found.documents] == [
        (("news",), (), "db-ann", "reject"), (("b",), (), None, "accept"), ((), (Span(3, 6, "PER"),), None, "ignore"),
    ]  # fmt: skip
    assert found.documents[0].time == "2023-11-14T22:13:20+00:00"
    assert [(each.where, each.why) for each in found.bad] == [("p, line 4", "the span 3..6 and its token_start 0 do not agree")]
    written = FORMATS["prodigy"].write([Document("x", "ice cream", spans=(Span(1, 3, "A"), Span(0, 3, "B")))], Options())
    task = json.loads(written.text)
    assert [token["text"] for token in task["tokens"]] == ["ice", "cream"]
    assert [("token_start" in span) for span in task["spans"]] == [False, True]
    assert written.notes == ["1 spans do not begin and end with tokens and carry no token_start and token_end; --tokens sets them"]


@pytest.mark.parametrize("name", ["label_studio", "argilla", "doccano", "fasttext", "conll"])
def test_what_a_tool_has_no_place_for_is_refused_with_its_row(name):
    rejected = Document("r9", "text", ("x",), (), "ann", "reject")
    refused = FORMATS[name].write([rejected], Options()).refused
    assert [each.where for each in refused] == ["row r9 by ann"]
    assert "reject" in refused[0].why


def records(name, ids):
    """A file of a tool whose rows have these ids of the tool's own."""
    rows = {
        "label_studio": lambda at: {"id": at, "data": {"text": f"text {at}"}},
        "doccano": lambda at: {"id": at, "text": f"text {at}", "label": ["x"]},
        "argilla": lambda at: {"id": at, "fields": {"text": f"text {at}"}},
        "prodigy": lambda at: {"id": at, "text": f"text {at}", "label": "x", "answer": "accept"},
        "jsonl": lambda at: {"id": at, "text": f"text {at}", "label": "x", "answer": "accept"},
    }  # fmt: skip
    return "\n".join(json.dumps(rows[name](at)) for at in ids)


@pytest.mark.parametrize("name", ["label_studio", "doccano", "argilla", "prodigy", "jsonl"])
def test_an_id_of_0_is_an_id(name):
    found = FORMATS[name].read(records(name, [0, 1, 2]), "x", Options())
    assert [(each.id, each.text) for each in found.documents] == [("0", "text 0"), ("1", "text 1"), ("2", "text 2")]


def test_an_annotator_numbered_0_has_a_name():
    minimal = json.dumps({"id": 0, "text": "so", "label": "x", "annotator": {"id": 0}})
    assert FORMATS["label_studio"].read(minimal, "x", Options()).documents == [Document("0", "so", ("x",), (), "0", "accept")]
    task = json.dumps({"text": "so", "meta": {"id": 0}, "label": "x", "answer": "accept", "_annotator_id": 0})
    assert FORMATS["prodigy"].read(task, "x", Options()).documents == [Document("0", "so", ("x",), (), "0", "accept")]


def test_one_id_for_two_texts_is_refused_and_a_later_answer_to_the_same_text_is_not():
    first = Document("0", "a", ("x",), (), "ann", "accept")
    assert last_wins([first, replace(first, labels=("y",))]) == [replace(first, labels=("y",))]
    with pytest.raises(ConfigError, match="the id '0' stands for two texts"):
        last_wins([first, replace(first, text="b")])
    suggestion = Document("0", "a", ("x",))
    with pytest.raises(ConfigError, match="the id '0' occurs twice"):
        last_wins([suggestion, replace(suggestion, labels=("y",))])


def test_what_prodigy_accepts_without_showing_it_stays_a_suggestion():
    given = [Document("0", "Hi Ann", ("news",)), Document("1", "Hi Bob", ("a", "b"), (Span(3, 6, "PER"),)), Document("2", "Hi")]
    tasks = [json.loads(line) for line in FORMATS["prodigy"].write(given, Options()).text.splitlines()]

    def answers(options=Options(), **more):  # noqa: B008
        lines = "\n".join(json.dumps(task | {"answer": "accept"} | more) for task in tasks[:2])
        return [each.answer for each in FORMATS["prodigy"].read(lines, "p", options).documents]

    assert answers() == [None, None]
    assert answers(_view_id="classification") == answers(_session_id="db-ann") == answers(Options(approved=True)) == ["accept", "accept"]
    assert answers(label="other", accept=["a"]) == ["accept", "accept"]


def test_doccano_labels_that_differ_from_the_suggestion_are_an_answer():
    row = json.loads(FORMATS["doccano"].write([Document("0", "Hi Ann", ("news", "mail"))], Options()).text)
    for label, answer in ((["mail", "news"], None), (["news"], "accept"), ([], None)):
        assert [each.answer for each in FORMATS["doccano"].read(json.dumps(row | {"label": label}), "d", Options()).documents] == [answer]


def test_tags_and_lines_that_are_still_the_suggestion_are_no_answer():
    rows = [Document("a", "Hi Ann", spans=(Span(3, 6, "PER"),)), Document("b", "Hi Bob"), Document("c", "Hi Eve", spans=(Span(0, 2, "X"),))]
    written = FORMATS["conll"].write(rows, Options())
    assert "2 suggestions are written like answers" in written.notes[0]
    texts = storage.read(written.beside[".rows.jsonl"], "rows").documents
    changed = written.text.replace("Bob -X- -X- O", "Bob -X- -X- B-PER").replace("B-X", "O")
    read = FORMATS["conll"].read
    assert read(written.text, "x", Options(texts=texts)).documents == rows
    assert [each.answer for each in read(changed, "x", Options(texts=texts)).documents] == [None, "accept", "accept"]
    assert {each.answer for each in read(written.text, "x", Options(texts=texts, approved=True)).documents} == {"accept"}
    rows = [Document("a", "so good", ("x", "y")), Document("b", "so bad", ("x",)), Document("c", "so")]
    written = FORMATS["fasttext"].write(rows, Options())
    assert "2 suggestions are written like answers" in written.notes[0]
    assert FORMATS["fasttext"].read(written.text, "x", Options(texts=rows)).documents == rows
    found = FORMATS["fasttext"].read("__label__y so bad\n", "x", Options(texts=rows)).documents
    assert [(each.id, each.answer) for each in found] == [("b", "accept")]


def test_a_row_of_label_studio_without_an_annotation_is_not_answered():
    row = {"id": 0, "text": "so", "label": "x"}
    answers = [
        [each.answer for each in FORMATS["label_studio"].read(json.dumps(row | more), "x", options).documents]
        for more, options in (({}, Options()), ({"annotation_id": 0}, Options()), ({}, Options(approved=True)))
    ]
    assert answers == [[None], ["accept"], ["accept"]]
