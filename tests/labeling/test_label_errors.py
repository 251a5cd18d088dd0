"""Label errors: the rows that cleanlab finds, out of fold without leaks, as a queue with suggestions."""

import json

import numpy as np
import pytest

from finecomb import cli
from finecomb.core.errors import ConfigError
from finecomb.labeling import label_errors

cleanlab_filter = pytest.importorskip("cleanlab.filter", reason="the reference needs cleanlab")


def noisy(rows, classes, seed, sharpness, shares=None):
    draw = np.random.default_rng(seed)
    truth = draw.choice(classes, rows, p=shares)
    scores = draw.normal(size=(rows, classes)) + sharpness * np.eye(classes)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    flipped = draw.random(rows) < 0.1
    return np.where(flipped, (truth + draw.integers(1, classes, rows)) % classes, truth), probabilities


def digits():
    """Real data: handwritten digits, a tenth of the labels changed, probabilities by logistic regression out of fold."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    images, labels = (part[:700] for part in load_digits(return_X_y=True))
    draw = np.random.default_rng(0)
    wrong = draw.random(len(labels)) < 0.1
    labels = np.where(wrong, (labels + draw.integers(1, 10, len(labels))) % 10, labels)
    return labels, cross_val_predict(LogisticRegression(max_iter=100, C=0.1), images / 16, labels, cv=3, method="predict_proba")


CASES = {
    "two classes": lambda: noisy(3000, 2, 0, 1.5),
    "five classes, unequal": lambda: noisy(4000, 5, 1, 2.5, [0.5, 0.2, 0.15, 0.1, 0.05]),
    "hardly told apart": lambda: noisy(2000, 3, 2, 0.3),
    "digits": digits,
}


@pytest.mark.parametrize("name", CASES)
def test_the_rows_are_those_that_cleanlab_finds(name):
    labels, probabilities = CASES[name]()
    for method, mine in (("confident_learning", label_errors.suspects), ("low_normalized_margin", label_errors.low_margins)):
        theirs = cleanlab_filter.find_label_issues(labels, probabilities, filter_by=method, n_jobs=1)
        found = mine(labels.astype(np.int64), probabilities)
        assert len(found) > 20
        assert set(found.tolist()) == set(np.flatnonzero(theirs).tolist())
        order = label_errors.margins(labels.astype(np.int64), probabilities)[found]
        assert (np.diff(order) >= 0).all()


def test_rows_of_equal_margins_keep_their_order_where_cleanlab_has_none():
    labels, probabilities = (np.repeat(each, 3, axis=0) for each in noisy(500, 3, 7, 1.0))
    peer = cleanlab_filter.find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    rows = label_errors.suspects(labels.astype(np.int64), probabilities)
    assert set(rows.tolist()) == set(np.flatnonzero(peer).tolist())
    for chosen in (rows, label_errors.low_margins(labels.astype(np.int64), probabilities)):
        keys = list(zip(label_errors.margins(labels.astype(np.int64), probabilities)[chosen].tolist(), chosen.tolist(), strict=True))
        assert len(keys) > 50
        assert keys == sorted(keys)


def reviews():
    """Short texts whose words tell the class; one in ten has the other label."""
    draw = np.random.default_rng(3)
    words = {"bad": ["dull", "cold", "boring", "weak"], "good": ["lovely", "warm", "bright", "strong"]}
    truth = [("bad", "good")[row % 2] for row in range(200)]
    texts = [f"a {draw.choice(words[label])} and {draw.choice(words[label])} film number {row}" for row, label in enumerate(truth)]
    wrong = set(draw.choice(200, 20, replace=False).tolist())
    return texts, [{"bad": "good", "good": "bad"}[label] if row in wrong else label for row, label in enumerate(truth)], wrong


def test_flipped_labels_of_texts_are_queued_with_the_label_they_should_have():
    texts, labels, wrong = reviews()
    queue = label_errors.review_queue(texts, labels, folds=4)
    found = {each.row for each in queue}
    assert len(found & wrong) >= 16
    assert len(found - wrong) <= 2
    assert all(each.suggested != each.given and each.confidence > 0.5 for each in queue)
    assert [each.margin for each in queue] == sorted(each.margin for each in queue)
    assert queue == label_errors.review_queue(texts, labels, folds=4)


def test_copies_of_a_text_are_in_one_fold():
    """Each text stands there twice with a wrong label: a model that had seen the copy would believe it."""
    texts, labels, wrong = reviews()
    again = [text.upper() for text in texts]
    found = {each.row % 200 for each in label_errors.review_queue(texts + again, labels + labels, folds=4)}
    assert len(found & wrong) >= 16


def test_labels_that_cannot_be_judged_are_the_users_error():
    with pytest.raises(ConfigError, match="has 1 different texts"):
        label_errors.review_queue(["a", "b", "B", "c"], ["x", "x", "y", "x"], folds=2)
    with pytest.raises(ConfigError, match="none of the classes"):
        label_errors.review_queue(["a"], ["z"], probabilities=np.ones((1, 2)) / 2, classes=["x", "y"])


def test_the_verb_writes_a_queue_that_can_be_reviewed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts, labels, wrong = reviews()
    rows = [
        json.dumps({"id": f"r{row}", "text": text, "label": label}) for row, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    assert cli.main(["annotate", "errors", "rows.jsonl", "--folds", "4", "--output", "queue.jsonl"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() == "queue.jsonl"
    queue = [json.loads(line) for line in (tmp_path / "queue.jsonl").read_text().splitlines()]
    assert len({int(each["id"][1:]) for each in queue} & wrong) >= 16
    first = queue[0]
    assert {first["label"], labels[int(first["id"][1:])]} == {"bad", "good"}
    assert "answer" not in first
    assert cli.main(["annotate", "errors", "rows.jsonl", "--folds", "4", "--output", "queue.csv"]) == 0
    header, line, *_ = (tmp_path / "queue.csv").read_text().splitlines()
    assert header == "id,text,label,suggested,confidence,margin"
    assert line.startswith(first["id"])
    for probabilities, message in (({"good": 1.0}, "a probability of row 'r0' is missing or no number"), (["a", 1], "--classes NAME,NAME")):
        answers = [{"id": f"r{row}", "probabilities": {"bad": 0.5, "good": 0.5} if row else probabilities} for row in range(200)]
        (tmp_path / "predicted.jsonl").write_text("\n".join(map(json.dumps, answers)))
        assert cli.main(["annotate", "errors", "rows.jsonl", "--predictions", "predicted.jsonl", "--output", "x.csv"]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "few.jsonl").write_text("\n".join(rows[:3]))
    assert cli.main(["annotate", "errors", "few.jsonl", "--output", "x.csv"]) == 2
    assert "different texts" in capsys.readouterr().err
