"""A test set that comes with the data loses no row: what it shares with train leaves train."""

import random

import pytest
from data_configs import clean, make_cleaner, make_dataset

from finecomb.config.fingerprint import fingerprint
from finecomb.config.schema.cleaner import Cleaner
from finecomb.data import cleaner
from finecomb.data.dataset.rows import Rows
from finecomb.data.engine import LocalEngine
from finecomb.data.prepare import prepare
from finecomb.studies.summary import funnel_lines


def rows(texts):
    return [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(texts)]


TRAIN = [f"a training text number {number}" for number in range(40)]
TEST = ["twice", "twice", "  ", "once   more", "a training text number 3"]


@pytest.fixture
def run(write):
    def prepare_files(cleaner="basic", keep=None, steps=None, **splits):
        config = make_cleaner(cleaner, **(steps or {}))
        if keep is not None:
            config.keep_given_test = keep
        files = {
            name: str(write(f"{name}.jsonl", rows(splits[name]))) if name in splits else None for name in ("train", "validation", "test")
        }
        return prepare(make_dataset("files", files=files), config, task_variant="sequence_classification", engine=LocalEngine(1))

    return prepare_files


def test_no_row_of_a_given_test_set_is_dropped_and_what_it_shares_leaves_train(run):
    found = run(train=[*TRAIN, TRAIN[0]], validation=["of validation", "of validation", "twice"], test=TEST)
    loaded = found.load()
    # Steps that rewrite a text still do.
    assert loaded["test"]["text"][:] == sorted(loaded["test"]["text"][:], key=loaded["test"]["text"][:].index)
    assert sorted(loaded["test"]["text"][:]) == sorted(["twice", "twice", "", "once more", TRAIN[3]])
    assert sorted(loaded["train"]["text"][:]) == sorted(set(TRAIN) - {TRAIN[3]})
    # Validation is for choosing: it is cleaned, and test wins over it.
    assert loaded["validation"]["text"][:] == ["of validation"]


def test_rows_that_would_have_gone_are_counted_and_warned_of(run):
    found = run(train=TRAIN, test=TEST)
    kept = {(entry["step"], entry["split"]): entry["kept"] for entry in found.manifest.funnel if "kept" in entry}
    assert kept == {("empty", "test"): {"fewer than 1 characters": 1}, ("duplicates", "test"): {"duplicate with another label": 1}}
    lines = funnel_lines(found.manifest, "it")
    assert any("warning: 1 kept: fewer than 1 characters" in line for line in lines)
    assert any("cleaner.keep_given_test=false" in line for line in lines)


def test_the_test_set_is_cleaned_on_request_and_one_split_from_train_always_is(run):
    assert sorted(run(train=TRAIN, test=TEST, keep=False).load()["test"]["text"][:]) == sorted(["twice", "once more", TRAIN[3]])
    both = [run(train=[*TRAIN, *TRAIN], keep=keep) for keep in (True, False)]
    assert both[0].content_hash == both[1].content_hash
    assert sum(both[0].manifest.rows.values()) == len(TRAIN)


WORDS = [
    *("the", "be", "to", "of", "and", "that", "have", "with", "river", "boat", "market", "evening", "lamp", "people", "carry", "goods"),
    *("leave", "sold", "quiet", "lit", "live", "there", "some", "other", "small", "house", "water", "morning", "garden", "letter"),
    *("winter", "paper", "friend", "table", "window", "street", "summer", "picture", "school", "yellow", "corner", "bridge"),
]


@pytest.mark.parametrize("name", ["basic", "web", "gopher", "c4", "fineweb", "classification", "code", "spelling"])
def test_no_shipped_cleaner_drops_a_row_or_takes_part_of_a_text_of_a_given_test_set(run, name):
    draw = random.Random(0)
    menu = "Home and about and contact and imprint of this site are here."

    def text():
        sentences = [" ".join(draw.choice(WORDS) for _ in range(10)).capitalize() for _ in range(7)]
        return "\n".join([f"{sentence}." for sentence in sentences])

    test = [*(f"{menu} {menu} {menu}\n{text()}" for _ in range(12)), menu, menu, "x { y", "no end", "  "]
    found = run(name, train=[text() for _ in range(20)], test=test).load()["test"]["text"][:]
    assert len(found) == len(test)
    assert sum(" ".join(each.split()).count(menu) for each in found) == 38


def test_train_rows_near_to_any_row_of_a_given_test_set_go():
    """A chain of near-duplicates: the second test row would go for the first, and the training row is near to the second alone."""
    words = [f"word{number}" for number in range(40)]
    texts = {"test": [" ".join(words), " ".join([*words[4:], *"abcd"])], "train": [" ".join([*words[8:], *"abcdefgh"]), "nothing like it"]}
    step = {"threshold": 0.7, "ngram": 2, "permutations": 128, "keep": "first", "max_cluster_share": 1.0}
    given = {
        split: Rows([f"{split}{n}" for n in range(len(each))], each, None, ["x"] * len(each), None, range(len(each)), "f")
        for split, each in texts.items()
    }
    for keep, left in ((True, ["train1"]), (False, ["train0", "train1"])):
        cleaned = clean(cleaner.build(Cleaner("own", {"near_duplicates": step}, keep)), given)
        assert cleaned.splits["train"].id == left
        assert len(cleaned.splits["test"]) == (2 if keep else 1)


def test_the_value_is_no_part_of_a_fingerprint_for_the_rows_are():
    from finecomb.config.compose import compose

    both = [compose([f"cleaner.keep_given_test={value}"]).config for value in ("true", "false")]
    assert fingerprint(both[0], {}) == fingerprint(both[1], {})


@pytest.mark.shared
def test_official_test_sets_keep_their_size(shared):
    stsb = prepare(make_dataset("stsb", path=str(shared / "stsb")), make_cleaner(), task_variant="regression")
    assert stsb.manifest.rows["test"] == 1_500
    if not (shared / "banking77").is_dir():
        pytest.skip(f"no Banking77 at {shared}")
    files = {"train": "train.csv", "validation": None, "test": "test.csv"}
    config = make_dataset("files", path=str(shared / "banking77"), files=files, columns={"label": "category"})
    banking = prepare(config, make_cleaner(), task_variant="sequence_classification")
    assert banking.manifest.rows["test"] == 3_080
