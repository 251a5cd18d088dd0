"""Labels from rules: what they vote, what the models make of it, what is told."""

import json

import numpy as np
import pyarrow.parquet as parquet
import pytest

from finecomb import cli
from finecomb.config.schema.annotator import Annotator, LabelingFunctions
from finecomb.core.errors import ConfigError
from finecomb.data import annotator
from finecomb.data.annotator import functions
from finecomb.data.annotator.label_model import ABSTAIN, fit
from finecomb.labeling.label_errors import suspects

RULES = {
    "praise": {"label": "positive", "words": ["good", "great"]},
    "blame": {"label": "negative", "pattern": "(?i)\\b(bad|awful)\\b"},
    "short": {"label": "negative", "max_words": 2},
    "chinese": {"label": "positive", "words": ["很好"]},
}


def labeling(rules, **values):
    usual = {"min_confidence": 0.6, "soft": False, "model": "dawid_skene", "class_balance": None, "given_labels": "replace"}
    return LabelingFunctions(name="labeling_functions", functions=rules, **{**usual, **values})


def synthetic(rows, accuracies, coverage, seed, classes=2, shares=None):
    """True classes and votes of independent sources."""
    draw = np.random.default_rng(seed)
    truth = draw.choice(classes, rows, p=shares)
    votes = np.full((rows, len(accuracies)), ABSTAIN, dtype=np.int8)
    for column, accuracy in enumerate(accuracies):
        wrong = (truth + draw.integers(1, classes, rows)) % classes
        said = np.where(draw.random(rows) < accuracy, truth, wrong)
        votes[:, column] = np.where(draw.random(rows) < coverage, said, ABSTAIN)
    return truth, votes


def accuracy(truth, fitted):
    return float((fitted.probabilities.argmax(axis=1) == truth).mean())


def test_rules_vote_for_whole_words_and_in_unspaced_scripts_for_parts():
    rules = functions.build(RULES)
    texts = ["A GOOD film", "goodness me it is so", "Bad, good", "no", "这部电影很好看的呀 真的 真的"]
    names = ["negative", "positive"]
    votes, classes = functions.votes(texts, rules)
    assert classes == names
    assert votes.tolist() == [
        [1, -1, -1, -1], [-1, -1, -1, -1], [1, 0, 0, -1], [-1, -1, 0, -1], [-1, -1, -1, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "there is no labeling function"),
        ({"a": {"label": "x"}}, "would label every text"),
        ({"a": {"label": "x", "word": ["b"]}}, "unknown key 'word'"),
        ({"a": {"label": "x", "pattern": "(?=b)"}}, "cannot be used"),
        ({"a": {"label": "x", "words": ["b"]}}, "all functions give the label"),
        ({"a": {"label": "x", "min_words": "lots"}}, "is no whole number"),
        ({"a": {"label": "x", "pattern": 3}}, "is no text"),
        ({"a": {"words": ["b"]}}, "has a label and a condition"),
        ({"a": {"label": "x", "words": "b"}}, "words is a list"),
    ],
)
def test_rules_that_cannot_be_used_are_the_users_error(given, said):
    with pytest.raises(ConfigError, match=said):
        functions.build(given)


def test_em_finds_out_whom_to_believe():
    """Ten independent sources of accuracies 0.55 to 0.85: EM reaches what one who knows the accuracies reaches, majority does not."""
    accuracies = np.linspace(0.55, 0.85, 10)
    gains = []
    for seed in range(3):
        truth, votes = synthetic(20_000, accuracies, 0.4, seed)
        weights = np.log(accuracies / (1 - accuracies))
        oracle = ((np.where(votes == 1, 1, np.where(votes == 0, -1, 0)) * weights).sum(axis=1) > 0).astype(int)
        em, majority = accuracy(truth, fit(votes, 2)), accuracy(truth, fit(votes, 2, "majority"))
        assert em >= float((oracle == truth).mean()) - 0.01
        gains.append(em - majority)
        assert accuracy(truth, fit(votes, 2, "weighted")) >= majority
    assert min(gains) > 0.01


def test_em_recovers_accuracies_and_balance_with_several_classes():
    truth, votes = synthetic(20_000, [0.6, 0.7, 0.8, 0.9, 0.75], 0.7, 0, classes=4, shares=[0.4, 0.3, 0.2, 0.1])
    found = fit(votes, 4)
    assert np.abs(found.balance - [0.4, 0.3, 0.2, 0.1]).max() < 0.02
    measured = np.einsum("mkk,k->m", found.confusion, found.balance)
    assert np.abs(measured - [0.6, 0.7, 0.8, 0.9, 0.75]).max() < 0.02
    confident = found.probabilities.max(axis=1)
    right = found.probabilities.argmax(axis=1) == truth
    assert abs(right.mean() - confident.mean()) < 0.01  # calibrated
    assert len(truth) == len(found.tied)


@pytest.mark.parametrize("model", ["dawid_skene", "weighted"])
def test_rules_that_can_say_one_class_only_are_believed_too(model):
    votes = np.full((300, 3), ABSTAIN, dtype=np.int8)
    votes[:100, 0] = 0
    votes[50:120, 2] = 0
    votes[120:280, 1] = 1
    found = fit(votes, 2, model)
    assert found.probabilities.argmax(axis=1)[:280].tolist() == [0] * 120 + [1] * 160
    assert found.probabilities.max(axis=1)[:280].min() > 0.6


