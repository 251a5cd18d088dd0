"""Files that labeling tools export: what they state of each row is read, and what cannot be read is reported with its line."""

import json
from dataclasses import replace

import pytest

from finecomb.core.errors import ConfigError
from finecomb.data.spans import Span
from finecomb.labeling import storage
from finecomb.labeling.documents import Document, last_wins
from finecomb.labeling.formats import FORMATS, Options


def label_studio(value, **annotation):
    region = {"id": "a", "from_name": "ner", "to_name": "text", "type": "labels", "value": value}
    return json.dumps([{"id": 3, "data": {"text": "\U0001f600 hello Ann"}, "annotations": [{"result": [region], **annotation}]}])


def test_a_span_whose_text_is_another_is_reported_with_its_line_and_how_it_would_fit():
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


@pytest.mark.parametrize(
    ("name", "record", "why"),
    [
        ("argilla", {"fields": {"text": "so"}, "suggestions": [1]}, "not a record of Argilla: "),
        ("argilla", {"fields": {"text": "so"}, "responses": {"label": [{"user_id": "u"}]}}, "not a record of Argilla: 'value'"),
        ("doccano", {"text": "so", "label": 5}, "a label is a text or a list of texts, found 5"),
        ("doccano", {"text": "so", "entities": 5}, "entities is a list, found 5"),
        ("label_studio", {"data": {"text": "so"}, "annotations": [{"result": ["x"]}]}, "not a record of Label Studio: "),
        ("prodigy", {"text": "so", "accept": 5}, "not a record of Prodigy: "),
        ("jsonl", {"text": 5}, "text is a text, found 5"),
        ("jsonl", {"text": "so", "answer": "perhaps"}, "the answer 'perhaps' is none of accept, reject, ignore"),
    ],
)
def test_a_record_of_another_form_is_reported_with_its_line_and_the_others_are_read(name, record, why):
    good = records(name, [1, 2]).split("\n")
    result = FORMATS[name].read("\n".join([good[0], json.dumps(record), "{", "[1]", good[1]]), "x.json", Options())
    assert [each.id for each in result.documents] == ["1", "2"]
    assert [each.where for each in result.bad] == ["x.json, line 2", "x.json, line 3", "x.json, line 4"]
    assert result.bad[0].why.startswith(why)
    assert result.bad[1].why.startswith("not JSON: ")
    assert result.bad[2].why == "a JSON object is expected, found list"


def test_a_line_of_fasttext_whose_text_was_not_given_out_is_reported_with_its_line():
    rows = [Document("a", "so good")]
    result = FORMATS["fasttext"].read("\n__label__x so bad\r\n__label__x so good\n__label__y so good\n", "x", Options(texts=rows))
    assert [(each.id, each.labels) for each in result.documents] == [("a", ("x",))]
    assert [(each.where, each.why) for each in result.bad] == [
        ("x, line 2", "no row of --texts has the text 'so bad'"), ("x, line 4", "no row of --texts has the text 'so good'"),
    ]  # fmt: skip
