"""Hub datasets: their local files by any usual name, law 7 for GLUE, and the hub's own tables (the hub itself is not asked)."""

import csv

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest
from data_configs import make_cleaner, make_dataset

from finecomb.core.errors import ConfigError
from finecomb.data.prepare import prepare


def load(name, task="sequence_classification", **changes):
    return prepare(make_dataset(name, **changes), make_cleaner(), task_variant=task)


def sst2(start, count, label=None):
    return "sentence\tlabel\n" + "".join(f'a "film {n}\t{n % 2 if label is None else label}\n' for n in range(start, start + count))


def test_glue_files_give_dev_as_test_and_carve_validation(write, tmp_path):
    write("glue/train.tsv", sst2(0, 100)), write("glue/dev.tsv", sst2(100, 20)), write("glue/test.tsv", sst2(200, 20, label=-1))
    found = load("sst2", path=str(tmp_path / "glue"))
    assert found.manifest.rows == {"train": 90, "validation": 10, "test": 20}
    assert found.label_names == ["negative", "positive"]
    data = found.load()
    assert all(identifier.startswith("test:") for identifier in data["test"]["id"])
    assert all(
        row["text"] == f'a "film {int(row["text"].split()[-1])}' and row["label"] == int(row["text"].split()[-1]) % 2
        for row in data["test"]
    )


def test_the_folder_may_be_named_by_configuration(write, tmp_path):
    write("glue/sst2/train.tsv", sst2(0, 50)), write("glue/sst2/dev.tsv", sst2(100, 9))
    assert load("sst2", path=str(tmp_path / "glue")).manifest.rows["test"] == 9


def test_hidden_labels_are_refused(write, tmp_path):
    write("glue/train.tsv", sst2(0, 50)), write("glue/dev.tsv", sst2(100, 20, label=-1))
    with pytest.raises(ConfigError, match="20 rows have the label -1: GLUE hides"):
        load("sst2", path=str(tmp_path / "glue"))
    (tmp_path / "glue" / "dev.tsv").rename(tmp_path / "glue" / "test.tsv")
    with pytest.raises(ConfigError, match="no file of the validation split; GLUE hides") as caught:
        load("sst2", path=str(tmp_path / "glue"))
    assert "dev.*" in caught.value.problems[0].allowed


def test_stsb_reads_its_tsv_by_alias(write, tmp_path):
    head = "index\tgenre\tsentence1\tsentence2\tscore\n"
    for name, start in (("train", 0), ("dev", 100)):
        write(f"s/{name}.tsv", head + "".join(f"{n}\tx\tone {n}\ttwo {n}\t{n % 6}.5\n" for n in range(start, start + 50)))
    found = load("stsb", "regression", path=str(tmp_path / "s"))
    row = found.load()["test"][0]
    assert row["label"] == int(row["text"].split()[1]) % 6 + 0.5
    assert row["text_pair"] == row["text"].replace("one", "two")


def test_cola_needs_no_header(write, tmp_path):
    for name, start in (("train", 0), ("dev", 100)):
        write(f"cola/{name}.tsv", "".join(f"gj04\t{n % 2}\t*\tThis is {n}.\n" for n in range(start, start + 50)))
    found = load("cola", path=str(tmp_path / "cola"))
    assert found.manifest.rows == {"train": 45, "validation": 5, "test": 50}


def test_mrpc_and_rte_read_glue_names(write, tmp_path):
    for name, start in (("train", 0), ("dev", 100)):
        write(
            f"m/{name}.tsv",
            "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
            + "".join(f"{n % 2}\t1\t2\tA {n}\tB {n}\n" for n in range(start, start + 40)),
        )
        names = ("entailment", "not_entailment")
        write(
            f"r/{name}.tsv",
            "index\tsentence1\tsentence2\tlabel\n" + "".join(f"{n}\tA {n}\tB {n}\t{names[n % 2]}\n" for n in range(start, start + 40)),
        )
    assert load("mrpc", path=str(tmp_path / "m")).manifest.label_counts["test"] == {"not_equivalent": 20, "equivalent": 20}
    assert load("rte", path=str(tmp_path / "r")).manifest.label_counts["test"] == {"entailment": 20, "not_entailment": 20}


