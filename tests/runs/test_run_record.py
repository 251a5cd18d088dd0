"""run.json: what is written, and what is read of files that earlier versions wrote."""

import json
from dataclasses import replace

import pytest

from finecomb.core.errors import ConfigError
from finecomb.runs import record
from finecomb.runs.record import Inputs, ModelInput, PreparedInput, RunRecord

RECORD = RunRecord(
    "0123456789ab",
    "lora",
    created=12.5,
    inputs=Inputs(PreparedInput("/data", "k", "c0ffee"), ModelInput("/model", "beef", "bert", "org/model")),
    choices={"tuning": "lora", "experiment": None},
    overrides=["tuning=lora"],
    group="question-1",
    job_type="lora",
    seed=3,
)
# As every version since the first has written it: names, their order, and nothing that is not set.
WRITTEN = {
    "fingerprint": "0123456789ab",
    "name": "lora",
    "created": 12.5,
    "inputs": {
        "data": {"directory": "/data", "key": "k", "content_hash": "c0ffee"},
        "model": {"directory": "/model", "sha256": "beef", "model_type": "bert", "hub_id": "org/model"},
    },
    "choices": {"tuning": "lora", "experiment": None},
    "overrides": ["tuning=lora"],
    "group": "question-1",
    "job_type": "lora",
    "seed": 3,
    "plugins": [],
}


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "lora-0123456789ab"
    folder.mkdir()
    return folder / "run.json"


def test_the_file_has_the_keys_of_earlier_versions_in_their_order(path):
    record.write(path, RECORD)
    assert list(json.loads(path.read_text()).items()) == list(WRITTEN.items())
    assert record.read(path) == RECORD
    for further in ({"role": "trial"}, {"pieces": 4}, {"mirrored": ["wandb"]}):
        record.write(path, replace(RECORD, **further))
        assert json.loads(path.read_text()) == WRITTEN | further
        assert record.read(path) == replace(RECORD, **further)


def test_files_of_earlier_and_later_versions_are_read(path):
    old = {key: value for key, value in WRITTEN.items() if key not in ("job_type", "seed", "group")}
    old["inputs"] = {"data": WRITTEN["inputs"]["data"], "model": {"directory": None, "sha256": "beef", "model_type": "bert"}}
    path.write_text(json.dumps(old | {"sweep": "s", "inputs": old["inputs"] | {"audio": {}}}))
    found = record.read(path)
    assert (found.job_type, found.seed, found.group, found.inputs.model) == (None, None, None, ModelInput(None, "beef", "bert"))
    path.write_text("{}")
    assert (record.read(path).fingerprint, record.read(path).name) == ("0123456789ab", "lora")
    path.unlink()
    with pytest.raises(ConfigError, match=r"run\.json"):
        record.read(path)


def test_a_later_command_changes_neither_identity_nor_what_was_noted_since(path):
    noted = replace(RECORD, role="trial", pieces=2, mirrored=["csv"])
    later = RunRecord("0123456789ab", "another name", overrides=["tuning=lora", "seed=3"], seed=3)
    merged = noted.updated(later)
    assert (merged.name, merged.created, merged.group) == ("lora", 12.5, "question-1")
    assert (merged.role, merged.pieces, merged.mirrored) == ("trial", 2, ["csv"])
    assert merged.overrides == ["tuning=lora", "seed=3"]
    assert noted.updated(replace(later, group="a sweep", role="confirm")).role == "confirm"
