"""Agreement of annotators: equal to reference libraries, missing answers and all; consensus breaks no tie in silence."""

from dataclasses import replace
from itertools import permutations

import krippendorff
import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import aggregate_raters
from statsmodels.stats.inter_rater import fleiss_kappa as reference_fleiss

from finecomb.core.errors import ConfigError
from finecomb.data.annotator import label_model
from finecomb.data.spans import Span
from finecomb.labeling import agreement, queue
from finecomb.labeling.consensus import consensus
from finecomb.labeling.documents import Document


def ratings(seed, rows, raters, categories, missing):
    draw = np.random.default_rng(seed)
    truth = draw.choice(categories, rows, p=draw.dirichlet(np.ones(categories)))
    found = np.where(draw.random((rows, raters)) < 0.3, draw.integers(0, categories, (rows, raters)), truth[:, None])
    return np.where(draw.random((rows, raters)) < missing, -1, found)


@pytest.mark.parametrize("seed", range(20))
def test_kappas_and_alpha_are_those_of_reference_libraries(seed):
    categories, raters = 2 + seed % 4, 2 + seed % 3
    found = ratings(seed, 20 + 15 * seed, raters, categories, 0.25 * (seed % 2))
    both = (found[:, 0] >= 0) & (found[:, 1] >= 0)
    one, other = found[both, 0], found[both, 1]
    assert agreement.cohen_kappa(found[:, 0], found[:, 1], categories) == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    assert agreement.confusion(one, other, categories).tolist() == confusion_matrix(one, other, labels=range(categories)).tolist()
    whole = found[(found >= 0).all(axis=1)]
    counts = aggregate_raters(whole, n_cat=categories)[0] if not len(set(whole.ravel())) < 2 else None
    if counts is not None:
        assert agreement.fleiss_kappa(found, categories) == pytest.approx(reference_fleiss(counts), abs=1e-12)
    data = np.where(found >= 0, found, np.nan).T.astype(float)
    expected = krippendorff.alpha(reliability_data=data, value_domain=range(categories), level_of_measurement="nominal")
    assert agreement.krippendorff_alpha(found, categories) == pytest.approx(expected, abs=1e-12)


def test_the_examples_of_the_papers_come_out():
    # Fleiss 1971, table 1 as it is reprinted everywhere: 10 subjects, 14 raters, 5 categories, kappa 0.210.
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    table = np.array([[category for category, count in enumerate(line) for _ in range(count)] for line in counts])
    assert agreement.fleiss_kappa(table, 5) == pytest.approx(0.20993, abs=1e-5)
    # Krippendorff 2011, example C: 4 observers, 12 units, missing answers, nominal alpha 0.743.
    units = [
        "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .",
    ]  # fmt: skip
    data = np.array([[-1 if cell == "." else int(cell) - 1 for cell in line.split()] for line in units]).T
    assert agreement.krippendorff_alpha(data, 5) == pytest.approx(0.743, abs=5e-4)


def test_what_has_no_value_is_none_and_perfect_agreement_is_one():
    same = np.array([[0, 0], [0, 0]])
    assert agreement.cohen_kappa(same[:, 0], same[:, 1], 2) is None
    assert agreement.fleiss_kappa(same, 2) is None
    assert agreement.krippendorff_alpha(same, 2) is None
    alone = np.array([[0, -1], [-1, 1]])
    assert agreement.cohen_kappa(alone[:, 0], alone[:, 1], 2) is None
    assert agreement.fleiss_kappa(alone, 2) is None
    assert agreement.krippendorff_alpha(alone, 2) is None
    perfect = np.array([[0, 0], [1, 1], [2, 2]])
    for found in (agreement.cohen_kappa(perfect[:, 0], perfect[:, 1], 3), agreement.fleiss_kappa(perfect, 3)):
        assert found == 1.0
    assert agreement.krippendorff_alpha(perfect, 3) == 1.0


