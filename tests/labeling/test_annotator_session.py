"""The session behind the labeling page: nothing said is lost, nobody else may ask, and offsets of JavaScript are understood."""

import http.client
import json
import threading

import pytest

from finecomb.core.errors import ConfigError
from finecomb.data.spans import Span
from finecomb.labeling import storage
from finecomb.labeling.documents import Document, Malformed, settled
from finecomb.labeling.server import LARGEST, Server
from finecomb.labeling.session import Session, Task, asked

ROWS = [Document("a", "\U0001f600 Ann"), Document("b", "two"), Document("c", "three", ("bad",), confidence=0.7, origin="m")]
TASK = Task(["good", "bad"], ["PER"])


@pytest.fixture
def session(tmp_path):
    made = Session(asked(ROWS, TASK), TASK, "ann", tmp_path)
    yield made
    made.close()


def again(folder, rows=ROWS, task=TASK, name="ann"):
    made = Session(asked(rows, task), task, name, folder)
    made.close()
    return made


def test_an_answer_is_on_the_disk_before_it_counts_and_the_last_one_wins(session, tmp_path):
    session.answer(0, {"answer": "accept", "labels": ["good"], "spans": [{"start": 3, "end": 6, "label": "PER", "text": "Ann"}]})
    kept = storage.read((tmp_path / "ann.jsonl").read_text(), "f").documents
    assert (kept[0].labels, kept[0].spans, kept[0].annotator, kept[0].answer) == (("good",), (Span(2, 5, "PER"),), "ann", "accept")
    assert kept[0].time.endswith("+00:00")
    assert session.shown(0)["answer"]["spans"] == [{"start": 3, "end": 6, "label": "PER"}]
    session.answer(0, {"answer": "accept", "labels": ["bad"], "spans": []})
    session.answer(1, {"answer": "ignore", "labels": ["bad"]})
    assert session.counts() == {"rows": 3, "answered": 2, "skipped": 1}
    assert (session.first_open(0), session.first_open(3)) == (2, 2)
    session.close()
    after = again(tmp_path)
    assert after.shown(0)["answer"]["labels"] == ["bad"]
    assert after.shown(1)["answer"] == {"answer": "ignore", "labels": [], "spans": [], "confidence": None}
    assert after.shown(2)["suggestion"] == {"answer": None, "labels": ["bad"], "spans": [], "confidence": 0.7}


def test_undo_restores_what_was_said_before_also_for_the_next_session(session, tmp_path):
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    session.answer(0, {"answer": "accept", "labels": ["bad"]})
    session.answer(1, {"answer": "accept", "labels": ["bad"]})
    assert session.undo() == 1
    assert session.undo() == 0
    assert session.shown(0)["answer"]["labels"] == ["good"]
    assert session.counts()["answered"] == 1
    session.close()
    after = again(tmp_path)
    assert (after.shown(0)["answer"]["labels"], after.shown(1)["answer"]) == (["good"], None)
    told = settled(storage.read((tmp_path / "ann.jsonl").read_text(), "f").documents)
    assert [(each.id, each.labels, each.answer, each.annotator) for each in told] == [
        ("a", ("good",), "accept", "ann"),
        ("b", (), None, None),
    ]
    assert again(tmp_path).undo() is None


def test_a_line_that_a_crash_cut_short_is_taken_off_and_the_rest_stays(session, tmp_path):
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    session.close()
    path = tmp_path / "ann.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    after = again(tmp_path)
    assert after.notes == ["the last line of the file was cut short, and was taken off"]
    assert after.counts()["answered"] == 1
    assert path.read_bytes() == whole


def test_a_file_that_is_removed_while_it_is_served_is_written_again(session, tmp_path):
    folder = tmp_path
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    (folder / "ann.jsonl").unlink()
    session.answer(1, {"answer": "accept", "labels": ["bad"]})
    session.answer(2, {"answer": "ignore"})
    assert session.undo() == 2
    session.close()
    after = again(folder)
    assert [after.shown(number)["answer"] and after.shown(number)["answer"]["labels"] for number in range(3)] == [["good"], ["bad"], None]


def test_a_file_that_is_replaced_while_it_is_served_is_left_alone_and_no_answer_counts(session, tmp_path):
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    (tmp_path / "other").write_text("kept\n")
    (tmp_path / "other").rename(tmp_path / "ann.jsonl")
    with pytest.raises(ConfigError, match="was replaced by another file, and the answer is not saved"):
        session.answer(1, {"answer": "accept", "labels": ["bad"]})
    assert (tmp_path / "ann.jsonl").read_text() == "kept\n"
    assert session.counts()["answered"] == 1


def test_a_disk_that_is_full_leaves_no_half_line_and_no_answer(session, tmp_path, monkeypatch):
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    before = (tmp_path / "ann.jsonl").read_bytes()

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            return self.file.write(data[:10])

    monkeypatch.setattr(session, "_file", Full(session._file))
    with pytest.raises(ConfigError, match="disk is full"):
        session.answer(1, {"answer": "accept", "labels": ["good"]})
    assert (tmp_path / "ann.jsonl").read_bytes() == before
    assert session.counts()["answered"] == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"answer": "accept", "labels": ["fine"]}, "'fine' is none of the labels"),
        ({"answer": "accept", "labels": ["good", "bad"]}, "more than one label"),
        ({"answer": "accept", "labels": []}, "no label was chosen"),
        ({"answer": "yes"}, "accept or ignore"),
        ({"answer": "accept", "labels": ["good"], "spans": [{"start": 1, "end": 6, "label": "PER", "text": "x"}]}, "inside a character"),
        ({"answer": "accept", "labels": ["good"], "spans": [{"start": 2, "end": 5, "label": "PER", "text": "Ann"}]}, "covers"),
        ({"answer": "accept", "labels": ["good"], "spans": [{"start": 3, "end": 99, "label": "PER", "text": "Ann"}]}, "is not inside"),
        ({"answer": "accept", "labels": ["good"], "spans": [{"start": 3, "end": 6, "label": "ORG", "text": "Ann"}]}, "none of the spans"),
        ({"answer": "accept", "labels": ["good"], "spans": [{"start": 3, "end": 6, "label": "PER", "text": "Ann"}] * 2}, "occurs twice"),
    ],
)
def test_what_is_no_answer_to_the_task_is_refused_and_not_kept(session, tmp_path, given, told):
    with pytest.raises(Malformed, match=told):
        session.answer(0, given)
    assert (tmp_path / "ann.jsonl").read_bytes() == b""


