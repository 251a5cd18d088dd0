"""References are deterministic, learn from train alone and hold to the label kinds of the tasks."""

import json
import subprocess
import sys

import numpy as np
import pytest

from finecomb.core.errors import ConfigError
from finecomb.studies.analysis.references import Texts, answer, check

GOOD, BAD = ["a fine film", "truly good", "good fun", "a fine good cast"], ["a dull film", "truly bad", "bad bore", "a dull bad cast"]


def texts(label_good, label_bad, pair=False):
    text = [*GOOD, *BAD]
    return Texts(text, ["the same"] * 8 if pair else None, [label_good] * 4 + [label_bad] * 4)


def test_majority_answers_the_most_frequent_label_of_train_not_of_test():
    train = Texts(["x"] * 5, None, [2, 2, 0, 2, 1])
    test = Texts(["y"] * 3, None, [0, 0, 0])
    assert answer("majority", train, test, label_kind="class", num_labels=4).predictions == [2, 2, 2]


def test_majority_of_numbers_is_the_mean_and_of_label_sets_each_label_most_texts_have():
    numbers = answer("majority", Texts(["x"] * 4, None, [1.0, 2.0, 3.0, 6.0]), Texts(["y"], None, [0.0]), label_kind="number", num_labels=1)
    assert numbers.predictions == [3.0]
    sets = Texts(["x"] * 4, None, [[0, 2], [2], [0, 2], []])
    assert answer("majority", sets, Texts(["y"], None, [[]]), label_kind="classes", num_labels=3).predictions == [[0, 2]]


@pytest.mark.parametrize("pair", [False, True])
def test_tfidf_logistic_learns_words(pair):
    test = Texts(["good good", "bad bad"], ["the same"] * 2 if pair else None, [0, 0])
    result = answer("tfidf_logistic", texts(1, 0, pair), test, label_kind="class", num_labels=2)
    assert result.predictions == [1, 0]
    assert result.parameters > 10
    assert result == answer("tfidf_logistic", texts(1, 0, pair), test, label_kind="class", num_labels=2)


def test_tfidf_logistic_is_ridge_for_numbers_and_one_model_for_each_label_of_a_set():
    test = Texts(["good", "bad"], None, [0, 0])
    high, low = answer("tfidf_logistic", texts(5.0, 1.0), test, label_kind="number", num_labels=1).predictions
    assert high > 3 > low
    assert answer("tfidf_logistic", texts([0, 2], [1, 2]), test, label_kind="classes", num_labels=4).predictions == [[0, 2], [1, 2]]


def test_a_class_that_train_lacks_is_never_predicted_and_one_class_alone_is_no_crash():
    test = Texts(["good", "unseen words"], None, [2, 2])
    assert set(answer("tfidf_logistic", texts(0, 3), test, label_kind="class", num_labels=4).predictions) <= {0, 3}
    assert answer("tfidf_logistic", texts(1, 1), test, label_kind="class", num_labels=2).predictions == [1, 1]


def test_predictions_agree_with_a_plain_scikit_learn_pipeline():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    generator = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(30)])
    rows = [" ".join(generator.choice(words, 6)) for _ in range(200)]
    label = [int("word1" in row.split() or "word2" in row.split()) for row in rows]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    expected = make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000)).fit(rows[:150], label[:150]).predict(rows[150:])
    ours = answer(
        "tfidf_logistic", Texts(rows[:150], None, label[:150]), Texts(rows[150:], None, label[150:]), label_kind="class", num_labels=2
    )
    assert ours.predictions == expected.tolist()


def tagged(*rows):
    return Texts([text for text, _ in rows], None, [tags for _, tags in rows])


def test_each_token_gets_its_most_frequent_tag_of_train_and_one_that_train_lacks_is_outside():
    train = tagged(("Rome is big", [1, 0, 0]), ("Rome Rome", [1, 2]), ("in York", [0, 2]))
    test = tagged(("in Rome York rome", [2, 2, 2, 2]))
    for names, unseen in ((["O", "B-A", "I-A"], 0), (["B-A", "O", "I-A"], 1)):
        result = answer("most_frequent_tag", train, test, label_kind="tags", num_labels=3, label_names=names)
        assert result.predictions == [[0, 1, 2, unseen]]
    assert result.parameters == 6


def test_without_a_scheme_a_token_that_train_lacks_has_the_most_frequent_tag():
    train = tagged(("a b b c", [1, 2, 2, 0]))
    result = answer("most_frequent_tag", train, tagged(("d a", [0, 0])), label_kind="tags", num_labels=3, label_names=["NN", "VB", "XX"])
    assert result.predictions == [[2, 1]]


@pytest.mark.parametrize(("name", "kind"), [("majority", "tags"), ("tfidf_logistic", "tags"), ("most_frequent_tag", "class")])
def test_a_reference_that_cannot_answer_is_refused_with_those_that_can(name, kind):
    with pytest.raises(ValueError, match="does not serve labels of kind"):
        answer(name, texts(0, 1), texts(0, 1), label_kind=kind, num_labels=2)


def test_an_unknown_reference_is_the_users_error_with_the_nearest_name():
    with pytest.raises(ConfigError) as error:
        check(["majority", "tfidf_logistics"])
    assert "tfidf_logistic" in error.value.problems[0].hint


def test_references_import_no_torch():
    code = """
import sys
from finecomb.studies.analysis.references import Texts, answer
answer("tfidf_logistic", Texts(["a b", "c d"], None, [0, 1]), Texts(["a"], None, [0]), label_kind="class", num_labels=2)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_first_sentence_of_a_source_is_scored_as_a_generated_text():
    import sacrebleu

    from finecomb.runs.sum_metrics import SUM_METRICS, scores

    sources = ["Ministers meet. They talk about it.", "No end", "Really? Yes.\nMore.", "Title\nA text. And more."]
    labels = ["Ministers meet.", "Another end", "Yes", "Title"]
    given = answer("first_sentence", Texts(sources, None, labels), Texts(sources, None, labels), label_kind="target", num_labels=0)
    assert given.predictions == ["Ministers meet.", "No end", "Really?", "Title"]
    value = scores(np.ones((1, 4)), [given.sums], [SUM_METRICS["bleu"], SUM_METRICS["perplexity"]])[0, 0]
    assert value[0] == pytest.approx(sacrebleu.corpus_bleu(given.predictions, [labels]).score)
    assert np.isnan(value[1])
    with pytest.raises(ValueError, match="does not serve"):
        answer("majority", Texts(sources, None, labels), Texts(sources, None, labels), label_kind="target", num_labels=0)


def questions_on(*rows):
    """Contexts with the texts of their answers."""
    labels = [json.dumps({"text": texts, "answer_start": [0] * len(texts)}) for _, texts in rows]
    return Texts(["who?"] * len(rows), [context for context, _ in rows], labels)


def test_the_most_frequent_answer_is_given_where_the_context_has_it():
    train = questions_on(("x", ["Ada"]), ("x", ["Bob"]), ("x", ["Bob", "Bob"]), ("x", ["Ada"]), ("x", ["Cy", "Bob"]), ("x", []))
    test = questions_on(("Ada met Bob.", ["Ada"]), ("Ada left.", ["Ada"]), ("bob", ["bob"]))
    assert answer("most_frequent_answer", train, test, label_kind="answers", num_labels=0).predictions == ["Bob", "", ""]
    with pytest.raises(ValueError, match="no question of train has an answer"):
        answer("most_frequent_answer", questions_on(("x", [])), test, label_kind="answers", num_labels=0)