def test_intervals_cover_the_value_and_are_the_same_again():
    found = ratings(3, 200, 2, 3, 0.0)
    value = agreement.cohen_kappa(found[:, 0], found[:, 1], 3)
    low, high = agreement.bootstrap(lambda rows: agreement.cohen_kappa(found[rows, 0], found[rows, 1], 3), 200, seed=1, draws=500)
    assert low < value < high
    assert high - low < 0.3
    assert agreement.bootstrap(lambda rows: agreement.cohen_kappa(found[rows, 0], found[rows, 1], 3), 200, seed=1, draws=500) == [low, high]
    assert agreement.bootstrap(lambda rows: None, 200, seed=1, draws=50) is None


def test_f1_of_spans_is_symmetric_and_matches_each_span_once():
    a = [[Span(0, 5, "PER"), Span(6, 9, "ORG")], [Span(0, 2, "PER")], []]
    b = [[Span(0, 5, "PER"), Span(5, 9, "ORG")], [], [Span(1, 2, "LOC")]]
    assert agreement.f1(a, b, overlap=False) == {"f1": pytest.approx(2 / 6), "matched": 1, "spans": [3, 3]}
    assert agreement.f1(a, b, overlap=True)["matched"] == 2
    assert agreement.f1(a, b, overlap=True, label="ORG") == {"f1": 1.0, "matched": 1, "spans": [1, 1]}
    assert agreement.f1([[]], [[]], overlap=True)["f1"] is None
    # One long span meets three short ones: it is one match, and the best pairing is found whatever the order.
    long, short = [[Span(0, 30, "X")]], [[Span(0, 5, "X"), Span(10, 12, "X"), Span(20, 30, "X")]]
    assert agreement.f1(long, short, overlap=True)["matched"] == 1
    draw = np.random.default_rng(0)
    for _ in range(50):
        one, other = [
            [Span(int(s), int(s + n), "X") for s, n in zip(draw.integers(0, 20, 4), draw.integers(1, 9, 4), strict=True)] for _ in "ab"
        ]
        found = agreement.f1([one], [other], overlap=True)
        best = max(
            sum(x.start < y.end and y.start < x.end for x, y in zip(one, order, strict=True)) for order in permutations(other)
        )  # fmt: skip
        assert found["matched"] == best == agreement.f1([other], [one], overlap=True)["matched"]


def test_spans_of_long_texts_are_matched_and_short_ones_as_before():
    """The recursive matching that this replaces, and a text with so many spans in a chain that recursion ends."""

    def before(one, other):
        partner = {}

        def place(at, tried):
            for candidate, span in enumerate(other):
                meets = span.label == one[at].label and span.start < one[at].end and one[at].start < span.end
                if candidate not in tried and meets:
                    tried.add(candidate)
                    if candidate not in partner or place(partner[candidate], tried):
                        partner[candidate] = at
                        return True
            return False

        return sum(place(at, set()) for at in range(len(one)))

    draw = np.random.default_rng(1)
    for _ in range(200):
        one, other = [
            [Span(int(s), int(s + n), "XY"[kind]) for s, n, kind in draw.integers([0, 1, 0], [40, 9, 2], (count, 3))]
            for count in draw.integers(0, 12, 2)
        ]
        assert agreement.f1([one], [other], overlap=True)["matched"] == before(one, other)
    # Each of one meets two of the other; the last of one has only the first of the other, so that all others move on by one.
    count = 1500
    chain = [Span(10 * at, 10 * at + 15, "X") for at in range(count)]
    touching = [Span(10 * at + 8, 10 * at + 12, "X") for at in range(count)]
    ahead = [*chain, Span(0, 9, "X")]
    behind = [Span(8, 9, "X"), *touching]
    assert agreement.f1([ahead], [behind], overlap=True)["matched"] == count + 1


def panel(**said):
    return agreement.Panel(
        {
            name: [Document(row, f"text {row}", labels, annotator=name, answer="accept") for row, labels in rows.items()]
            for name, rows in said.items()
        }
    )