def test_two_annotators_label_at_once_and_a_held_file_is_told(session, tmp_path):
    with pytest.raises(ConfigError, match="is held by process"):
        again(tmp_path)
    other = Session(asked(ROWS, TASK), TASK, "bob", tmp_path)
    other.answer(0, {"answer": "accept", "labels": ["bad"]})
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    other.close()
    labels = {name: storage.read((tmp_path / f"{name}.jsonl").read_text(), "f").documents[0].labels for name in ("ann", "bob")}
    assert labels == {"ann": ("good",), "bob": ("bad",)}


def test_answers_to_other_texts_are_not_mixed_up(session, tmp_path):
    session.answer(0, {"answer": "accept", "labels": ["good"]})
    session.close()
    with pytest.raises(ConfigError, match="labels another text under the id 'a'"):
        again(tmp_path, [Document("a", "something else")])
    assert again(tmp_path, [Document("z", "more")]).notes == ["1 answers of the file are to rows that are not among these; they are kept"]


def test_only_suggestions_that_the_task_offers_are_shown():
    rows = [Document("a", "text", ("good", "odd"), (Span(0, 2, "PER"), Span(0, 3, "ODD")), "bob", "accept")]
    assert asked(rows, TASK) == [Document("a", "text", ("good",), (Span(0, 2, "PER"),))]
    with pytest.raises(ConfigError, match="nothing is asked"):
        asked(rows, Task())
    with pytest.raises(ConfigError, match="occurs twice"):
        asked(rows, Task(["a", "a"]))


@pytest.fixture
def server(session):
    made = Server(session)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def request(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    found = response.status, response.read(), dict(response.getheaders())
    connection.close()
    return found


def answered(server, body, **headers):
    usual = {"X_Token": server.token, "Content_Type": "application/json"}
    return request(server, "POST", "/answer", body if isinstance(body, str) else json.dumps(body), **(usual | headers))


def test_it_listens_on_loopback_alone_and_the_page_may_load_nothing_from_elsewhere(server):
    assert server.server_address[0] == "127.0.0.1"
    status, page, headers = request(server, "GET", "/")
    assert status == 200
    assert server.token.encode() in page
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    for path, (content, _) in server.pages.items():
        assert request(server, "GET", path)[1] == content
        assert b"http" not in content.replace(b"http-equiv", b"")


def test_other_names_and_other_sites_are_refused(server):
    good = {"number": 0, "answer": "accept", "labels": ["good"]}
    port = server.server_port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", ""):
        assert request(server, "GET", "/", Host=host)[0] == 421
        assert answered(server, good, Host=host)[0] == 421
    assert answered(server, good, Origin="http://evil.example")[0] == 403
    assert answered(server, good, Origin="null")[0] == 403
    assert answered(server, good, X_Token="wrong")[0] == 403
    assert request(server, "GET", "/task")[0] == 403
    assert request(server, "GET", "/row/0")[0] == 403
    assert answered(server, good, Content_Type="text/plain")[0] == 415
    assert server.session.counts()["answered"] == 0
    assert answered(server, good, Origin=f"http://127.0.0.1:{port}", Host=f"127.0.0.1:{port}")[0] == 200
    assert server.session.counts()["answered"] == 1


def test_requests_that_are_too_large_or_broken_are_refused_and_the_next_one_is_served(server):
    assert answered(server, "x", Content_Length=str(LARGEST + 1))[0] == 413
    assert answered(server, "{", Content_Length="9" * 30)[0] == 413
    assert answered(server, "{")[0] == 400
    assert answered(server, "[]")[0] == 400
    assert answered(server, "[" * 100_000)[0] == 400
    for number in (-1, 3, True, "0", None, 10**20):
        status, body, _ = answered(server, {"number": number, "answer": "accept", "labels": ["good"]})
        assert status == 400, number
        assert json.loads(body)["error"]
    for path in ("/row/3", "/row/-1", "/row/99999999999999", "/row/x", "/../session.py", "/page/page.js"):
        assert request(server, "GET", path, X_Token=server.token)[0] == 404
    assert request(server, "POST", "/other", "{}", X_Token=server.token, Content_Type="application/json")[0] == 404
    status, body, _ = answered(server, {"number": 0, "answer": "accept", "labels": ["good"]})
    assert (status, json.loads(body)) == (200, {"counts": {"rows": 3, "answered": 1, "skipped": 0}, "next": 1})
    assert request(server, "PUT", "/answer")[0] == 501


def test_suggestions_can_be_hidden(session):
    made = Server(session, suggestions=False)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        assert json.loads(request(made, "GET", "/row/2", X_Token=made.token)[1])["suggestion"] is None
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
