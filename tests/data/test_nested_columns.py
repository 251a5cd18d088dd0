"""Columns inside columns, as `translation.en`: in tables of the hub, Parquet, Arrow and JSON; and names of tags that the hub states."""

import json

import datasets
import huggingface_hub
import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.config.compose import compose
from finecomb.core.errors import ConfigError
from finecomb.data.dataset import build
from finecomb.data.dataset.kinds import KINDS
from finecomb.data.prepare import prepare

PAIRS = [{"id": str(n), "translation": {"en": f"a dog {n}", "fr": f"un chien {n}", "de": f"ein Hund {n}"}} for n in range(40)]
COLUMNS = {"source": "translation.en", "target": "translation.fr"}


def hub(monkeypatch, **tables):
    """A hub with these tables."""

    class Info:
        sha = "c0ffee"

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict(tables))
    for name in ("HF_HUB_OFFLINE", "FINECOMB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def pairs(rows):
    return sorted(zip(rows.text, rows.label, strict=True))


EXPECTED = sorted((f"a dog {n}", f"un chien {n}") for n in range(40))


@pytest.mark.parametrize("features", [None, {"id": datasets.Value("string"), "translation": datasets.Translation(("en", "fr", "de"))}])
def test_of_the_hub(monkeypatch, features):
    rows = PAIRS if features is None else [{**row, "translation": dict(row["translation"])} for row in PAIRS]
    hub(monkeypatch, train=datasets.Dataset.from_list(rows, features=features and datasets.Features(features)))
    (rows,) = build(make_dataset("opus_books")).read("target").splits["train"]
    assert pairs(rows) == EXPECTED


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "jsonl", "json"])
def test_of_files(write, tmp_path, suffix):
    table = datasets.Dataset.from_list(PAIRS)
    path = tmp_path / f"pairs.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix == "arrow":
        table.save_to_disk(str(tmp_path / "saved"))
        path = next((tmp_path / "saved").glob("*.arrow"))
    elif suffix == "jsonl":
        write(path.name, PAIRS)
    else:
        table.to_json(path, lines=False)
    config = make_dataset("files", files={"train": str(path)}, columns=COLUMNS)
    (rows,) = build(config).read("target").splits["train"]
    assert pairs(rows) == EXPECTED


def test_a_column_that_is_not_inside_is_refused_with_those_that_are(write):
    path = write("pairs.jsonl", PAIRS)
    config = make_dataset("files", files={"train": str(path)}, columns=COLUMNS | {"target": "translation.es"})
    with pytest.raises(ConfigError, match=r"no column 'translation\.es'") as caught:
        build(config).read("target")
    assert "translation.en, translation.fr, translation.de" in caught.value.problems[0].allowed


def test_a_column_whose_name_has_a_dot_comes_first(write):
    rows = [row | {"translation.en": "top"} for row in PAIRS]
    config = make_dataset("files", files={"train": str(write("pairs.jsonl", rows))}, columns=COLUMNS)
    (read,) = build(config).read("target").splits["train"]
    assert set(read.text) == {"top"}


def test_columns_inside_columns_inside_columns(write, tmp_path):
    rows = [{"a": {"b": {"c": f"text {n}"}}, "d": f"target {n}"} for n in range(9)]
    datasets.Dataset.from_list(rows).to_parquet(tmp_path / "deep.parquet")
    for path in (write("deep.jsonl", rows), tmp_path / "deep.parquet"):
        config = make_dataset("files", files={"train": str(path)}, columns={"source": "a.b.c", "target": "d"})
        (read,) = build(config).read("target").splits["train"]
        assert read.text == [f"text {n}" for n in range(9)]


def test_numbers_of_tags_have_the_names_that_the_hub_states(monkeypatch):
    names = ["O", "B-PER", "I-PER"]
    features = datasets.Features(
        {"tokens": datasets.List(datasets.Value("string")), "ner_tags": datasets.List(datasets.ClassLabel(names=names))}
    )
    rows = [{"tokens": ["Ann", "Lee", f"said{n}"], "ner_tags": [1, 2, 0]} for n in range(40)]
    hub(monkeypatch, train=datasets.Dataset.from_list(rows, features=features))
    given = {"label_names": None, "splits": {"train": "train"}}
    prepared = prepare(make_dataset("conll2003", **given), make_cleaner(), task_variant="token_classification")
    assert prepared.label_names == names
    assert all(row["label"] == [1, 2, 0] for row in prepared.load()["train"])


def test_instructions_of_dolly_are_conversations(monkeypatch):
    row = {"instruction": "Who wrote it?", "context": "Ann wrote it.", "response": "Ann.", "category": "closed_qa"}
    without = row | {"context": ""}
    hub(monkeypatch, train=datasets.Dataset.from_list([row, without]))
    (rows,) = build(make_dataset("dolly")).read("messages").splits["train"]
    assert [json.loads(label)[0]["content"] for label in rows.label] == ["Who wrote it?\n\nAnn wrote it.", "Who wrote it?"]
    assert json.loads(rows.label[0])[1] == {"role": "assistant", "content": "Ann."}


def test_answers_of_squad_are_spans_and_titles_are_groups(monkeypatch):
    if "answers" not in KINDS:
        pytest.skip("no task reads answers yet")
    row = {"id": "q1", "title": "Ann", "context": "Ann wrote it.", "question": "Who?", "answers": {"text": ["Ann"], "answer_start": [0]}}
    none = row | {"id": "q2", "answers": {"text": [], "answer_start": []}}
    hub(monkeypatch, train=datasets.Dataset.from_list([row, none]), validation=datasets.Dataset.from_list([row | {"id": "q3"}]))
    splits = build(make_dataset("squad_v2")).read("answers").splits
    (rows,) = splits["train"]
    assert (rows.text, rows.text_pair, rows.id, rows.group) == (["Who?"] * 2, ["Ann wrote it."] * 2, ["q1", "q2"], ["Ann", "Ann"])
    assert [json.loads(label) for label in rows.label] == [row["answers"], none["answers"]]
    assert set(splits) == {"train", "test"}


@pytest.mark.parametrize("name", [
    "conll2003", "wnut17", "codesearchnet_python", "wikitext2", "wikitext103", "smoltalk", "dolly", "wmt14_en_de", "opus_books", "xsum",
    "cnn_dailymail", "squad", "squad_v2", "sst5",
])  # fmt: skip
def test_hub_datasets_compose(name):
    task: list[str] = []
    config = compose([f"dataset={name}", *task]).config.dataset
    assert config.name == name
    assert config.hub_id.count("/") == 1
    assert "train" in config.splits