def shards(folder, split, start):
    folder.mkdir(exist_ok=True)
    for part in range(2):
        numbers = range(start + 30 * part, start + 30 * part + 30)
        table = pyarrow.table({"text": [f"text {n}" for n in numbers], "label": [n % 2 for n in numbers]})
        pyarrow.parquet.write_table(table, folder / f"{split}-0000{part}-of-00002.parquet")


def test_shards_saved_folders_and_validation_files_are_found(tmp_path):
    for split, start in (("train", 0), ("test", 100), ("validation", 200)):
        shards(tmp_path / "imdb", split, start)
    found = load("imdb", path=str(tmp_path / "imdb"))
    assert found.manifest.rows == {"train": 60, "validation": 60, "test": 60}
    tables = {
        name: datasets.Dataset.from_parquet([str(file) for file in sorted((tmp_path / "imdb").glob(f"{name}-*"))])
        for name in ("train", "test")
    }
    datasets.DatasetDict(tables).save_to_disk(str(tmp_path / "saved"))
    assert load("imdb", path=str(tmp_path / "saved")).manifest.rows == {"train": 54, "validation": 6, "test": 60}


def test_two_files_of_one_split_and_a_folder_without_any_are_told(write, tmp_path):
    with pytest.raises(ConfigError, match="no such file or folder"):
        load("sst2", path=str(tmp_path / "glu"))
    write("glue/other.csv", "x")
    with pytest.raises(ConfigError, match="no file of the train split") as caught:
        load("sst2", path=str(tmp_path / "glue"))
    assert "other.csv" in caught.value.problems[0].allowed
    write("glue/train.tsv", sst2(0, 50)), write("glue/train.csv", "x")
    with pytest.raises(ConfigError, match="several files of the train split"):
        load("sst2", path=str(tmp_path / "glue"))


def test_the_hubs_tables_are_read_by_commit(monkeypatch):
    asked = {}
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"]), "idx": datasets.Value("int32")}
    )

    def table(start, count, label=None):
        numbers = range(start, start + count)
        columns = {
            "sentence": [f"text {n}" for n in numbers],
            "label": [n % 2 if label is None else label for n in numbers],
            "idx": list(numbers),
        }
        return datasets.Dataset.from_dict(columns, features=features)

    def load_dataset(*arguments, **options):
        asked.update(options, arguments=arguments)
        return datasets.DatasetDict({"train": table(0, 50), "validation": table(50, 20), "test": table(90, 20, label=-1)})

    class Info:
        sha = "c0ffee"

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    found = load("sst2")
    assert found.manifest.rows == {"train": 45, "validation": 5, "test": 20}
    assert asked == {"arguments": ("nyu-mll/glue", "sst2"), "revision": "c0ffee"}
    assert found.manifest.source == "hub:nyu-mll/glue/sst2@main"


def test_without_network_the_ways_out_are_named_at_once(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    with pytest.raises(ConfigError, match="Name or service not known") as caught:
        load("sst2")
    assert "dataset.path=DIR" in caught.value.problems[0].hint


@pytest.mark.shared
def test_the_real_sst2(shared):
    found = load("sst2", path=str(shared / "sst2"))
    rows = list(csv.reader((shared / "sst2" / "dev.tsv").open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    assert found.manifest.rows == {"train": 60_280, "validation": 6_698, "test": len(rows)}
    duplicates = next(entry for entry in found.manifest.funnel if entry["step"] == "duplicates" and entry["split"] == "train")
    assert duplicates["reasons"] == {"duplicate": 366, "duplicate with another label": 5}
    for row in found.load()["test"]:
        text, label = rows[int(row["id"].removeprefix("test:"))]
        assert (row["text"], row["label"]) == (text.strip(), int(label))


@pytest.mark.shared
def test_the_real_stsb_keeps_bare_quotation_marks(shared):
    found = load("stsb", "regression", path=str(shared / "stsb"))
    assert found.manifest.rows == {"train": 5_130, "validation": 570, "test": 1_500}
    assert 'A dog in a "superman" shirt sleeps on a blanket.' in {text for table in found.load().values() for text in table["text"]}