def test_rules_of_one_class_each_that_meet_only_to_contradict_each_other_are_believed_where_they_speak_alone():
    votes = np.full((6000, 3), ABSTAIN, dtype=np.int8)
    votes[:500, 0], votes[450:750, 1], votes[740:800, 2] = 1, 0, 0  # 50 rows of conflict, 10 of agreement
    found = fit(votes, 2)
    assert found.probabilities[:450].argmax(axis=1).tolist() == [1] * 450
    assert found.probabilities[500:800].argmax(axis=1).tolist() == [0] * 300
    assert found.probabilities[[0, 600, 790]].max(axis=1).min() > 0.6


def test_rare_rules_on_many_silent_rows_do_not_make_silence_a_class():
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 2, 8000)
    votes = np.full((8000, 2), ABSTAIN, dtype=np.int8)
    for column in (0, 1):  # each says its own class on 4 % of the rows, rightly four times of five
        says = np.where(truth == column, draw.random(8000) < 0.064, draw.random(8000) < 0.016)
        votes[says, column] = column
    found = fit(votes, 2)
    alone = (votes >= 0).sum(axis=1) == 1
    assert (found.probabilities[alone].argmax(axis=1) == votes[alone].max(axis=1)).all()
    assert found.probabilities[alone].max(axis=1).min() > 0.6


def test_rows_without_votes_and_ties_are_not_given_a_label_by_majority():
    found = fit(np.array([[0, 1], [ABSTAIN, ABSTAIN], [1, 1]], dtype=np.int8), 2, "majority")
    assert found.tied.tolist() == [True, True, False]
    annotate = annotator.build(labeling(RULES, model="majority"))
    done = annotate(["a good film", "bad and good film", "nothing here to see"])
    assert done.labels == ["positive", None, None]
    assert done.origin == ["praise", "praise, blame", ""]
    assert done.record["abstained"] == 1
    told = {rule["name"]: rule for rule in done.record["functions"]}
    assert (told["praise"]["coverage"], told["praise"]["conflict"]) == (round(2 / 3, 4), round(1 / 3, 4))


def test_rules_that_speak_up_together_are_named():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["x", "y", "z"], 5)) + (" good great" if rng.random() < 0.1 else "") for _ in range(600)]
    rules = {"a": {"label": "p", "words": ["good"]}, "b": {"label": "p", "words": ["great"]}, "c": {"label": "n", "words": ["x"]}}
    done = annotator.build(labeling(rules, min_confidence=0.5))(texts)
    assert done.record["functions"][0]["votes_with"] == ["b"]
    assert done.record["functions"][2]["votes_with"] == []


def test_none_annotates_nothing():
    assert annotator.build(Annotator("none")) is None


def test_confident_learning_finds_flipped_labels_and_queues_the_least_believable_first():
    draw = np.random.default_rng(1)
    truth = draw.integers(0, 3, 3000)
    scores = draw.normal(size=(3000, 3)) + 3.0 * np.eye(3)[truth]
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    labels = truth.copy()
    flipped = draw.choice(3000, 240, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 3
    found = suspects(labels, probabilities)
    hits = np.isin(found, flipped)
    assert hits.mean() > 0.75
    assert hits.sum() / 240 > 0.6
    assert hits[:100].mean() >= hits.mean()


def test_a_raw_text_becomes_a_trained_classifier_in_one_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [f"a {'good' if row % 2 else 'bad'} film of number {row}" for row in range(120)] + ["no word that tells"] * 2
    (tmp_path / "raw.txt").write_text("\n".join(lines))
    words = ["dataset=files", "dataset.files.train=raw.txt", "dataset.columns.label=null", "annotator=labeling_functions"]
    words += [
        "annotator.functions.praise={label: positive, words: [good, great]}",
        "annotator.functions.blame={label: negative, words: [bad]}",
    ]
    assert cli.main(["prepare", *words, "--output", "mine"]) == 0
    told = capsys.readouterr().out
    assert "1 no function votes" in told
    assert "labels by rules, not by people" in told
    rows = parquet.read_table(tmp_path / "mine" / "annotations.parquet").to_pylist()
    assert {row["origin"] for row in rows} == {"praise", "blame", ""}
    assert all(row["confidence"] > 0.6 for row in rows if row["label"])
    facts = json.loads((tmp_path / "mine" / "data.json").read_text())
    assert next(step for step in facts["steps"] if step["name"] == "annotator")["reasons"] == {"no function votes": 1}
    assert cli.main(["train", *words[:3]]) == 2
    assert "annotator=labeling_functions" in capsys.readouterr().err
    assert cli.main(["train", *words, "model=tiny", "logger=none", "trainer.max_epochs=1"]) == 0


def test_labels_that_are_there_measure_the_rules(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINECOMB_CACHE", str(tmp_path / "cache"))
    lines = [f"a {'good' if row % 2 else 'bad'} film {row},{'positive' if row % 2 or row < 20 else 'negative'}" for row in range(100)]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join(lines))
    rules = "annotator.functions={a: {label: positive, words: [good]}, b: {label: negative, words: [bad]}}"
    assert cli.main(["prepare", "dataset=files", "dataset.files.train=a.csv", "annotator=labeling_functions", rules, "--output=m"]) == 0
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    assert manifest["records"]["annotator"]["accuracy_on_given_labels"] == {"rows": 100, "right": 90, "share": 0.9}