def test_skipped_rows_are_missing_and_rows_in_common_are_counted():
    said = {"ann": [("1", ("x",), "accept"), ("2", ("y",), "accept"), ("3", (), "ignore")],
            "bob": [("1", ("x",), "accept"), ("2", ("x",), "accept"), ("3", ("x",), "accept")]}  # fmt: skip
    mine = agreement.Panel(
        {name: [Document(row, f"t{row}", labels, answer=answer) for row, labels, answer in rows] for name, rows in said.items()}
    )
    told = agreement.report(mine, draws=50)
    assert told["answered"] == {"ann": 2, "bob": 3}
    assert told["labels"]["rows_with_all"] == 2
    pair = told["labels"]["pairs"][0]
    assert (pair["rows"], pair["agreement"], pair["confusion"]) == (2, 0.5, [[1, 0], [1, 0]])
    assert pair["cohen_kappa"] == 0.0
    assert [each["given"] for each in told["labels"]["per_label"]] == [{"ann": 1, "bob": 3}, {"ann": 1, "bob": 0}]
    assert "spans" not in told


def test_ties_are_named_and_left_open():
    found = consensus(panel(ann={"1": ("x",), "2": ("y",)}, bob={"1": ("x",), "2": ("x",)}), "majority")
    assert [(each.id, each.labels, each.answer, each.confidence) for each in found.documents] == [
        ("1", ("x",), "accept", 1.0),
        ("2", (), None, None),
    ]
    assert found.documents[0].origin == "majority of 2: ann, bob"
    assert found.ties == [("2", "x and y")]
    assert found.documents[1].origin == "tie between x and y (majority of 2: ann, bob)"
    three = consensus(panel(a={"1": ("x",)}, b={"1": ("x",)}, c={"1": ("y",)}), "majority")
    assert (three.documents[0].labels, three.documents[0].confidence) == (("x",), pytest.approx(2 / 3, abs=1e-6))
    several = consensus(panel(a={"1": ("x", "y")}, b={"1": ("x",)}, c={"1": ("x", "z")}), "majority")
    assert (several.documents[0].labels, several.documents[0].confidence) == (("x",), pytest.approx(2 / 3, abs=1e-6))
    assert consensus(panel(a={"1": ("x", "y")}, b={"1": ("x",)}), "majority").ties == [("1", "y or not")]


def test_spans_are_kept_by_more_than_half():
    def said(name, *spans):
        return [Document("1", "abcdefgh", spans=spans, annotator=name, answer="accept")]

    first, second, third = Span(0, 2, "X"), Span(3, 5, "Y"), Span(6, 7, "Z")
    found = consensus(agreement.Panel({"a": said("a", first, second), "b": said("b", first), "c": said("c", first, third)}), "majority")
    assert (found.documents[0].spans, found.documents[0].confidence) == ((first,), pytest.approx(2 / 3, abs=1e-6))
    tied = consensus(agreement.Panel({"a": said("a", first, second), "b": said("b", first)}), "majority")
    assert tied.ties == [("1", "the span 3..5 (Y) or not")]
    assert tied.documents[0].answer is None
    with pytest.raises(ConfigError, match="Dawid-Skene"):
        consensus(agreement.Panel({"a": said("a", first), "b": said("b", first)}), "dawid_skene")


