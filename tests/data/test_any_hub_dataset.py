"""`dataset=hub dataset.hub_id=OWNER/NAME`: columns, configuration and splits from the command line; a folder stands for the hub."""

import datasets
import huggingface_hub
import pytest
from data_configs import make_cleaner

from finecomb.config.compose import compose
from finecomb.config.validate import validate
from finecomb.core.errors import ConfigError
from finecomb.data.prepare import prepare


@pytest.fixture
def hub(write, tmp_path, monkeypatch):
    """A hub whose repositories are folders below `hub/`, read by the real `load_dataset`. Returns the revisions that were asked for."""
    original, asked = datasets.load_dataset, []

    def load(name, config, *, revision, **options):
        asked.append(revision)
        return original(str(tmp_path / "hub" / name), config, cache_dir=str(tmp_path / "cache"), **options)

    class Info:
        sha = "c0ffee"

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("FINECOMB_OFFLINE", raising=False)
    return asked


def rows(start, count, label="stars"):
    return [{"body": f"text number {n}", label: ("bad", "good")[n % 2]} for n in range(start, start + count)]


def load(*overrides, task="sequence_classification"):
    composition = compose(["dataset=hub", *overrides])
    validate(composition.config, composition.origins)
    return prepare(composition.config.dataset, make_cleaner(), task_variant=task)


COLUMNS = ("dataset.hub_id=owner/reviews", "dataset.columns.text=body", "dataset.columns.label=stars")


def test_train_alone_is_split_into_three(hub, write):
    write("hub/owner/reviews/data/train.jsonl", rows(0, 100))
    found = load(*COLUMNS, "dataset.revision=v1")
    assert found.manifest.rows == {"train": 80, "validation": 10, "test": 10}
    assert found.label_names == ["bad", "good"]
    assert found.manifest.source == "hub:owner/reviews/@v1"
    assert set(hub) == {"c0ffee"}


def test_splits_that_the_hub_has_are_used_and_only_validation_is_split_from_train(hub, write):
    write("hub/owner/reviews/data/train.jsonl", rows(0, 100)), write("hub/owner/reviews/data/test.jsonl", rows(100, 30))
    assert load(*COLUMNS).manifest.rows == {"train": 90, "validation": 10, "test": 30}
    write("hub/owner/reviews/data/validation.jsonl", rows(200, 20))
    assert load(*COLUMNS).manifest.rows == {"train": 100, "validation": 20, "test": 30}


def test_splits_may_be_named(hub, write):
    lines = "configs:\n- config_name: default\n  data_files:\n" + "".join(
        f"  - split: {name}\n    path: data/{name}.jsonl\n" for name in ("full", "held")
    )
    write("hub/owner/reviews/README.md", f"---\n{lines}---\n")
    write("hub/owner/reviews/data/full.jsonl", rows(0, 60)), write("hub/owner/reviews/data/held.jsonl", rows(100, 20))
    with pytest.raises(ConfigError, match="owner/reviews has no split train") as caught:
        load(*COLUMNS)
    (problem,) = caught.value.problems
    assert (problem.where, problem.allowed, problem.hint) == ("dataset.splits", "full, held", "set dataset.splits.train=full")
    found = load(*COLUMNS, "dataset.splits.train=full", "dataset.splits.test=held")
    assert found.manifest.rows == {"train": 54, "validation": 6, "test": 20}
    with pytest.raises(ConfigError, match="has no split hold"):
        load(*COLUMNS, "dataset.splits.train=full", "dataset.splits.test=hold")


def test_a_missing_column_lists_those_that_exist(hub, write):
    write("hub/owner/reviews/data/train.jsonl", rows(0, 20, label="labels"))
    with pytest.raises(ConfigError) as caught:
        load("dataset.hub_id=owner/reviews")
    text, label = caught.value.problems
    assert text.what == "no column 'text' in owner/reviews, train"
    assert text.allowed == "its columns: body, labels"
    assert text.where.startswith("dataset.columns.text")
    assert label.hint == "set dataset.columns.label=labels"


def test_a_configuration_is_chosen_by_name(hub, write):
    lines = "configs:\n" + "".join(f"- config_name: {name}\n  data_files: {name}/*.jsonl\n" for name in ("english", "german"))
    write("hub/owner/reviews/README.md", f"---\n{lines}---\n")
    write("hub/owner/reviews/english/train.jsonl", rows(0, 50)), write("hub/owner/reviews/german/train.jsonl", rows(0, 30))
    with pytest.raises(ConfigError, match="owner/reviews has several configurations") as caught:
        load(*COLUMNS)
    assert (caught.value.problems[0].allowed, caught.value.problems[0].where) == ("english, german", "dataset.hub_config")
    with pytest.raises(ConfigError, match="owner/reviews has no configuration germn") as caught:
        load(*COLUMNS, "dataset.hub_config=germn")
    assert caught.value.problems[0].hint == "set dataset.hub_config=german"
    assert load(*COLUMNS, "dataset.hub_config=german").manifest.rows["train"] == 24


def test_numbers_of_classes_have_the_names_that_the_hub_states(hub, write):
    lines = (
        "dataset_info:\n  features:\n  - name: body\n    dtype: string\n  - name: stars\n    dtype:\n      class_label:\n"
        "        names:\n          '0': poor\n          '1': fine\n"
    )
    write("hub/owner/reviews/README.md", f"---\n{lines}---\n")
    write("hub/owner/reviews/data/train.jsonl", [{"body": f"text number {n}", "stars": n % 2} for n in range(50)])
    found = load(*COLUMNS)
    assert found.label_names == ["poor", "fine"]
    first = found.load()["train"][0]
    assert first["label"] == int(first["text"].split()[-1]) % 2
    assert load(*COLUMNS, "dataset.label_names=[no, yes]").label_names == ["no", "yes"]
    # The names of the classes are part of what the rows are cached by.
    write("hub/owner/reviews/README.md", f"---\n{lines.replace('poor', 'bad')}---\n")
    assert load(*COLUMNS).label_names == ["bad", "fine"]


def test_a_stream_finds_its_splits_too(hub, write):
    write("hub/owner/reviews/data/train.jsonl", rows(0, 100)), write("hub/owner/reviews/data/test.jsonl", rows(100, 30))
    found = load(*COLUMNS, "dataset.stream=true", "dataset.first=20")
    assert found.manifest.rows == {"train": 18, "validation": 2, "test": 20}


def test_a_regression_takes_numbers(hub, write):
    write("hub/owner/reviews/data/train.jsonl", [{"body": f"text number {n}", "stars": n / 10} for n in range(50)])
    found = load(*COLUMNS, "task=regression", "loss=mse", task="regression")
    assert found.manifest.rows["train"] == 40


def test_a_dataset_that_is_a_script_is_refused(hub, write):
    write("hub/owner/reviews/reviews.py", "raise SystemExit('this code must never run')\n")
    with pytest.raises(ConfigError, match="owner/reviews is a Python script, and code of a dataset is never run"):
        load(*COLUMNS)


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        ([], "dataset.hub_id has no value"),
        (["dataset.hub_id=./folder/x"], "dataset.hub_id=./folder/x is not a name on the hub"),
        ([COLUMNS[0], "dataset.splits.train=x", "dataset.splits.dev=y"], "dataset.splits.dev: there is no such split"),
        ([COLUMNS[0], "dataset.splits.test=y"], "dataset.splits names no split to train on"),
    ],
)
def test_a_mistake_is_noticed_before_the_hub_is_asked(overrides, what):
    with pytest.raises(ConfigError) as caught:
        load(*overrides)
    assert what in {problem.what for problem in caught.value.problems}