def test_dawid_skene_believes_the_better_annotators_and_who_was_not_asked_says_nothing():
    draw = np.random.default_rng(5)
    truth = draw.integers(0, 3, 1500)
    accuracy = [0.95, 0.6, 0.55, 0.6]
    votes = np.stack([np.where(draw.random(1500) < p, truth, draw.integers(0, 3, 1500)) for p in accuracy], axis=1)
    votes[750:, 0] = -1
    names = ["r", "s", "t"]
    mine = panel(
        **{f"n{column}": {str(row): (names[vote],) for row, vote in enumerate(votes[:, column]) if vote >= 0} for column in range(4)}
    )
    right = {}
    for method in ("majority", "dawid_skene"):
        labels = {each.id: each.labels for each in consensus(mine, method).documents}
        right[method] = np.mean([labels[str(row)] == (names[truth[row]],) for row in range(750)])
    assert right["dawid_skene"] > right["majority"] + 0.03
    fitted = label_model.fit(votes.astype(np.int8), 3, silence=False)
    assert fitted.confusion[0].diagonal().mean() > fitted.confusion[1].diagonal().mean() + 0.15
    # Where the best annotator was not asked, the others alone decide, by how each of them errs.
    scores = np.log(fitted.balance) + sum(np.log(fitted.confusion[column][:, votes[750:, column]]).T for column in (1, 2, 3))
    alone = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert np.abs(alone - fitted.probabilities[750:]).max() < 1e-3
    heard = label_model.fit(votes.astype(np.int8), 3)
    assert np.abs(alone - heard.probabilities[750:]).max() > 1e-2
    with_another = label_model.fit(np.hstack([votes, np.full((1500, 1), -1)]).astype(np.int8), 3, silence=False)
    assert np.allclose(with_another.probabilities, fitted.probabilities)


# What to label next


def test_uncertainty_is_as_defined():
    rows = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.6, 0.3, 0.1]])
    assert queue.uncertainty(rows, "entropy") == pytest.approx([0, np.log(2), np.log(3), 0.897946], abs=1e-6)
    assert queue.uncertainty(rows, "margin") == pytest.approx([0, 1, 1, 0.7])
    assert queue.uncertainty(rows, "least_confidence") == pytest.approx([0, 0.5, 2 / 3, 0.4])
    labels = np.array([[1.0, 0.5], [0.0, 1.0]])
    assert queue.uncertainty(labels, "entropy", several=True) == pytest.approx([np.log(2) / 2, 0])


def test_the_most_uncertain_come_first_and_equal_ones_in_their_order():
    unsure = np.array([0.1, 0.5, 0.5, 0.9])
    assert queue.choose("entropy", 3, texts=["a"] * 4, unsure=unsure, seed=0).rows == [3, 1, 2]
    assert queue.choose("entropy", 9, texts=["a"] * 4, unsure=unsure, seed=0).rows == [3, 1, 2, 0]


def test_diverse_rows_come_from_every_kind_of_text_and_never_twice():
    kinds = [
        ["the striker scored a goal", "the striker scored goals"],
        ["market shares rose today", "today market shares rose"],
        ["北京今天下雨", "北京今天有雨"],
    ]
    texts = [kind[number % 2] + " " * number for kind in kinds for number in range(20)]
    kind_of = np.repeat([0, 1, 2], 20)
    for strategy in ("farthest", "kmeans++", "combined"):
        unsure = np.full(60, 0.5)
        rows = queue.choose(strategy, 3, texts=texts, unsure=unsure, seed=1).rows
        assert {int(kind_of[row]) for row in rows} == {0, 1, 2}, strategy
        everything = queue.choose(strategy, 60, texts=texts, unsure=unsure, seed=1).rows
        assert sorted(everything) == list(range(60))
        assert everything == queue.choose(strategy, 60, texts=texts, unsure=unsure, seed=1).rows
    # Combined: rows the model is sure of do not come, however far off they are.
    unsure = np.where(kind_of == 2, 0.0, 0.5)
    assert 2 not in {int(kind_of[row]) for row in queue.choose("combined", 2, texts=texts, unsure=unsure, seed=0).rows}
    assert queue.choose("farthest", 2, texts=["", " "], unsure=None, seed=0).rows == [0, 1]


def test_documents_with_one_answer_each_are_compared_by_row_not_by_order():
    one = [Document(str(row), f"t{row}", ("x" if row % 2 else "y",), annotator="a", answer="accept") for row in range(10)]
    other = [replace(each, annotator="b") for each in reversed(one)]
    assert agreement.report(agreement.Panel({"a": one, "b": other}))["labels"]["pairs"][0]["cohen_kappa"] == 1.0
